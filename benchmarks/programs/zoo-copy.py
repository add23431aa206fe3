"""copy, decompiled from CopyingTransformer (41,472 parameters).

The letters before <sep> once more, then <eos>; no letter occurs twice. The answer is the output
with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 4,039 answers (99.9 %)
    test   100 % of 2,108 answers (99.8 %)
    long   100 % of 2,503 answers (99.8 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import back, copy, match, relabel

BOS, SEP, EOS = range(26, 29)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # The token one position back. In the network: L0H0.
    previous = copy(back(tokens, 1), tokens)
    # The token that came after the earlier occurrence of the token (sep looks for bos).
    # In the network: L1H0.
    followed_by = copy(match(relabel(tokens, {SEP: BOS}), previous, causal=True), tokens)
    return relabel(followed_by, {SEP: EOS}).tolist()
