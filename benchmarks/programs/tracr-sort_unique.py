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
    where,
    width,
)

BOS = 8


def sought_token(tokens, smaller, positions):
    """The token at the position whose count of smaller tokens is the place minus 1. For want of
    one, what the rest of the attention prefers.

    In the network: L1H0.
    """
    # Where nothing is found, these get most of the faint rest of the attention.
    second_best = where(related(positions, smaller, {7: {7}}), tokens != BOS)
    # Where nothing is found, the faint rest of the attention decides. It is spread over all others.
    others = where(everywhere(tokens), tokens != BOS)
    looked_at = related(positions, smaller, {5: {0, 2, 3, 5, 6, 7}, 6: {1}, 7: range(5), 8: {5, 6}})
    # Rounding errors of the weights favour these a little; that decides between equals.
    favoured = where(looked_at, tokens != BOS)
    preferred = otherwise(second_best, either(others, 1.001 * favoured))
    return copy(otherwise(match(positions - 1, smaller), preferred), tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How many positions hold a smaller token. In the network: L0H0, L0 neurons 1–16.
    smaller = width(ordered(tokens, "<", tokens))
    positions = np.arange(len(tokens))
    return sought_token(tokens, smaller, positions).tolist()
