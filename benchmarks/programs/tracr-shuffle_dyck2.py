"""shuffle_dyck2, decompiled from Hooked (342,792 parameters).

1 if shuffle-dyck-2 balanced, 0 otherwise (vocabulary ['(', ')', '{', '}'], at most 6 symbols after
bos). The answer is the output with the largest logit.

How often it says what the network says (in brackets the lower bound at 95 % confidence):

    train  100 % of 1,336 answers (99.7 %)
    test   100 % of 622 answers (99.4 %)

Legible share: 99.9 %.
"""

import numpy as np

from exegesis.primitives import everywhere, exists, holds_at, match, share, where, width

LEFT_PARENTHESIS, RIGHT_PARENTHESIS, BOS, LEFT_CURLY_BRACKET, RIGHT_CURLY_BRACKET = 0, 1, 2, 4, 5


def run(input_ids, position_ids=None):
    """The output that the network ranks highest at every position."""
    tokens = np.asarray(input_ids)
    anywhere = everywhere(tokens)
    # How many positions the sequence has. In the network: L0H0, L0 neurons 1–10, L1 neurons 1–6.
    length = width(anywhere)
    # The share of each token so far, where it is other than bos.
    # In the network: L1H0, L1H1, L1H2, L1H3.
    shares = share(where(everywhere(tokens, causal=True), tokens != BOS), tokens, of=6)
    # In the network: L2 neurons 1, 3.
    parenthesis_balance = shares[:, LEFT_PARENTHESIS] - shares[:, RIGHT_PARENTHESIS]
    # In the network: L2 neurons 5, 7.
    curly_bracket_balance = shares[:, LEFT_CURLY_BRACKET] - shares[:, RIGHT_CURLY_BRACKET]
    # In the network: L4 neurons 0–3.
    all_zero = (parenthesis_balance == 0) & (curly_bracket_balance == 0)
    # In the network: L4 neurons 4–7, L5 neurons 0.
    any_negative = (parenthesis_balance < 0) | (curly_bracket_balance < 0)
    positions = np.arange(len(tokens))
    # In the network: L6H0.
    ever_negative = exists(where(anywhere, (tokens != BOS) & any_negative))
    # In the network: L5H0.
    all_zero_at_end = holds_at(match(length - 1, positions), all_zero)
    # In the network: L7 neurons 0–3.
    rejected = ~all_zero_at_end | ever_negative
    return (~rejected).astype(int).tolist()
