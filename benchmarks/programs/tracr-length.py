"""length, decompiled from Hooked (2,195 parameters).

Sequence length at every position (vocabulary ['a', 'b', 'c', 'd'], at most 8 symbols after bos).
The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,555 answers (99.8 %)
    test   100 % of 704 answers (99.5 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, width


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How many positions the sequence has. In the network: L0H0, L0 neurons 1–14.
    length = width(everywhere(tokens))
    return (length - 1).tolist()
