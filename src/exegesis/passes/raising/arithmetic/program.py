"""A drafted program of an arithmetic network, with what has to be found in the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Written:
    """What a reader of a kind of group gives back.

    Attributes:
        answer: the node of the program's answer.
        tokens: nodes that hold what the tokens' vectors hold: one for both tokens or one for each.
        spans: for the first and the second token, the directions of their vectors that are held there.
        inner: variables that are gathered out of what tokens hold (none where nothing is), and variables that hold
            what two tokens make together; each of the two groups is sought as one.
        figures: how well the program fits, by name.
    """

    answer: str
    tokens: tuple[tuple[str, ...], ...]
    spans: tuple[Float[np.ndarray, "k width"], Float[np.ndarray, "k width"]]
    inner: tuple[tuple[str, ...], tuple[str, ...]]
    figures: Mapping[str, float]
