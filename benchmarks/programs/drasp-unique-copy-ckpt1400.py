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


def token_seen(tokens, positions):
    """The one token that is seen among the positions looked at.

    In the network: L0H0.
    """
    looked_at = where(ordered(positions, "<", positions, causal=True), tokens, {SEP})
    looked_at_2 = otherwise(looked_at, back(tokens, 1))
    return copy(looked_at_2, tokens)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    only = token_seen(tokens, positions)
    same = match(relabel(tokens, {SEP: BOS}), only, causal=True)
    # The token at the position whose token seen is the token (sep looks for bos).
    # In the network: L1H0.
    found = copy(same, tokens)
    return relabel(found, {SEP: EOS}).tolist()
