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

from exegesis.primitives import allow, count, everywhere

A, B, EOS = 0, 1, 4


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    # How often each token occurs so far.
    seen = count(everywhere(tokens, causal=True), tokens, of=6)
    # In the network: L0.resid_mid, 4 dimensions.
    a_minus_b = seen[:, A] - seen[:, B]
    return allow(tokens, {A: a_minus_b < 2, B: a_minus_b > 0, EOS: a_minus_b <= 0})
