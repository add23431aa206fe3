"""cumsum_nov23, decompiled from Hooked (2,447 parameters).

Sign of the running sum at each position (outputs: 0 negative, 1 zero, 2 positive). The answer is
the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 24,000 answers (99.9 %)
    test   100 % of 12,000 answers (99.9 %)

Legible share: 100 %.
"""

import numpy as np

from exegesis.primitives import choose, count, everywhere


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How often each token occurs so far. In the network: L0H0.
    seen = count(everywhere(tokens, causal=True), tokens, of=11)
    balance = seen @ [0, 1, 2, 3, 4, 5, -5, -4, -3, -2, -1]
    return choose((balance < 0, 0), (balance > 0, 2), other=1).tolist()
