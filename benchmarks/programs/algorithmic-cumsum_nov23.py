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

N_5, N_4, N_3, N_2, N_1 = range(6, 11)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    # How often each token occurs so far. In the network: L0H0.
    seen = count(everywhere(tokens, causal=True), tokens, of=11)
    balance = (
        seen[:, 1]
        + 2 * seen[:, 2]
        + 3 * seen[:, 3]
        + 4 * seen[:, 4]
        + 5 * seen[:, 5]
        - 5 * seen[:, N_5]
        - 4 * seen[:, N_4]
        - 3 * seen[:, N_3]
        - 2 * seen[:, N_2]
        - seen[:, N_1]
    )
    return choose((balance < 0, 0), (balance > 0, 2), other=1).tolist()
