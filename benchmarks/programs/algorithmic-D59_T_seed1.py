"""D59_T_seed1, decompiled from Hooked (228,598 parameters).

Group composition x*y in DihedralGroup(59), |G|=118; tokens [x,y,|G| as "="], read last position.
The answer is the output with the largest logit among 118.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 2,000 answers (99.8 %)
    test   100 % of 1,000 answers (99.6 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import at, compose, largest, motion, motion_votes, total


def gathered(tokens, motions):
    """The first token's motions; the second token's motions.

    In the network: blocks.0.attn.
    """
    return total(at(tokens, 0), motions), total(at(tokens, 1), motions)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # What each token does to the plane at each frequency f: element k turns it by 2π·f·k/59,
    # element 59 + k flips it first.
    # In the network: index.
    motions = motion(tokens, (0, 2, 5, 21), 59)
    first, second = gathered(tokens, motions)
    # The first token's motion after the second's; where a direction is given in degrees, only what
    # stands there counts.
    # In the network: blocks.0.mlp.
    product = compose(
        first,
        second,
        left=(None, None, None, 36),
        between=(None, 163, 3, None),
        right=(None, None, None, 6),
    )
    return largest(motion_votes(product, {0: 1, 2: 1, 5: 2, 21: 1}, 59)).tolist()
