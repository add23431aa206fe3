"""sorted_list_oct23, decompiled from Hooked (49,684 parameters).

Sort ten distinct numbers; the sorted list follows <sep>. The answer is the output with the largest
logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  99.8 % of 12,000 answers (99.8 %)
    test   99.8 % of 6,000 answers (99.7 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import NONE, copy, extreme, ordered, relabel

SEP = 51


def next_larger_token(tokens):
    """The smallest token among those that are greater than the position's own (sep counts as less
    than any).

    In the network: L0H1, L0H0.
    """
    values = relabel(tokens, {SEP: NONE})
    just_above = extreme(ordered(values, ">", values, causal=True), values, "smallest")
    return copy(just_above, tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    return next_larger_token(tokens).tolist()
