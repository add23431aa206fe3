"""majority, decompiled from CountingTransformer (6,912 parameters).

The most frequent letter, said at <sep>; no ties. The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 600 answers (99.4 %)
    test   100 % of 300 answers (98.8 %)
    long   100 % of 150 answers (97.6 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import count, everywhere, largest

LETTERS = range(6)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How often each token occurs so far. In the network: L0H0.
    seen = count(everywhere(tokens, causal=True), tokens, of=8)
    return largest(seen, among=LETTERS).tolist()
