"""Where variables live in the residual stream: subspaces found by gradient, such that swaps do what the program says.

Source: distributed alignment search (Geiger et al., 2023, arXiv 2303.02536), with fixed dimensions, several variables
at once in subspaces at right angles, and swaps drawn as the judge draws them: each variable from a source of its own,
in whole or at some positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.ir import Graph
from exegesis.measure.streams import chained
from exegesis.runtime import Executor

Bases = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs of one length: per input node [n, s]; and [n, s] which positions count."""

    inputs: Mapping[str, Tensor]
    scored: Tensor

    def __len__(self) -> int:
        return len(self.scored)


@dataclass(frozen=True, eq=False)
class Draw:
    """Swaps: the row of each [b]; per variable its source [v, b] and where it is swapped [v, b, s]."""

    base: Tensor
    source: Tensor
    where: Tensor

    def __len__(self) -> int:
        return len(self.base)

    def take(self, rows: Tensor) -> Draw:
        """Some of the swaps."""
        return Draw(self.base[rows], self.source[:, rows], self.where[:, rows])


@dataclass(frozen=True)
class Found:
    """Subspaces of a node of the network, one per variable, and how the interchange on other rows went.

    Attributes:
        node: the node.
        bases: orthonormal rows per variable, [k, width].
        accuracy, null: over swaps that change the program's answer; with random subspaces of the same dimensions.
    """

    node: str
    bases: Bases = field(repr=False)
    accuracy: float
    null: float


class Swapper:
    """A program and a network over the same inputs, whose variables are swapped on both sides.

    Args:
        graph: holds both; its first output is the network's.
        answer: the node of the program's answer, a category.
        variables: nodes of the program with one value per position, in order of computation.
        rows: the inputs.
        seed: draws swaps.
    """

    def __init__(self, graph: Graph, answer: str, variables: Sequence[str], rows: Rows, seed: int) -> None:
        self._run = Executor(chained(graph))
        self._out, self._answer, self._variables, self._rows = graph.outputs[0], answer, tuple(variables), rows
        self._random = torch.Generator().manual_seed(seed)
        self._held = self._run.run(rows.inputs, [answer, *variables])

    def values(self, node: str) -> Tensor:
        """A value of the network on every row."""
        found: Tensor = self._run.run(self._rows.inputs, [node])[node]
        return found

    def held(self, variable: str) -> Tensor:
        """A variable of the program on every row."""
        found: Tensor = self._held[variable]
        return found

    def draw(self, count: int) -> Draw:
        """Swaps of a random subset of the variables, half of them in whole."""
        n, many, length = len(self._rows), len(self._variables), self._rows.scored.shape[1]
        base = torch.randint(n, (count,), generator=self._random)
        source = torch.randint(n, (many, count), generator=self._random)
        taken = torch.rand(many, count, generator=self._random) < 0.5
        taken[torch.randint(many, (count,), generator=self._random), torch.arange(count)] = True
        some = torch.rand(many, count, 1, generator=self._random) < 0.5
        where = ~some | (torch.rand(many, count, length, generator=self._random) < 0.5)
        return Draw(base, source, where & taken[:, :, None])

    def predicted(self, swaps: Draw) -> tuple[Tensor, Tensor]:
        """What the program says at the scored positions of each swap, [k], and what it says without, [k]."""
        inputs = {name: value[swaps.base] for name, value in self._rows.inputs.items()}
        given: dict[str, Tensor] = {}
        for v, name in enumerate(self._variables):
            touched = self._run.graph.upstream([name]).intersection(self._variables[:v])
            own = self._run.run(inputs, [name], given=given)[name] if touched else self._held[name][swaps.base]
            given[name] = torch.where(swaps.where[v], self._held[name][swaps.source[v]], own)
        scored = self._rows.scored[swaps.base]
        said = self._run.run(inputs, [self._answer], given=given)[self._answer]
        return said[scored].long(), self._held[self._answer][swaps.base][scored].long()

    def logits(self, swaps: Draw, node: str, values: Tensor, bases: Sequence[Tensor], *, gradients: bool) -> Tensor:
        """The network's outputs at the scored positions, [k, outputs], with the variables' subspaces swapped."""
        inputs = {name: value[swaps.base] for name, value in self._rows.inputs.items()}
        own = values[swaps.base]
        new = own
        for v, basis in enumerate(bases):
            change = ((values[swaps.source[v]] - own) @ basis.T) @ basis
            new = new + change * swaps.where[v][:, :, None]
        out = self._run.run(inputs, [self._out], given={node: new}, gradients=gradients)[self._out]
        counted: Tensor = out[self._rows.scored[swaps.base]]
        return counted


@dataclass(frozen=True)
class Search:
    """How hard subspaces are looked for: steps of Adam, swaps per step, and swaps that they are judged by."""

    steps: int = 200
    batch: int = 256
    rate: float = 0.02
    judged: int = 1500

    def find(self, fit: Swapper, held: Swapper, node: str, dimensions: Sequence[int], seed: int) -> Found:
        """The best subspaces of a node for the variables, judged on other rows than they were fitted to.

        Args:
            fit, held: the same program and network over two sets of rows.
            node: a value of the network, [b, s, width].
            dimensions: of the subspace of each variable; together at most the width.
        """
        values = fit.values(node)
        weight = torch.nn.Parameter(_start(fit, values, dimensions, seed))
        optimiser = torch.optim.Adam([weight], lr=self.rate)
        for _ in range(self.steps):
            swaps = fit.draw(self.batch)
            said, before = fit.predicted(swaps)
            with torch.enable_grad():
                bases = _bases(weight, dimensions)
                logits = fit.logits(swaps, node, values, bases, gradients=True)
                each = torch.nn.functional.cross_entropy(logits, said, reduction="none")
                loss = (each * torch.where(said != before, 1.0, 0.5)).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        found = [b.detach() for b in _bases(weight, dimensions)]
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(weight.shape, generator=generator)
        accuracy, null = self._accuracy(held, node, [found, _bases(random, dimensions)])
        return Found(node, tuple(b.numpy().astype(np.float32) for b in found), accuracy, null)

    def _accuracy(self, held: Swapper, node: str, choices: Sequence[Sequence[Tensor]]) -> list[float]:
        """Over the same swaps, for each choice of subspaces: how often the network says what the program says, where
        the program's answer changes (anywhere, where it never does)."""
        values, swaps = held.values(node), held.draw(self.judged)
        said, before = held.predicted(swaps)
        counts = said != before if bool((said != before).any()) else torch.ones_like(said, dtype=torch.bool)
        return [
            float((held.logits(swaps, node, values, bases, gradients=False).argmax(-1) == said)[counts].float().mean())
            for bases in choices
        ]


def _start(swapper: Swapper, values: Tensor, dimensions: Sequence[int], seed: int) -> Tensor:
    """Random directions, [width, sum of dimensions]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(values.shape[-1], sum(dimensions), generator=generator)


def _bases(weight: Tensor, dimensions: Sequence[int]) -> list[Tensor]:
    """Orthonormal rows per variable out of columns in general position."""
    columns, _ = torch.linalg.qr(weight)
    return [part.T for part in columns.split(list(dimensions), 1)]
