"""count-nogen, decompiled from GPT2LMHeadModel (869,376 parameters).

Count. The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 15,682 answers (99.9 %)
    test    100 % of 8,060 answers (99.9 %)
    long    91 % of 11,267 answers (90.5 %)
    longer  84.3 % of 7,678 answers (83.5 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import NONE, back, copy, extreme, ordered, relabel, shift

BOS, SEP, EOS = range(150, 153)


def next_larger_token(tokens):
    """The smallest token among those that are greater than the position's own (bos, sep, eos count
    as less than any).

    In the network: L0H1, L0H2.
    """
    values = relabel(tokens, {BOS: NONE, SEP: NONE, EOS: NONE})
    just_above = extreme(ordered(values, ">", values, causal=True), values, "smallest")
    return copy(just_above, tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    next_larger = next_larger_token(tokens)
    # The token 2 positions back. In the network: L0H0, L0H1, L0H2, L0H3.
    token_2_back = copy(back(tokens, 2), tokens)
    answer = np.where(next_larger == NONE, EOS, shift(tokens, 1))
    return np.where(tokens == SEP, token_2_back, answer).tolist()
