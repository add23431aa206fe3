"""The n-cut of a network with 50 nulls: ours beside scikit-learn's spectral clustering in a loop, in one run.

    python -m benchmarks.modules [NULLS]

The network is 784-256-256-256-10 with random weights, into which twelve groups of units are planted. Both sides look
for twelve clusters in the same graphs. The floor is the arithmetic of one Gram matrix and of its reduction to three
diagonals per graph, at the rate at which this machine multiplies matrices, and one reading and writing of every weight,
at the rate at which it copies memory. Exits with 1 where we are less than three times as fast, or where any of our
n-cuts is more than 1 % above scikit-learn's.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.cluster import SpectralClustering

from exegesis.measure.modularity import UnitGraph, cut_test, ncuts, null_graph

SIZES = (784, 256, 256, 256, 10)
K = 12
FASTER, WORSE = 3.0, 1.01


def main(nulls: int = 50) -> int:
    """Prints the table; 0 where both limits are kept."""
    graph = planted()
    start = time.perf_counter()
    test = cut_test(graph, ks=(K,), nulls=nulls, seed=0)
    ours = time.perf_counter() - start
    cuts = np.array([test.best.partition.ncut, *test.best.null])

    draws = [graph, *(null_graph(graph, "shuffle", np.random.default_rng([0, 1, i])) for i in range(nulls))]
    theirs, theirs_seconds = np.empty(len(draws)), 0.0
    for i, drawn in enumerate(draws):
        matrix = drawn.adjacency()
        start = time.perf_counter()
        labels = SpectralClustering(K, affinity="precomputed", random_state=0).fit_predict(matrix)
        theirs_seconds += time.perf_counter() - start
        theirs[i] = ncuts(drawn, labels[None].astype(np.int64), K)[0]

    operations, moved, seconds = floor(graph, nulls)
    table = Table("", "seconds", "per graph", "n-cut", "nulls, mean", "z")
    for name, took, found in (("exegesis", ours, cuts), ("scikit-learn", theirs_seconds, theirs)):
        z = (found[0] - found[1:].mean()) / found[1:].std(ddof=1)
        row = (f"{took:.2f}", f"{took / (nulls + 1) * 1e3:.0f} ms", f"{found[0]:.4f}", f"{found[1:].mean():.4f}")
        table.add_row(name, *row, f"{z:.1f}")
    table.add_row("floor", f"{seconds:.2f}", f"{seconds / (nulls + 1) * 1e3:.1f} ms")
    worst = float((cuts / theirs).max())
    console = Console(width=100)
    console.print(table)
    console.print(f"{theirs_seconds / ours:.1f} times as fast; worst n-cut {worst:.4f} of scikit-learn's.")
    console.print(
        f"Floor: {operations / 1e9:.1f} GFLOP and {moved / 1e6:.0f} MB; we take {ours / seconds:.1f} times that."
    )
    return int(theirs_seconds < FASTER * ours or worst > WORSE)


def planted() -> UnitGraph:
    """Weights drawn from a normal distribution, three times as strong inside twelve groups of units."""
    rng = np.random.default_rng(0)
    groups = [rng.integers(K, size=n) for n in SIZES]
    weights = []
    for before, after in pairwise(groups):
        drawn = rng.standard_normal((len(before), len(after))) / np.sqrt(len(before))
        weights.append((drawn * np.where(before[:, None] == after, 3, 1)).astype(np.float32))
    return UnitGraph.of_weights(weights)


def floor(graph: UnitGraph, nulls: int) -> tuple[float, float, float]:
    """Operations, bytes, and the seconds that these take at the rates measured here and now."""
    large, small = sum(SIZES[::2]), sum(SIZES[1::2])
    operations = (nulls + 1) * (large * small**2 + 4 / 3 * small**3)
    moved = (nulls + 1) * 2.0 * sum(b.weights.nbytes for b in graph.blocks)
    square = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        square @ square
        middle = time.perf_counter()
        np.concatenate([square] * 16)
        rates.append((2 * 1024**3 / (middle - start), 2 * 16 * square.nbytes / (time.perf_counter() - middle)))
    flops, bandwidth = (max(r) for r in zip(*rates, strict=True))
    return operations, moved, operations / flops + moved / bandwidth


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
