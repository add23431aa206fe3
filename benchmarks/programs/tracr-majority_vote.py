"""majority_vote, decompiled from Hooked (18,642 parameters).

1 if strictly more than half the tokens are "1" (our own RASP program, not from lib.py) (vocabulary
['0', '1'], at most 9 symbols after bos). The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,674 answers (99.8 %)
    test   100 % of 807 answers (99.5 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, where, width


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    anywhere = everywhere(tokens)
    # How many positions the sequence has. In the network: L0H1, L0 neurons 1–16.
    length = width(anywhere)
    # How many positions hold 1. In the network: L0H0, L0 neurons 20–37.
    how_many = width(where(anywhere, tokens == 1))
    return (2 * how_many >= length).astype(int).tolist()
