"""tomita1, decompiled from GPT2LMHeadModel (5,840 parameters).

The answer is the set of outputs with a positive logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,864 answers (99.9 %)
    test    100 % of 7,824 answers (99.9 %)
    long    100 % of 11,612 answers (99.9 %)
    longer  100 % of 7,602 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import allow

EOS = 4


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    return allow(tokens, always={1, EOS})
