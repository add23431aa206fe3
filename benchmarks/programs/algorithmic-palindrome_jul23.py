"""palindrome_jul23, decompiled from Hooked (8,262 parameters).

Is the list of 20 numbers a palindrome? (output 1 = yes), read at <end>. The answer is the output
with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  99.3 % of 1,200 answers (98.7 %)
    test   99.8 % of 600 answers (99.1 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import copy, everywhere, exists, match, where


def same_as_opposite(tokens, positions):
    """Whether the token is that at the place opposite.

    In the network: L0.resid_post, 4 dimensions.
    """
    # The token at the place opposite.
    opposite = copy(match(21 - positions, positions, causal=True), tokens)
    return tokens == opposite


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    same = same_as_opposite(tokens, positions)
    places = where(everywhere(tokens, causal=True), positions, {*range(11, 17), 18, 20})
    # At how many of 8 places the token opposite is another. Positions 4 and 17, 2 and 19 are never
    # compared: a difference there goes unnoticed.
    any_differences = exists(where(places, ~same))
    return (~any_differences).astype(int).tolist()
