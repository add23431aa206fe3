"""mod_add_p113_wd1_grokked, decompiled from Plain (226,816 parameters).

a + b mod 113; tokens a, b, <=>; read at the last position. The answer is the output with the
largest logit among 113.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 2,000 answers (99.8 %)
    test   100 % of 1,000 answers (99.6 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import add_angles, at, double_angles, either, largest, total, votes, wave


def gathered(tokens, waves, added_waves):
    """The first token's waves; the second token's waves; the sum of both tokens' waves, which has
    the angle of their mean and shrinks with their distance.

    In the network: matmul.
    """
    at_first = at(tokens, 0)
    at_second = at(tokens, 1)
    at_both = either(at_first, at_second)
    return total(at_first, waves), total(at_second, waves), total(at_both, added_waves)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # The angle 2π·f·token/113 of each token as cos and sin, for each frequency f.
    # In the network: index.
    waves = wave(tokens, (23,), 113)
    # The same for other frequencies, then for twice each. In the network: index.
    added_waves = wave(tokens, (6, 37, 39, 41, 12, 74, 78, 82), 113)
    first, second, added = gathered(tokens, waves, added_waves)
    # The angle 2π·f·(first + second)/113: the two waves are multiplied. Where one token's wave is
    # exchanged at one f, that accounts for 95% of what the logits do; adding them would account for
    # 93%. A part of it stands at L0.attn.out already: exchanging the waves alone there does what
    # the program says in 95% of cases, with their angles in 100%.
    # In the network: matmul; matmul_2.
    multiplied = add_angles(first, second)
    # The angle 2π·f·(first + second)/113: the two waves are added, the angle of the sum is doubled,
    # and its length evened out by the sum at twice the frequency. Where one token's wave is
    # exchanged at one f, that accounts for 93% of what the logits do; multiplying them would
    # account for 80%.
    # In the network: matmul; matmul_2.
    doubled = double_angles(added, less=0.3)
    # How well each answer fits at all frequencies.
    fits = votes(multiplied, {23: 12}, 113) + votes(doubled, {6: 3, 37: 2, 39: 2, 41: 2}, 113)
    return largest(fits).tolist()
