"""What figures are compared with: places that mean nothing, and networks that know nothing."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool
from numpy.random import Generator
from torch import Tensor

from exegesis.runtime import Network
from exegesis.runtime.exported import ExportedNetwork
from exegesis.verify.places import Place, onto
from exegesis.verify.swaps import Pool

_WIDEST = 2**24  # entries of a basis: 128 MiB


@dataclass(frozen=True, eq=False)
class Subspace(Place):
    """A subspace of everything that a value holds at one position: of all heads together, not of one.

    Attributes:
        across: [n, n], the projection onto it, over the value's axes of fixed size together.
        fixed: which axes these are.
    """

    across: Tensor | None = None
    fixed: tuple[int, ...] = ()

    def mixed(self, value: Tensor, source: Tensor, where: Bool[Tensor, "b s"]) -> Tensor:
        """`value` with what `source` has in the subspace in its place."""
        assert self.across is not None
        last = tuple(range(value.ndim - len(self.fixed), value.ndim))
        difference = (source - value).movedim(self.fixed, last)
        moved = difference.reshape(*difference.shape[: last[0]], -1) @ self.across.to(value)
        back = moved.reshape(difference.shape).movedim(last, self.fixed)
        return super().mixed(value, value + back, where)


def random_subspace(places: Sequence[Place], exported: ExportedNetwork, rng: Generator) -> list[Place] | None:
    """A random subspace of equal dimension at each value that the places share; None where a place fills its value, or
    is so wide (channels of images) that drawing a basis would take minutes and gigabytes."""
    found: list[Place] = []
    for name in dict.fromkeys(p.value for p in places):
        here = [p for p in places if p.value == name]
        shape, one = exported.values[name].shape, here[0]
        fixed = tuple(i for i, n in enumerate(shape) if n is not None and i not in (one.batch, one.position))
        width = int(np.prod([shape[i] or 1 for i in fixed], dtype=np.int64))
        dimension = sum(p.dimension for p in here)
        if dimension >= width or dimension * width > _WIDEST or not exported.values[name].dtype.is_floating_point:
            return None
        basis = torch.from_numpy(np.linalg.qr(rng.normal(size=(width, dimension)))[0].T.copy())
        found.append(
            Subspace(
                value=name,
                label=f"{dimension} random dimensions of {name}",
                batch=one.batch,
                position=one.position,
                selected=None,
                projection=None,
                dimension=dimension,
                across=onto(basis),
                fixed=fixed,
            )
        )
    return found


def other_site(places: Sequence[Place], pool: Pool, rng: Generator) -> list[Place] | None:
    """The same parts of other values of the same shape, one random value for each of theirs; None where there is none.

    A value counts as another one where it differs on the pool's inputs; it depends on the input, and the output on it.
    """
    exported = pool.reference.exported
    found: list[Place] = []
    on_the_way = exported.before([exported.output]) - {exported.output}
    for name in dict.fromkeys(p.value for p in places):
        like = exported.values[name]
        names = [
            v.name
            for v in exported.values.values()
            if v.shape == like.shape and v.dtype == like.dtype and v.name in on_the_way and v.name != name
        ]
        values = pool.values([name, *names])
        others = [n for n in names if values[n].shape == values[name].shape and not _same(values[n], values[name])]
        if not others:
            return None
        other = others[rng.integers(len(others))]
        found += [replace(p, value=other, label=f"{p.label} at {other}") for p in places if p.value == name]
    return found


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-6))


def shuffled(network: Network, seed: int) -> Network:
    """A copy of a network in which the entries of every weight are permuted: all that was learned is gone."""
    module = copy.deepcopy(network.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(module.named_parameters()):
            flat = weight.detach().flatten()
            weight.copy_(flat[torch.randperm(len(flat), generator=generator)].reshape(weight.shape))
    return Network(module, f"{network.name} with shuffled weights (seed {seed})")
