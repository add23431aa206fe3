"""addition4, decompiled from Hooked (102,410 parameters).

Sum of two 4-digit numbers, least significant digit first; the five <end> positions give the digits.
The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 7,500 answers (99.9 %)
    test   100 % of 4,000 answers (99.9 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import back, copy, holds_at, mod, nearest, ordered, where, worth


def find_digit_sum(tokens, positions):
    """The sum of the two digits that belong to this place.

    In the network: L0.resid_mid, 16 dimensions.
    """
    # The token 8 positions back, where that is one of the positions 1 to 4.
    token_8_back = copy(where(back(tokens, 8), positions, range(1, 5)), tokens)
    # The token 4 positions back, where that is one of the positions 5 to 8.
    token_4_back = copy(where(back(tokens, 4), positions, range(5, 9)), tokens)
    return worth(token_8_back, range(10)) + worth(token_4_back, range(10))


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    digit_sum = find_digit_sum(tokens, positions)
    earlier_places = where(ordered(positions, "<", positions, causal=True), positions, range(9, 14))
    latest_there = nearest(where(earlier_places, digit_sum != 9), "latest")
    # The nearest lower place whose digits do not sum to 9 has a larger sum.
    carry = holds_at(latest_there, digit_sum >= 10)
    return mod(digit_sum + carry, 10).tolist()
