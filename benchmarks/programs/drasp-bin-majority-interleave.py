"""bin-majority-interleave, decompiled from GPT2LMHeadModel (9,184 parameters).

The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train   100 % of 2,400 answers (99.8 %)
    test    100 % of 1,200 answers (99.7 %)
    long    99.8 % of 600 answers (99.1 %)
    longer  98.3 % of 240 answers (95.8 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import both, choose, count, match, mod, ordered

SEP, EOS = 3, 4


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    remainder = mod(positions, 3)
    earlier = ordered(positions, "<", positions, causal=True)
    # How often each token occurs 3, 6 … positions back.
    seen = count(both(match(remainder, remainder, causal=True), earlier), tokens, of=6)
    # In the network: L1.resid_mid, 1 dimension.
    sep = seen[:, SEP]
    # In the network: L1.resid_mid, 1 dimension.
    n_0_minus_1 = seen[:, 0] - seen[:, 1]
    return choose((sep > 0, EOS), (n_0_minus_1 > 0, 0), other=1).tolist()
