"""How many directions of a layer a behaviour needs: by ablation and by interchange, beside how many vary.

Directions are ordered by what they do, not by how much they vary: those of the values' variance that outputs are most
sensitive to come first (the eigenvectors of C^½ M C^½ for the covariance C of the values and M = E[JᵀJ], J being the
Jacobian of the outputs; an active subspace, Constantine 2015). M is estimated with random combinations of outputs. With
the first k directions the projection is P = C^½ U Uᵀ C^-½, which leaves the mean where it is.

- *ablation*: everything outside the k directions is put at its mean; how many are needed until answers stay;
- *interchange*: the k directions take the value of another input, the rest stays; how many are needed until the answer
  is the one that swapping the whole layer gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exegesis.behavior import Answers
from exegesis.ir import Graph
from exegesis.measure.bench import Bench
from exegesis.measure.units import Layer, Layers
from exegesis.runtime import Executor
from exegesis.runtime.answers import read_answers

PROBES = 6  # random combinations of outputs per batch


@dataclass(frozen=True)
class Dimension:
    """How many directions of one layer count.

    Attributes:
        layer: its number.
        node: the node that carries it.
        kind: dense, conv, recurrent, or stream: what is read of a residual stream at one place.
        units: how many units it has.
        varying: directions of largest variance that hold 95 % of it.
        ablation: directions needed when all others are put at their mean.
        interchange: directions that must be swapped for the answer of the other input to come.
        target: the share of answers that had to stay (or to come).
    """

    layer: int
    node: str
    kind: str
    units: int
    varying: int
    ablation: int
    interchange: int
    target: float


def dimensions(graph: Graph, bench: Bench, *, target: float = 0.99, seed: int = 0) -> tuple[Dimension, ...]:
    """The effective dimension of every layer of neurons, channels or states, and of every place of a residual stream
    over sequences, on a bench; heads are left out.

    At a place of a residual stream, its readers see the change; what later places sum up is not touched.

    Args:
        graph: the lifted network.
        bench: inputs, some hundred of them.
        target: the share of answers that must stay, or come.
        seed: of the probes and of who is swapped with whom.
    """
    layers = [layer for layer in Layers.of(graph) if layer.kind != "heads"]
    found = [_dimension(graph, bench, layer, target, seed) for layer in layers]
    found += [replace(_dimension(graph, bench, place, target, seed), kind="stream") for place in places(graph)]
    position = {n.id: k for k, n in enumerate(graph.nodes)}
    return tuple(sorted(found, key=lambda d: position[d.node]))


def places(graph: Graph) -> tuple[Layer, ...]:
    """The sums of a residual stream over sequences that anything but another sum reads, as layers without a number."""
    found = []
    for node in graph.nodes:
        size = graph.axes[node.type.axes[-1]].size if node.type.axes and node.type.axes[-1] in graph.axes else None
        read = any(u.op != "component.add" for u in graph.users(node.id))
        if node.op == "component.add" and "state" not in node.attrs and len(node.type.axes) == 3 and size and read:
            found.append(Layer(-1, (node.id,), "dense", size, node.type.axes[-1], (), ()))
    return tuple(found)


def _dimension(graph: Graph, bench: Bench, layer: Layer, target: float, seed: int) -> Dimension:
    asked = _Asked(graph, bench, layer, seed)
    return Dimension(
        layer.index,
        layer.node,
        layer.kind,
        layer.units,
        asked.varying,
        _fewest(layer.units, lambda k: asked.ablated(k) >= target),
        _fewest(layer.units, lambda k: asked.swapped(k) >= target),
        target,
    )


def _fewest(units: int, enough: Callable[[int], bool]) -> int:
    """The smallest number for which it is enough, by bisection; all of them always are."""
    low, high = -1, units
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


class _Asked:
    """One layer on a bench, with its directions."""

    def __init__(self, graph: Graph, bench: Bench, layer: Layer, seed: int) -> None:
        self.graph, self.bench, self.layer = graph, bench, layer
        self.run = Executor(graph)
        self.out = graph.outputs[0]
        self.values = [v for _, v in bench.each(graph, layer.nodes)]
        flat = torch.cat([self._last(v[n]).flatten(0, -2) for v in self.values for n in layer.nodes]).double()
        self.mean = flat.mean(0)
        covariance = (flat - self.mean).T @ (flat - self.mean) / len(flat)
        size, basis = torch.linalg.eigh(covariance)
        size = size.clamp(min=0)
        falling = size.flip(0).cumsum(0) / size.sum().clamp(min=1e-30)
        self.varying = int((falling < 0.95).sum()) + 1 if float(size.sum()) > 0 else 0
        floor = float(size.max()) * 1e-10 + 1e-30
        root = (basis * size.sqrt()) @ basis.T
        inverse = (basis * torch.where(size > floor, size.clamp(min=floor).rsqrt(), 0.0)) @ basis.T
        _, order = torch.linalg.eigh(root @ self._sensitivity(seed) @ root)
        self.into, self.back = root @ order.flip(1), order.flip(1).T @ inverse
        self.donors = [_donors(len(seen.scored), seed) for seen in bench.batches]
        self.whole = [self._swapped(batch, None) for batch in range(len(self.values))]

    def _last(self, value: Tensor) -> Tensor:
        """The value with its units on the last axis."""
        return value.movedim(1, -1) if self.layer.kind == "conv" else value

    def _first(self, value: Tensor) -> Tensor:
        return value.movedim(-1, 1) if self.layer.kind == "conv" else value

    def _sensitivity(self, seed: int) -> Tensor:
        """E[JᵀJ] over inputs, [units, units]."""
        generator = torch.Generator().manual_seed(seed)
        total = torch.zeros(self.layer.units, self.layer.units, dtype=torch.float64)
        for batch, values in enumerate(self.values):
            moves = {n: torch.zeros_like(values[n]).requires_grad_() for n in self.layer.nodes}
            with torch.enable_grad():
                out = self._run(batch, lambda name, value, moves=moves: value + moves[name], gradients=True)  # type: ignore[misc]
                out = out - out.mean(-1, keepdim=True) if out.shape[-1] > 1 else out
                for _ in range(PROBES):
                    probe = torch.randn(out.shape, generator=generator)
                    found = torch.autograd.grad(
                        (out * probe).sum(), list(moves.values()), retain_graph=True, allow_unused=True
                    )
                    for one in found:
                        if one is not None:
                            rows = self._last(one).flatten(0, -2).double()
                            total += rows.T @ rows
        scaled: Tensor = total / max(float(total.diagonal().mean()), 1e-30)
        return scaled

    def _run(self, batch: int, change: Callable[[str, Tensor], Tensor], *, gradients: bool = False) -> Tensor:
        """The outputs of a batch when every node of the layer is changed as soon as it is there, step by step."""
        seen, given = self.bench.batches[batch], dict[str, Tensor]()
        for name in self.layer.nodes:
            value = self.values[batch][name]
            if given:  # what earlier steps became changes later ones
                value = self.run.run(seen.inputs, [name], given=given, gradients=gradients)[name]
            given[name] = change(name, value)
        out: Tensor = self.run.run(seen.inputs, [self.out], given=given, gradients=gradients)[self.out]
        return out

    def _projected(self, value: Tensor, k: int) -> Tensor:
        """The part of a value in the first k directions, the mean as zero."""
        centred = self._last(value).double() - self.mean
        inside: Tensor = centred @ self.back[:k].T @ self.into[:, :k].T
        return inside.to(value.dtype)

    def ablated(self, k: int) -> float:
        """Share of answers that stay with k directions."""

        def change(name: str, value: Tensor) -> Tensor:
            return self._first(self._projected(value, k) + self.mean.to(value.dtype))

        found = [self._read(batch, change) for batch in range(len(self.values))]
        return self._share(found, [seen.answers for seen in self.bench.batches])

    def swapped(self, k: int) -> float:
        """Share of answers that come as when the whole layer is swapped, with k directions swapped."""
        return self._share([self._swapped(batch, k) for batch in range(len(self.values))], self.whole)

    def _swapped(self, batch: int, k: int | None) -> Answers:
        """Answers when a layer, or its first k directions, are those of the donors."""
        values, donors = self.values[batch], self.donors[batch]

        def change(name: str, value: Tensor) -> Tensor:
            other = values[name][donors]
            if k is None:
                return other
            return value + self._first(self._projected(other, k) - self._projected(value, k))

        return self._read(batch, change)

    def _read(self, batch: int, change: Callable[[str, Tensor], Tensor]) -> Answers:
        value = self._run(batch, change)
        return read_answers(self.run, value.numpy(), self.bench.batches[batch].batch, self.bench.readout)

    def _share(self, found: Sequence[Answers], wanted: Sequence[Answers]) -> float:
        same = [self.bench.readout.equal(a, b).sum() for a, b in zip(found, wanted, strict=True)]
        return float(sum(same)) / self.bench.n


def _donors(rows: int, seed: int) -> Tensor:
    """Another row for each."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    return other
