"""Index arithmetic for sequences of different lengths laid end to end."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def offsets_of(lengths: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n_plus_1"]:
    """Where each item starts when items of these lengths lie end to end; the last entry is the total."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def flat_indices(offsets: Int[np.ndarray, " n_plus_1"], items: Int[np.ndarray, " m"]) -> Int[np.ndarray, " total"]:
    """Indices into the flat array of all elements of the items, item after item in the order asked for."""
    lengths = offsets[items + 1] - offsets[items]
    starts = np.cumsum(lengths) - lengths
    return np.repeat(offsets[items] - starts, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)
