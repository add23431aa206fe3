"""mod_add_p59_a, decompiled from Plain (212,608 parameters).

a + b mod 59; tokens a, b; read at the last position. The answer is the output with the largest
logit among 59.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,200 answers (99.7 %)
    test   100 % of 600 answers (99.4 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import double_angles, everywhere, largest, total, votes, wave


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # The angle 2π·f·token/59 of each token as cos and sin, for each frequency f, then for twice
    # each.
    # In the network: index.
    waves = wave(tokens, (3, 15, 17, 6, 30, 34), 59)
    # The sum of both tokens' waves, which has the angle of their mean and shrinks with their
    # distance.
    # In the network: matmul.
    added = total(everywhere(tokens), waves)
    # The angle 2π·f·(first + second)/59: the two waves are added, the angle of the sum is doubled,
    # and its length evened out by the sum at twice the frequency. Where one token's wave is
    # exchanged at one f, that accounts for 99% of what the logits do; multiplying them would
    # account for 81%.
    # In the network: relu.
    doubled = double_angles(added, less=0.4)
    return largest(votes(doubled, {3: 2, 15: 1, 17: 2}, 59)).tolist()
