"""brackets, decompiled from Hooked (60,986 parameters).

Is the bracket string balanced? (output 1 = balanced), read at position 0; keys at <pad> are masked.
The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,200 answers (99.7 %)
    test   100 % of 600 answers (99.4 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import everywhere, exists, where, width

LEFT_PARENTHESIS, RIGHT_PARENTHESIS = 3, 4


def whether_unbalanced(tokens):
    """Whether any '(' or ')' has no partner.

    In the network: L2.resid_mid, 2 dimensions.
    """
    so_far = everywhere(tokens, causal=True)
    opened = width(where(so_far, tokens == LEFT_PARENTHESIS))
    closed = width(where(so_far, tokens == RIGHT_PARENTHESIS))
    # How many '(' are open so far; negative where more ')' came.
    height = opened - closed
    anywhere = everywhere(tokens)
    opened_in_all = width(where(anywhere, tokens == LEFT_PARENTHESIS))
    closed_in_all = width(where(anywhere, tokens == RIGHT_PARENTHESIS))
    # How many '(' stay open; negative where there are more ')'.
    last_height = opened_in_all - closed_in_all
    # Whether a ')' comes before the '(' that it would close.
    closed_too_early = exists(where(anywhere, height < 0))
    # Whether there are more '(' than ')', or fewer.
    ends_uneven = last_height != 0
    return closed_too_early | ends_uneven


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    unbalanced = whether_unbalanced(tokens)
    return (~unbalanced).astype(int).tolist()
