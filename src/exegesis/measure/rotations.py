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

_TRIES = 6  # rows that are looked at for one where a variable is the same

_MOST_TOKENS = 4_000  # in one step
_FEWEST = 48
_RIDGE = 1e-3
_JITTER = 1e-4

Bases = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs of one length, or filled up to one: per input node [n, s]; and [n, s] which positions count.

    Attributes:
        inputs, scored: as above.
        lengths: [n] in ascending order, where rows are filled up: values are then taken from rows as long, and only
            positions that count tell where variables live.
    """

    inputs: Mapping[str, Tensor]
    scored: Tensor
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.scored)

    def others(self, base: Tensor, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
        """Random rows as long as those of `base`, which `shape` broadcasts with, [*shape]."""
        if self.lengths is None:
            return torch.randint(len(self), shape, generator=random)
        first = torch.searchsorted(self.lengths, self.lengths[base])
        many = torch.searchsorted(self.lengths, self.lengths[base], right=True) - first
        return first + (torch.rand(shape, generator=random) * many).long()


@dataclass(frozen=True, eq=False)
class Draw:
    """Swaps: the row of each [b]; per variable and position its source, and whether it is swapped, [v, b, s] each."""

    base: Tensor
    source: Tensor
    where: Tensor

    def __len__(self) -> int:
        return len(self.base)

    @classmethod
    def joined(cls, a: Draw, b: Draw) -> Draw:
        """Both, one after the other."""
        return cls(torch.cat([a.base, b.base]), torch.cat([a.source, b.source], 1), torch.cat([a.where, b.where], 1))


@dataclass(frozen=True)
class Found:
    """Subspaces of a node of the network, one per variable, and how the interchange on other rows went.

    Attributes:
        node: the node.
        bases: orthonormal rows per variable, [k, width].
        accuracy, null: over swaps that change the program's answer; with random subspaces of the same dimensions.
        kept: how often the answer stays when every position takes what another row has where the variable is the same.
    """

    node: str
    bases: Bases = field(repr=False)
    accuracy: float
    null: float
    kept: float

    @property
    def worst(self) -> float:
        """The smaller of accuracy and what is kept."""
        return min(self.accuracy, self.kept)


class Swapper:
    """A program and a network over the same inputs, whose variables are swapped on both sides.

    Args:
        graph: the network, or network and program; its first output is the network's.
        answer: the node of the program's answer, a category.
        variables: nodes of the program with one value per position, in order of computation.
        rows: the inputs.
        seed: draws swaps.
        program: the program, where `graph` does not hold it.
    """

    def __init__(
        self,
        graph: Graph,
        answer: str,
        variables: Sequence[str],
        rows: Rows,
        seed: int,
        *,
        program: Graph | None = None,
    ) -> None:
        self._run = Executor(chained(graph))
        self._program = self._run if program is None else Executor(program)
        self._out, self._answer, self._variables, self._rows = graph.outputs[0], answer, tuple(variables), rows
        self._random = torch.Generator().manual_seed(seed)
        self._held = self._program.run(self._read(self._program, rows.inputs), [answer, *variables])

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that are swapped."""
        return self._variables

    def values(self, node: str) -> Tensor:
        """A value of the network on every row."""
        found: Tensor = self._run.run(self._read(self._run, self._rows.inputs), [node])[node]
        return found

    @property
    def telling(self) -> Tensor | None:
        """Which positions tell where variables live, [n, s]; None: all."""
        return None if self._rows.lengths is None else self._rows.scored

    def held(self, variable: str) -> Tensor:
        """A variable of the program on every row."""
        found: Tensor = self._held[variable]
        return found

    def draw(self, count: int) -> Draw:
        """Swaps of a random subset of the variables, half of them in whole."""
        n, many, length = len(self._rows), len(self._variables), self._rows.scored.shape[1]
        base = torch.randint(n, (count,), generator=self._random)
        source = self._rows.others(base, (many, count), self._random)
        taken = torch.rand(many, count, generator=self._random) < 0.5
        taken[torch.randint(many, (count,), generator=self._random), torch.arange(count)] = True
        some = torch.rand(many, count, 1, generator=self._random) < 0.5
        where = ~some | (torch.rand(many, count, length, generator=self._random) < 0.5)
        return Draw(base, source[:, :, None].expand(-1, -1, length), where & taken[:, :, None])

    def scrub(self, count: int) -> Draw:
        """Swaps that change nothing in the program: each variable, at each position, from a row where it is the same.

        Source: causal scrubbing (Chan et al., 2022).
        """
        n, many, length = len(self._rows), len(self._variables), self._rows.scored.shape[1]
        base = torch.randint(n, (count,), generator=self._random)
        source = base[None, :, None].repeat(many, 1, length)
        where, at = torch.zeros_like(source, dtype=torch.bool), torch.arange(length)
        for _ in range(_TRIES):
            other = self._rows.others(base[:, None], tuple(source.shape), self._random)
            for v, name in enumerate(self._variables):
                held = self._held[name]
                same = (held[other[v], at] == held[base]) & ~where[v]
                source[v] = torch.where(same, other[v], source[v])
                where[v] |= same
        return Draw(base, source, where)

    def predicted(self, swaps: Draw) -> tuple[Tensor, Tensor]:
        """What the program says at the scored positions of each swap, and what it says without: [k], or [k, outputs]
        where it says which outputs are allowed."""
        inputs = self._read(self._program, self._rows.inputs, swaps.base)
        given: dict[str, Tensor] = {}
        at = torch.arange(self._rows.scored.shape[1])
        for v, name in enumerate(self._variables):
            touched = self._program.graph.upstream([name]).intersection(self._variables[:v])
            own = self._program.run(inputs, [name], given=given)[name] if touched else self._held[name][swaps.base]
            given[name] = torch.where(swaps.where[v], self._held[name][swaps.source[v], at], own)
        scored = self._rows.scored[swaps.base]
        said = self._program.run(inputs, [self._answer], given=given)[self._answer]
        return said[scored].long(), self._held[self._answer][swaps.base][scored].long()

    def logits(self, swaps: Draw, node: str, values: Tensor, bases: Sequence[Tensor], *, gradients: bool) -> Tensor:
        """The network's outputs at the scored positions, [k, outputs], with the variables' subspaces swapped."""
        inputs = self._read(self._run, self._rows.inputs, swaps.base)
        own = values[swaps.base]
        new = own
        for v, basis in enumerate(bases):
            change = ((values[swaps.source[v], torch.arange(own.shape[1])] - own) @ basis.T) @ basis
            new = new + change * swaps.where[v][:, :, None]
        out = self._run.run(inputs, [self._out], given={node: new}, gradients=gradients)[self._out]
        counted: Tensor = out[self._rows.scored[swaps.base]]
        return counted

    @staticmethod
    def _read(run: Executor, inputs: Mapping[str, Tensor], rows: Tensor | None = None) -> dict[str, Tensor]:
        """What a graph reads of the inputs, in some rows."""
        wanted = {n.id for n in run.graph.inputs}
        return {name: value if rows is None else value[rows] for name, value in inputs.items() if name in wanted}


