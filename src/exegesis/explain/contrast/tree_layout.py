"""Where the nodes of a binary tree are drawn: leaves one below another, each inner node between its children."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Place(NamedTuple):
    """Of a node: its distance from the root, and its height in leaves from above."""

    depth: int
    height: float


def places_of(
    feature: Int[np.ndarray, " nodes"], left: Int[np.ndarray, " nodes"], right: Int[np.ndarray, " nodes"]
) -> list[Place]:
    """A place for every node of a tree whose root is node 0; leaves have feature −1, the left child is drawn above."""
    found: dict[int, Place] = {}
    leaves = 0

    def put(node: int, depth: int) -> float:
        nonlocal leaves
        if feature[node] < 0:
            height = float(leaves)
            leaves += 1
        else:
            height = (put(int(left[node]), depth + 1) + put(int(right[node]), depth + 1)) / 2
        found[node] = Place(depth, height)
        return height

    put(0, 0)
    return [found[node] for node in range(len(feature))]
