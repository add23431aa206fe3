"""aastar, decompiled from GPT2LMHeadModel (5,824 parameters).

The answer is the set of outputs with a positive logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,674 answers (99.9 %)
    test    100 % of 7,852 answers (99.9 %)
    long    100 % of 11,500 answers (99.9 %)
    longer  100 % of 7,618 answers (99.9 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import allow, mod

A, EOS = 0, 3


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    return allow(tokens, {EOS: mod(positions, 2) == 0}, always={A})
