"""reverse, decompiled from Hooked (54,859 parameters).

Reverse the sequence (vocabulary ['a', 'b', 'c', 'd'], at most 8 symbols after bos). The answer is
the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,539 answers (99.8 %)
    test   100 % of 720 answers (99.5 %)

Legible share: 99.8 %.
"""

import numpy as np

from exegesis.primitives import copy, everywhere, match, relabel, width

OUTPUT_C, C, OUTPUT_D, D = 2, 3, 3, 4


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How many positions the sequence has. In the network: L0H0, L0 neurons 1–14.
    length = width(everywhere(tokens))
    positions = np.arange(len(tokens))
    # The place as far from the end as this one from the start.
    # In the network: L1 neurons 8, 16–17, 24–26, 32–35, 40–44, 48–54, 56–71, L2 neurons 7–15.
    opposite = length - positions
    # The token at the position whose place is the opposite place. In the network: L3H0.
    found = copy(match(opposite, positions), tokens)
    return relabel(found, {C: OUTPUT_C, D: OUTPUT_D}).tolist()
