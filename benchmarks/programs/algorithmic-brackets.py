"""brackets, decompiled from Hooked (60,986 parameters).

Is the bracket string balanced? (output 1 = balanced), read at position 0; keys at <pad> are masked.
The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,200 answers (99.7 %)
    test   100 % of 600 answers (99.4 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, where, width

LEFT_PARENTHESIS, RIGHT_PARENTHESIS = 3, 4


def whether_closed_too_early(tokens, looked_at):
    """Whether a ')' comes before the '(' that it would close.

    In the network: L2.resid_mid, 4 dimensions.
    """
    looked_at_2 = everywhere(tokens, causal=True)
    # How many '(' there are so far.
    opened = width(where(looked_at_2, tokens, {LEFT_PARENTHESIS}))
    # How many ')' there are so far.
    closed = width(where(looked_at_2, tokens, {RIGHT_PARENTHESIS}))
    # How many '(' there are so far, less the ')'.
    height = opened - closed
    # At how many positions below zero in the whole sequence.
    how_many = width(where(looked_at, height < 0, {1}))
    return how_many > 0


def whether_ends_uneven(tokens, looked_at):
    """Whether there are more '(' than ')', or fewer.

    In the network: L2.resid_mid, 4 dimensions.
    """
    # How many '(' there are in all.
    opened_in_all = width(where(looked_at, tokens, {LEFT_PARENTHESIS}))
    # How many ')' there are in all.
    closed_in_all = width(where(looked_at, tokens, {RIGHT_PARENTHESIS}))
    # How many '(' there are in all, less the ')'.
    last_height = opened_in_all - closed_in_all
    return last_height != 0


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    looked_at = everywhere(tokens)
    closed_too_early = whether_closed_too_early(tokens, looked_at)
    ends_uneven = whether_ends_uneven(tokens, looked_at)
    # Whether any '(' or ')' has no partner.
    unbalanced = closed_too_early | ends_uneven
    return np.where(unbalanced, 0, 1).tolist()
