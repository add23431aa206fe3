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

from exegesis.primitives import back, both, choose, copy, match, mod, ordered, share

SEP, EOS = 3, 4


def share_of_each_token_there(tokens, positions):
    """The share of each token among the positions looked at.

    In the network: L0H0, L0H1.
    """
    remainder = mod(positions, 3)
    looked_at = ordered(positions, "<", positions, causal=True)
    looked_at_2 = both(match(remainder, remainder, causal=True), looked_at)
    return share(looked_at_2, tokens, of=6)


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    positions = np.arange(len(tokens))
    shares = share_of_each_token_there(tokens, positions)
    # The token at the position itself. In the network: L0H0, L0H1.
    own_token = copy(back(tokens, 0), tokens)
    holds = shares[:, 0] + 0.6 * (own_token == 1) > shares[:, 1] + 0.6 * (tokens == 1)
    return choose((shares[:, SEP] > 0, EOS), (holds, 0), other=1).tolist()
