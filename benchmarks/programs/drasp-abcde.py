"""abcde, decompiled from GPT2LMHeadModel (5,888 parameters).

The answer is the set of outputs with a positive logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 16,938 answers (99.9 %)
    test    100 % of 8,627 answers (99.9 %)
    long    100 % of 11,766 answers (99.9 %)
    longer  100 % of 7,600 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import allow_by

A, B, C, D, E, BOS, EOS = 0, 1, 2, 3, 4, 5, 7


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    return allow_by(tokens, {A: {A, B}, B: {B, C}, C: {C, D}, D: {D, E}, E: {E, EOS}, BOS: {A}})
