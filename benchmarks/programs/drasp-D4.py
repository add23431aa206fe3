"""D4, decompiled from GPT2LMHeadModel (830,720 parameters).

The answer is the set of outputs with a positive logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,624 answers (99.9 %)
    test    100 % of 8,130 answers (99.9 %)
    long    100 % of 11,860 answers (99.9 %)
    longer  99.9 % of 7,714 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import allow, back, copy, everywhere, share

A, B, BOS, EOS = 0, 1, 2, 4


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    # The share of each token so far. In the network: L0H0, L0H1.
    shares = share(everywhere(tokens, causal=True), tokens, of=6)
    # The token at the position itself. In the network: L0H0, L0H1.
    own_token = copy(back(tokens, 0), tokens)
    balance = (
        shares[:, B]
        + 3.72 * shares[:, BOS]
        + 0.042 * (own_token == A)
        - shares[:, A]
        - 0.042 * (tokens == A)
    )
    balance_2 = (
        shares[:, B]
        + 0.394 * shares[:, BOS]
        + 0.029 * (own_token == A)
        - shares[:, A]
        - 0.029 * (tokens == A)
    )
    return allow(tokens, {A: balance > 0, B: balance_2 <= 0, EOS: balance_2 > 0})
