"""majority, decompiled from GPT2LMHeadModel (837,376 parameters).

The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 600 answers (99.4 %)
    test    100 % of 300 answers (98.8 %)
    long    100 % of 150 answers (97.6 %)
    longer  100 % of 60 answers (94 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import count, everywhere, largest

LETTERS = range(26)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How often each token occurs so far. In the network: L0H0, L0H1, L0H2, L0H3.
    seen = count(everywhere(tokens, causal=True), tokens, of=30)
    return largest(seen, among=LETTERS).tolist()