@dataclass(frozen=True)
class Search:
    """How hard subspaces are looked for.

    Attributes:
        steps, batch, rate: of Adam; swaps per step.
        judged: swaps that subspaces are judged by.
        enough: how good directions must be for nothing to be trained.
    """

    steps: int = 150
    batch: int = 192
    rate: float = 0.02
    judged: int = 1500
    enough: float = 0.98

    def find(self, fit: Swapper, held: Swapper, node: str, dimensions: Sequence[int], seed: int) -> Found:
        """The best subspaces of a node for the variables, judged on other rows than they were fitted to.

        Those that linear regression gives are tried first; where these do, nothing is trained.

        Args:
            fit, held: the same program and network over two sets of rows.
            node: a value of the network, [b, s, width].
            dimensions: of the subspace of each variable; together at most the width.
        """
        values = fit.values(node)
        batch = max(_FEWEST, min(self.batch, _MOST_TOKENS // values.shape[1]))
        weight = torch.nn.Parameter(_start(fit, values, dimensions, seed))
        first = self._judged(held, node, weight.detach(), dimensions, seed)
        if first.worst >= self.enough:
            return first
        optimiser = torch.optim.Adam([weight], lr=self.rate)
        for _ in range(self.steps):
            swaps = Draw.joined(fit.draw(batch), fit.scrub(batch // 3))
            said, before = fit.predicted(swaps)
            with torch.enable_grad():
                bases = _bases(weight, dimensions)
                logits = fit.logits(swaps, node, values, bases, gradients=True)
                loss = (_loss(logits, said) * torch.where(_differ(said, before), 1.0, 0.5)).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        return max(first, self._judged(held, node, weight.detach(), dimensions, seed), key=lambda f: f.worst)

    def _judged(self, held: Swapper, node: str, weight: Tensor, dimensions: Sequence[int], seed: int) -> Found:
        """How subspaces do: where the program's answer changes (anywhere, where it never does), and where it stays."""
        values, swaps, still = held.values(node), held.draw(self.judged), held.scrub(self.judged)
        random = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        found, others = _bases(weight, dimensions), _bases(random, dimensions)
        said, before = held.predicted(swaps)
        counts = _differ(said, before)
        counts = counts if bool(counts.any()) else torch.ones_like(counts)

        def right(swaps: Draw, said: Tensor, bases: Sequence[Tensor]) -> Tensor:
            logits = held.logits(swaps, node, values, bases, gradients=False)
            return ~_differ(logits.argmax(-1) if said.ndim == 1 else (logits > 0).long(), said)

        accuracy, null = (float(right(swaps, said, b)[counts].float().mean()) for b in (found, others))
        kept = float(right(still, held.predicted(still)[0], found).float().mean())
        return Found(node, tuple(b.numpy().astype(np.float32) for b in found), accuracy, null, kept)


def _differ(a: Tensor, b: Tensor) -> Tensor:
    """Where answers are not the same, [k]."""
    return a != b if a.ndim == 1 else (a != b).any(1)


def _loss(logits: Tensor, said: Tensor) -> Tensor:
    """How far outputs are from an answer, or from the set of those that are allowed, [k]."""
    if said.ndim == 1:
        return torch.nn.functional.cross_entropy(logits, said, reduction="none")
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, said.float(), reduction="none").sum(1)


def _start(swapper: Swapper, values: Tensor, dimensions: Sequence[int], seed: int) -> Tensor:
    """Directions that tell the values of each variable at the same position, those along which they differ, then
    random ones: columns [width, sum of dimensions]."""
    generator = torch.Generator().manual_seed(seed)
    width = values.shape[-1]
    told = torch.ones(values.shape[:2]) if swapper.telling is None else swapper.telling.float()
    mean = (values * told[:, :, None]).sum(0) / told.sum(0)[:, None].clamp(min=1)
    centred = ((values - mean) * told[:, :, None]).flatten(0, 1)
    spread = centred.T @ centred / told.sum()
    spread += _RIDGE * spread.diagonal().mean() * torch.eye(width)
    parts = []
    for variable, size in zip(swapper.variables, dimensions, strict=True):
        means = _means(swapper.held(variable), centred, told > 0)
        known = torch.cat([_span(torch.linalg.solve(spread, means.T).T), _span(means)])[:size]
        free = torch.randn(size - len(known), width, generator=generator) / width**0.5
        parts.append(torch.cat([known, free]))
    columns = torch.cat(parts).T
    return columns + _JITTER * torch.randn(columns.shape, generator=generator)


def _means(held: Tensor, centred: Tensor, told: Tensor) -> Tensor:
    """The mean of rows [b · s, width] for each value of a variable [b, s], where it varies between inputs and tells."""
    varies = ((held != held[:1]).any(0) & told).flatten()
    kinds, code = torch.unique(held.flatten()[varies], return_inverse=True)
    total = torch.zeros(len(kinds), centred.shape[1]).index_add_(0, code, centred[varies])
    means: Tensor = total / torch.bincount(code, minlength=len(kinds)).clamp(min=1)[:, None]
    return means


def _span(rows: Tensor) -> Tensor:
    """Orthonormal rows that span these, those that matter most first."""
    _, strength, found = torch.linalg.svd(rows, full_matrices=False)
    kept: Tensor = found[strength > 1e-4 * strength.max().clamp(min=1e-12)]
    return kept


def _bases(weight: Tensor, dimensions: Sequence[int]) -> list[Tensor]:
    """Orthonormal rows per variable out of columns in general position."""
    columns, _ = torch.linalg.qr(weight)
    return [part.T for part in columns.split(list(dimensions), 1)]
