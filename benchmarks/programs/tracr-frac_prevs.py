"""frac_prevs, decompiled from Hooked (2,393 parameters).

Fraction of previous tokens (incl. current) equal to x (vocabulary ['a', 'b', 'c', 'x'], at most 10
symbols after bos). The answer is the network's value, within 0.001.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,761 answers (99.8 %)
    test   100 % of 923 answers (99.6 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, fraction, where

BOS, X = 2, 5


def run(input_ids, position_ids=None):
    """The value that the network gives at every position."""
    tokens = np.asarray(input_ids)
    # In the network: L1H0.
    fraction_there = fraction(where(everywhere(tokens, causal=True), tokens != BOS), tokens == X)
    return fraction_there.tolist()
