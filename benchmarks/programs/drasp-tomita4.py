"""tomita4, decompiled from GPT2LMHeadModel (9,120 parameters).

The answer is the set of outputs with a positive logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,659 answers (99.9 %)
    test    100 % of 7,795 answers (99.9 %)
    long    100 % of 11,491 answers (99.9 %)
    longer  100 % of 7,595 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import NONE, allow, back, copy, is_in

BOS, EOS = 2, 4


def whether_allows_0(tokens):
    """Whether 0 may follow.

    In the network: L1.resid_mid, 1 dimension.
    """
    # The token one position back.
    previous = copy(back(tokens, 1), tokens)
    return is_in(previous, {NONE, 1, BOS}) | (tokens == 1)


def run(input_ids, position_ids=None):
    """The sorted outputs with a positive logit at every position."""
    tokens = np.asarray(input_ids)
    allows_0 = whether_allows_0(tokens)
    return allow(tokens, {0: allows_0}, always={1, EOS})
