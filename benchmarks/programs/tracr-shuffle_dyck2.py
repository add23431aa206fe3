"""shuffle_dyck2, decompiled from Hooked (342,792 parameters).

1 if shuffle-dyck-2 balanced, 0 otherwise (vocabulary ['(', ')', '{', '}'], at most 6 symbols after
bos). The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,336 answers (99.7 %)
    test   100 % of 622 answers (99.4 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import copy, everywhere, match, share, where, width

FALSE, LEFT_PARENTHESIS, RIGHT_PARENTHESIS, TRUE, BOS, LEFT_CURLY_BRACKET = 0, 0, 1, 1, 2, 4
RIGHT_CURLY_BRACKET = 5


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    looked_at = everywhere(tokens)
    # How many positions the sequence has. In the network: L0H0, L0 neurons 1–10, L1 neurons 1–6.
    length = width(looked_at)
    looked_at_2 = where(everywhere(tokens, causal=True), tokens, {BOS}, negated=True)
    # The share of each token so far, where the token is none of bos.
    # In the network: L1H0, L1H1, L1H2, L1H3.
    shares = share(looked_at_2, tokens, of=6)
    # In the network: L2 neurons 1, 3.
    balance = shares[:, LEFT_PARENTHESIS] - shares[:, RIGHT_PARENTHESIS]
    # In the network: L2 neurons 5, 7.
    balance_2 = shares[:, LEFT_CURLY_BRACKET] - shares[:, RIGHT_CURLY_BRACKET]
    # In the network: L4 neurons 0–3.
    all_hold = (balance == 0) & (balance_2 == 0)
    # In the network: L4 neurons 4–7, L5 neurons 0.
    some_hold = (balance < 0) | (balance_2 < 0)
    positions = np.arange(len(tokens))
    looked_at_3 = where(where(looked_at, tokens, {BOS}, negated=True), some_hold, {1})
    # At how many positions some hold in the whole sequence, where the token is none of bos.
    # In the network: L6H0.
    how_many = width(looked_at_3)
    # The all hold at the position whose place is the sequence length minus 1. In the network: L5H0.
    found = copy(match(length - 1, positions), all_hold)
    # In the network: L7 neurons 0–3.
    some_hold_2 = (found == FALSE) | (how_many > 0)
    return np.where(some_hold_2, FALSE, TRUE).tolist()
