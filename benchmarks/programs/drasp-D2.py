"""D2, decompiled from GPT2LMHeadModel (5,840 parameters).

The answer is the set of outputs with a positive logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,122 answers (99.9 %)
    test    100 % of 8,298 answers (99.9 %)
    long    100 % of 11,326 answers (99.9 %)
    longer  100 % of 7,788 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import allow, back, copy, everywhere, share

A, B, BOS, EOS = 0, 1, 2, 4


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    # The share of each token so far. In the network: L0H0.
    shares = share(everywhere(tokens, causal=True), tokens, of=6)
    # The token at the position itself. In the network: L0H0.
    own_token = copy(back(tokens, 0), tokens)
    balance = (
        shares[:, B]
        + 1.36 * shares[:, BOS]
        + 0.07 * (own_token == A)
        - shares[:, A]
        - 0.07 * (tokens == A)
    )
    balance_2 = (
        shares[:, A]
        + 0.1 * (own_token == B)
        - shares[:, B]
        - 0.6 * shares[:, BOS]
        - 0.1 * (tokens == B)
    )
    balance_3 = (
        shares[:, B]
        + 0.69 * shares[:, BOS]
        + 0.08 * (own_token == A)
        - shares[:, A]
        - 0.08 * (tokens == A)
    )
    return allow(tokens, {A: balance > 0, B: balance_2 > 0, EOS: balance_3 > 0})
