"""hist, decompiled from Hooked (2,195 parameters).

How many times each token occurs (vocabulary ['a', 'b', 'c', 'd'], at most 8 symbols after bos). The
answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,520 answers (99.8 %)
    test   100 % of 739 answers (99.5 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import match, width


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    return width(match(tokens, tokens)).tolist()
