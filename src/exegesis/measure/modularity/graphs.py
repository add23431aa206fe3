"""Graphs of units: who is tied to whom, and how strongly, in layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import bmat, csr_matrix
from scipy.sparse.csgraph import connected_components

from exegesis.ir import ExegesisError


class ModularityError(ExegesisError):
    """A graph in which modules cannot be looked for."""


@dataclass(frozen=True)
class Layer:
    """A layer of units.

    Attributes:
        name: for people.
        size: how many units there are.
        hidden: its number in `exegesis.measure.Layers`; None for inputs, outputs, and graphs without a network.
    """

    name: str
    size: int
    hidden: int | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """The edges between two layers.

    Attributes:
        source, target: places of the layers in `UnitGraph.layers`; the same place twice for recurrent edges.
        weights: how strongly each unit of the source is tied to each of the target, none negative.
        fixed: no part of what was learned (skip connections), so that nulls leave it as it is.
    """

    source: int
    target: int
    weights: Float[np.ndarray, "m n"]
    fixed: bool = False


@dataclass(frozen=True, eq=False)
class UnitGraph:
    """An undirected graph over the units of all layers.

    Attributes:
        layers: in the order of the network.
        blocks: edges by pair of layers. Layers without a block between them are not tied.
        of: what the weights of the edges are: `weights`, `correlations`, `attributions`.

    Raises:
        ModularityError: an edge that is negative, NaN or infinite, or a block of another shape than its layers.
    """

    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    of: str = "weights"

    def __post_init__(self) -> None:
        for block in self.blocks:
            ends = self.layers[block.source], self.layers[block.target]
            where = f"The edges between {ends[0].name} and {ends[1].name}"
            if block.weights.shape != (ends[0].size, ends[1].size):
                needed = [ends[0].size, ends[1].size]
                raise ModularityError(f"{where} have shape {list(block.weights.shape)}, where {needed} is needed.")
            if not np.isfinite(block.weights).all() or (block.weights < 0).any():
                raise ModularityError(f"{where} hold numbers that are negative, NaN or infinite.")

    @classmethod
    def of_weights(
        cls, matrices: Sequence[Float[np.ndarray, "_ _"]], names: Sequence[str] | None = None, of: str = "weights"
    ) -> UnitGraph:
        """The graph of a chain of layers, matrices [units before, units after]; edges are absolute weights.

        Source: Filan et al., Clusterability in Neural Networks (arXiv 2103.03386), section 2.

        Raises:
            ModularityError: no matrices, or such as do not follow each other.
        """
        if not matrices:
            raise ModularityError("A graph of units needs at least one matrix of weights.")
        for before, after in pairwise(matrices):
            if before.shape[1] != after.shape[0]:
                shapes = f"{list(before.shape)} and {list(after.shape)}"
                raise ModularityError(f"Matrices of shapes {shapes} cannot follow each other.")
        sizes = [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
        called = names or ["input", *(f"layer {i}" for i in range(1, len(matrices))), "output"]
        layers = tuple(Layer(name, size) for name, size in zip(called, sizes, strict=True))
        blocks = tuple(Block(i, i + 1, np.abs(m).astype(np.float32)) for i, m in enumerate(matrices))
        return cls(layers, blocks, of)

    @property
    def n(self) -> int:
        """How many units there are."""
        return sum(layer.size for layer in self.layers)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The index of each layer's first unit, and `n` at the end."""
        return (0, *np.cumsum([layer.size for layer in self.layers]).tolist())

    @cached_property
    def layer_of(self) -> Int[np.ndarray, " n"]:
        """Which layer each unit lies in."""
        return np.repeat(np.arange(len(self.layers)), [layer.size for layer in self.layers])

    @cached_property
    def degrees(self) -> Float[np.ndarray, " n"]:
        """The sum of the edges of each unit, in float64."""
        out = np.zeros(self.n)
        for block in self.blocks:
            out[self.span(block.source)] += block.weights.sum(1, dtype=np.float64)
            out[self.span(block.target)] += block.weights.sum(0, dtype=np.float64)
        return out

    def span(self, layer: int) -> slice:
        """Where the units of a layer stand."""
        return slice(self.offsets[layer], self.offsets[layer + 1])

    @cached_property
    def colours(self) -> tuple[int, ...] | None:
        """A side, 0 or 1, for each layer, such that every block joins two sides; None where there are no such sides."""
        side: dict[int, int] = {}
        for start in range(len(self.layers)):
            stack = [(start, 0)] if start not in side else []
            while stack:
                layer, colour = stack.pop()
                if side.setdefault(layer, colour) != colour:
                    return None
                if side[layer] == colour:
                    ends = [b.target for b in self.blocks if b.source == layer]
                    ends += [b.source for b in self.blocks if b.target == layer]
                    if layer in ends:
                        return None
                    stack += [(end, 1 - colour) for end in ends if side.get(end) != 1 - colour]
        return tuple(side[i] for i in range(len(self.layers)))

    @property
    def connected(self) -> Bool[np.ndarray, " n"]:
        """Which units have an edge at all."""
        return self.degrees > 0

    @cached_property
    def components(self) -> Int[np.ndarray, " n"]:
        """The connected component that each unit belongs to; a unit without edges is one of its own."""
        _, labels = connected_components(self.sparse(), directed=False)
        return np.asarray(labels, dtype=np.int64)

    def select(self, kept: Bool[np.ndarray, " n"]) -> UnitGraph:
        """The graph of some of the units, in the same layers, which may become empty."""
        parts = [kept[self.span(i)] for i in range(len(self.layers))]
        layers = tuple(replace(layer, size=int(p.sum())) for layer, p in zip(self.layers, parts, strict=True))
        blocks = tuple(
            Block(b.source, b.target, b.weights[np.ix_(parts[b.source], parts[b.target])], b.fixed) for b in self.blocks
        )
        return UnitGraph(layers, blocks, self.of)

    def between(self, block: int) -> UnitGraph:
        """The graph of one block and its two layers alone."""
        b = self.blocks[block]
        ends = (b.source,) if b.source == b.target else (b.source, b.target)
        return UnitGraph(tuple(self.layers[i] for i in ends), (Block(0, len(ends) - 1, b.weights, b.fixed),), self.of)

    def adjacency(self) -> Float[np.ndarray, "n n"]:
        """The whole symmetric matrix of edges."""
        out = np.zeros((self.n, self.n), dtype=np.float32)
        for b in self.blocks:
            out[self.span(b.source), self.span(b.target)] += b.weights
            out[self.span(b.target), self.span(b.source)] += b.weights.T
        return out

    def sparse(self) -> csr_matrix:
        """The same without its zeros."""
        sizes = [layer.size for layer in self.layers]
        rows: list[list[csr_matrix | None]] = [
            [csr_matrix((s, t), dtype=np.float32) if i == j else None for j, t in enumerate(sizes)]
            for i, s in enumerate(sizes)
        ]
        for b in self.blocks:
            for i, j, weights in ((b.source, b.target, b.weights), (b.target, b.source, b.weights.T)):
                here = rows[i][j]
                rows[i][j] = csr_matrix(weights) if here is None else here + csr_matrix(weights)
        return bmat(rows, format="csr")
