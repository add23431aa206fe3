"""addition4, decompiled from Hooked (102,410 parameters).

Sum of two 4-digit numbers, least significant digit first; the five <end> positions give the digits.
The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 7,500 answers (99.9 %)
    test   100 % of 4,000 answers (99.9 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import back, copy, mod, nearest, ordered, where, whole, worth

TRUE = 1


def find_digit_sum(tokens, positions):
    """The sum of the two digits that belong to this place.

    In the network: L0.resid_mid, 16 dimensions.
    """
    looked_at = where(back(tokens, 8), positions, range(1, 5))
    # The one token that is seen among the positions looked at.
    only = copy(looked_at, tokens)
    looked_at_2 = where(back(tokens, 4), positions, range(5, 9))
    # The one token that is seen among the positions looked at.
    only_2 = copy(looked_at_2, tokens)
    return whole(worth(only, {n: n for n in range(10)}) + worth(only_2, {n: n for n in range(10)}))


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    digit_sum = find_digit_sum(tokens, positions)
    looked_at = where(ordered(positions, "<", positions, causal=True), positions, range(9, 14))
    looked_at_2 = nearest(where(looked_at, digit_sum, {9}, negated=True), "latest")
    # The one is full that is seen among the positions looked at.
    only = copy(looked_at_2, digit_sum >= 10)
    # The nearest lower place whose digits do not sum to 9 has a larger sum.
    carry = only == TRUE
    digit_sum_plus_carry = digit_sum + carry
    return mod(digit_sum_plus_carry, 10).tolist()
