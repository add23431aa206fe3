"""unique-copy-ckpt1400, decompiled from GPT2LMHeadModel (129,344 parameters).

Unique_copy. The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   99.8 % of 15,553 answers (99.8 %)
    test    99.9 % of 7,795 answers (99.9 %)
    long    100 % of 11,523 answers (99.9 %)
    longer  99.8 % of 7,625 answers (99.6 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import back, copy, match, ordered, otherwise, relabel, where

BOS, SEP, EOS = range(150, 153)


def sep_or_previous_token(tokens, positions):
    """The token one position back; once sep has been there before, sep.

    In the network: L0H0.
    """
    at_sep = where(ordered(positions, "<", positions, causal=True), tokens == SEP)
    return copy(otherwise(at_sep, back(tokens, 1)), tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    sep_or_previous = sep_or_previous_token(tokens, positions)
    same = match(relabel(tokens, {SEP: BOS}), sep_or_previous, causal=True)
    # The token that came after the earlier occurrence of the token (sep looks for bos).
    # In the network: L1H0.
    followed_by = copy(same, tokens)
    return relabel(followed_by, {SEP: EOS}).tolist()
