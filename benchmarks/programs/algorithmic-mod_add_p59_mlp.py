"""mod_add_p59_mlp, decompiled from PairMLP (88,448 parameters).

a + b mod 59; tokens a, b; read at the last position. The answer is the output with the largest
logit among 59.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,200 answers (99.7 %)
    test   100 % of 600 answers (99.4 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import add_angles, at, copy, largest, votes, wave


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # The first token.
    first = copy(at(tokens, 0), tokens)
    # The angle 2π·f·token/59 of the first token as cos and sin, for each frequency f.
    # In the network: index.
    first_waves = wave(first, (5, 7, 8, 9, 13, 17, 19, 20), 59)
    # The second token.
    second = copy(at(tokens, 1), tokens)
    # The angle 2π·f·token/59 of the second token as cos and sin, for each frequency f.
    # In the network: index_1.
    second_waves = wave(second, (5, 7, 8, 9, 13, 17, 19, 20), 59)
    # The angle 2π·f·(first + second)/59: the two waves are multiplied. Where one token's wave is
    # exchanged at one f, that accounts for 99% of what the logits do; adding them would account for
    # 83%.
    # In the network: relu.
    multiplied = add_angles(first_waves, second_waves)
    return largest(
        votes(multiplied, {5: 7, 7: 6, 8: 5, 9: 9, 13: 5, 17: 8, 19: 10, 20: 6}, 59)
    ).tolist()
