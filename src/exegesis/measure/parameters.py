"""How many directions of a network's parameters a behaviour needs.

Parameters are measured in units of their own tensor: one means its root mean square. In these units noise is added to
all of them, as much as makes answers change. Then the directions are kept free of noise that the outputs feel most: the
largest of the Gauss-Newton matrix JᵀJ, J being the Jacobian of the outputs at all answers in the parameters (Martens
2020, "New insights and perspectives on the natural gradient method"). How many must be kept free until the answers stay
is the effective dimension: everything else may be known as badly as the noise says. As many random directions, kept
free, say what is due to their number alone.

JᵀJ is never formed: its leading directions are found in the span of Jᵀv for random v (Halko, Martinsson and Tropp 2011,
"Finding structure with randomness"). The directions come from some inputs; the answers that must stay are on others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from exegesis.ir import Graph
from exegesis.measure.bench import Bench
from exegesis.measure.sensitivity import scored
from exegesis.runtime import Executor

NOISES: tuple[float, ...] = tuple(float(v) for v in 0.02 * 2 ** (np.arange(14) / 2))
MOST = 512  # directions that are looked for
MEMORY = 1 << 26  # numbers that their coordinates may take
LOOKS = 4096  # times that gradients are taken, over all directions and batches
DRAWS = 3


@dataclass(frozen=True)
class ParameterDimension:
    """The effective dimension of the parameters.

    Attributes:
        parameters: how many there are.
        noise: how large the noise on each is, as a share of the root mean square of its tensor: the least that was
            tried under which fewer than `felt` of the answers stay.
        kept: the share of answers that stay under it.
        needed: how many directions must be free of noise until `target` of the answers stay; None where all that were
            found do not suffice.
        found: how many directions were looked for.
        random: the share of answers that stay when as many random directions are free of noise.
        target, felt: as above.
    """

    parameters: int
    noise: float
    kept: float
    needed: int | None
    found: int
    random: float
    target: float
    felt: float


def parameter_dimension(
    graph: Graph, fit: Bench, held: Bench, *, target: float = 0.99, felt: float = 0.9, seed: int = 0
) -> ParameterDimension:
    """The effective dimension of the parameters of a network.

    Args:
        graph: the lifted network.
        fit: inputs that directions are taken from, some hundred answers.
        held: other inputs, whose answers must stay.
        target: the share of them that must stay.
        felt: the noise is made so large that fewer stay without protection.
        seed: of the noise, and of what directions are looked for with.
    """
    here = _Parameters(graph, fit, held, seed)
    noise = next((n for n in NOISES if here.kept(n, 0) < felt), NOISES[-1])
    low, high = -1, here.most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if here.kept(noise, middle) >= target else (middle, high)
    needed = high if high <= here.most else None
    return ParameterDimension(
        here.size,
        noise,
        here.kept(noise, 0),
        needed,
        here.most,
        here.kept(noise, here.most if needed is None else needed, among_random=True),
        target,
        felt,
    )


class _Parameters:
    """The parameters of a network as one vector, in units of their tensors."""

    def __init__(self, graph: Graph, fit: Bench, held: Bench, seed: int) -> None:
        self.graph, self.fit, self.held, self.seed = graph, fit, held, seed
        names = dict.fromkeys(t for n in graph.nodes for t in n.tensors.values())
        self.names = [n for n in names if graph.tensors[n].dtype.kind == "f" and graph.tensors[n].size]
        self.units = {n: float(np.sqrt((graph.tensors[n].astype(np.float64) ** 2).mean())) for n in self.names}
        self.size = sum(graph.tensors[n].size for n in self.names)
        self.most = max(1, min(MOST, MEMORY // self.size, self.size, max(64, LOOKS // len(fit.batches))))

    @cached_property
    def directions(self) -> Tensor:
        """Orthonormal rows, those first that the outputs feel most, [most, parameters]."""
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.zeros(self.most, self.size)
        run, out = Executor(self.graph), self.graph.outputs[0]
        values = [run.tensor(n).requires_grad_() for n in self.names]
        for seen in self.fit.batches:
            said = scored(run.run(seen.inputs, [out], gradients=True)[out], seen)
            for row in rows:
                probe = torch.randn(said.shape, generator=generator)
                found: list[Tensor | None] = list(
                    torch.autograd.grad((said * probe).sum(), values, retain_graph=True, allow_unused=True)
                )
                row += torch.cat(list(self._scaled(found, values)))
        for value in values:
            value.requires_grad_(False)
        return _ordered(rows)

    def _scaled(self, gradients: list[Tensor | None], values: list[Tensor]) -> Iterator[Tensor]:
        for name, gradient, value in zip(self.names, gradients, values, strict=True):
            yield (torch.zeros_like(value) if gradient is None else gradient * self.units[name]).flatten().float()

    @cached_property
    def random(self) -> Tensor:
        """As many random directions."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        return _ordered(torch.randn(self.most, self.size, generator=generator))

    def kept(self, noise: float, free: int, *, among_random: bool = False) -> float:
        """The share of answers that stay under noise, some directions free of it; on average over draws."""
        said = []
        for draw in range(DRAWS):
            generator = torch.Generator().manual_seed(1000 * (self.seed + 1) + draw)
            change = noise * torch.randn(self.size, generator=generator)
            if free:
                basis = (self.random if among_random else self.directions)[:free]
                change = change - basis.T @ (basis @ change)
            said.append(self.held.agreement(self._moved(change)))
        return float(np.mean(said))

    def _moved(self, change: Tensor) -> Graph:
        tensors, at = {}, 0
        for name in self.names:
            old = self.graph.tensors[name]
            part = change[at : at + old.size].numpy().reshape(old.shape)
            tensors[name] = (old + self.units[name] * part).astype(old.dtype)
            at += old.size
        return self.graph.with_nodes(self.graph.nodes, tensors=tensors)


def _ordered(rows: Tensor) -> Tensor:
    """An orthonormal basis of the span of some rows, the longest directions first; zeros where there are fewer."""
    size, basis = torch.linalg.eigh(_products(rows))
    size, basis = size.flip(0), basis.flip(1)
    there = size > 1e-8 * size.max().clamp_min(1e-30)
    count = int(there.sum())
    found = torch.zeros_like(rows)
    made = (basis[:, :count] * size[:count].rsqrt()).T.float() @ rows
    lower = torch.linalg.cholesky(_products(made))  # mends what was lost to rounding, in the same order
    found[:count] = torch.linalg.solve_triangular(lower.float(), made, upper=False)
    return found


def _products(rows: Tensor) -> Tensor:
    """Inner products of rows, in double precision a part at a time."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for start in range(0, rows.shape[1], 1 << 16):
        part = rows[:, start : start + (1 << 16)].double()
        total += part @ part.T
    return total
