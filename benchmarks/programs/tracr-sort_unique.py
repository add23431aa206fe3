"""sort_unique, decompiled from Hooked (6,875 parameters).

Sort distinct integers (vocabulary [1, 2, 3, 4, 5, 6, 7, 8], at most 8 symbols after bos). The
answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,499 answers (99.8 %)
    test   100 % of 724 answers (99.5 %)

Legible share: 99.8 %.
"""

import numpy as np

from exegesis.primitives import (
    copy,
    either,
    everywhere,
    match,
    ordered,
    otherwise,
    related,
    weigh,
    where,
    width,
)

BOS = 8


def token_seen(tokens, smaller, positions):
    """The one token that is seen among the positions looked at.

    In the network: L1H0.
    """
    looked_at = related(positions, smaller, {5: {0, 2, 3, 5, 6, 7}, 6: {1}, 7: range(5), 8: {5, 6}})
    looked_at_2 = weigh(where(looked_at, tokens, {BOS}, negated=True), tokens, {}, other=1.001)
    looked_at_3 = where(everywhere(tokens), tokens, {BOS}, negated=True)
    looked_at_4 = where(related(positions, smaller, {7: {7}}), tokens, {BOS}, negated=True)
    looked_at_5 = otherwise(looked_at_4, either(looked_at_3, looked_at_2))
    looked_at_6 = otherwise(match(positions - 1, smaller), looked_at_5)
    return copy(looked_at_6, tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How many positions hold a smaller token. In the network: L0H0, L0 neurons 1–16.
    smaller = width(ordered(tokens, "<", tokens))
    positions = np.arange(len(tokens))
    return token_seen(tokens, smaller, positions).tolist()
