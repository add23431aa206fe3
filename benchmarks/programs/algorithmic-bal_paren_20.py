"""bal_paren_20, decompiled from Hooked (7,042 parameters).

Are the 20 parentheses balanced? (output 1 = balanced), read at <end>. The answer is the output with
the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,500 answers (99.8 %)
    test   100 % of 800 answers (99.5 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, exists, where, width

LEFT_PARENTHESIS, RIGHT_PARENTHESIS = 0, 1


def whether_left_open(tokens, so_far, height):
    """Whether a '(' is never closed by a later ')'.

    In the network: L1.resid_mid, 4 dimensions.
    """
    anywhere = everywhere(tokens)
    opened_in_all = width(where(anywhere, tokens == LEFT_PARENTHESIS))
    closed_in_all = width(where(anywhere, tokens == RIGHT_PARENTHESIS))
    # How many '(' stay open; negative where there are more ')'.
    last_height = opened_in_all - closed_in_all
    return exists(where(so_far, last_height > height))


def whether_closed_too_early(so_far, height):
    """Whether a ')' comes before the '(' that it would close.

    In the network: L1.resid_mid, 4 dimensions.
    """
    return exists(where(so_far, height < 0))


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    so_far = everywhere(tokens, causal=True)
    opened = width(where(so_far, tokens == LEFT_PARENTHESIS))
    closed = width(where(so_far, tokens == RIGHT_PARENTHESIS))
    # How many '(' are open so far; negative where more ')' came.
    height = opened - closed
    left_open = whether_left_open(tokens, so_far, height)
    closed_too_early = whether_closed_too_early(so_far, height)
    # Whether any '(' or ')' has no partner.
    unbalanced = closed_too_early | left_open
    return (~unbalanced).astype(int).tolist()
