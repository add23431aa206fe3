"""sort, decompiled from GPT2LMHeadModel (907,264 parameters).

The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   99.9 % of 15,553 answers (99.8 %)
    test    99.9 % of 7,795 answers (99.8 %)
    long    100 % of 11,523 answers (99.9 %)
    longer  100 % of 7,625 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import NONE, copy, extreme, ordered, relabel

BOS, SEP, EOS = range(150, 153)


def next_larger_token(tokens):
    """The smallest token among those that are greater than the position's own (bos, sep, eos count
    as less than any).

    In the network: L0H0.
    """
    values = relabel(tokens, {BOS: NONE, SEP: NONE, EOS: NONE})
    just_above = extreme(ordered(values, ">", values, causal=True), values, "smallest")
    return copy(just_above, tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    next_larger = next_larger_token(tokens)
    return relabel(next_larger, {NONE: EOS}).tolist()
