"""bal_paren_20, decompiled from Hooked (7,042 parameters).

Are the 20 parentheses balanced? (output 1 = balanced), read at <end>. The answer is the output with
the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,500 answers (99.8 %)
    test   100 % of 800 answers (99.5 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, where, width

LEFT_PARENTHESIS, RIGHT_PARENTHESIS = 0, 1


def whether_left_open(tokens, looked_at, height):
    """Whether a '(' is never closed by a later ')'.

    In the network: L1.resid_mid, 4 dimensions.
    """
    looked_at_2 = everywhere(tokens)
    # How many '(' there are in all.
    opened_in_all = width(where(looked_at_2, tokens, {LEFT_PARENTHESIS}))
    # How many ')' there are in all.
    closed_in_all = width(where(looked_at_2, tokens, {RIGHT_PARENTHESIS}))
    # How many '(' there are in all, less the ')'.
    last_height = opened_in_all - closed_in_all
    # At how many positions more opened later so far.
    how_many = width(where(looked_at, last_height > height, {1}))
    return how_many > 0


def whether_closed_too_early(looked_at, height):
    """Whether a ')' comes before the '(' that it would close.

    In the network: L1.resid_mid, 4 dimensions.
    """
    # At how many positions below zero so far.
    how_many = width(where(looked_at, height < 0, {1}))
    return how_many > 0


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    looked_at = everywhere(tokens, causal=True)
    # How many '(' there are so far.
    opened = width(where(looked_at, tokens, {LEFT_PARENTHESIS}))
    # How many ')' there are so far.
    closed = width(where(looked_at, tokens, {RIGHT_PARENTHESIS}))
    # How many '(' there are so far, less the ')'.
    height = opened - closed
    left_open = whether_left_open(tokens, looked_at, height)
    closed_too_early = whether_closed_too_early(looked_at, height)
    # Whether any '(' or ')' has no partner.
    unbalanced = closed_too_early | left_open
    return np.where(unbalanced, 0, 1).tolist()
