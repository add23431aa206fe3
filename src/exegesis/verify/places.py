"""Places in a network that a swap writes to: entries of a value, a subspace of it, entries with what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from numpy.random import Generator
from torch import Tensor

from exegesis.runtime.exported import ExportedNetwork


@dataclass(frozen=True, eq=False)
class Place:
    """One site in one network, ready to be written to.

    Attributes:
        value: name of the network's value.
        label: how a person calls it.
        batch: which axis of the value is the batch.
        position: which axis follows the variable's positions; None where none does.
        selected: entries that belong to the site, over the value's other axes (1 along those where all do); None: all.
        projection: [width, width], onto the subspace of the last axis that belongs to the site; None: all of it.
        dimension: how many numbers the site holds per position.
        head: which head of an attention it is a part of, where it is part of one.
        echo: [k, width], how all entries along an axis follow the k that are selected; None: the others do not.
        along: that axis.
    """

    value: str
    label: str
    batch: int
    position: int | None
    selected: Bool[Tensor, "..."] | None
    projection: Tensor | None
    dimension: int
    head: int | None = None
    echo: Tensor | None = None
    along: int = -1

    @cached_property
    def entries(self) -> Int[Tensor, " k"]:
        """Which entries along the axis of the echo are the variable's own."""
        assert self.selected is not None
        return self.selected.flatten().nonzero()[:, 0]

    def mixed(self, value: Tensor, source: Tensor, where: Bool[Tensor, "b s"]) -> Tensor:
        """`value` with what `source` has at this site in its place, at the positions chosen by `where`.

        A site without positions changes as a whole in the rows where any position is chosen.
        """
        rows = where if self.position is not None else where.any(1)
        shape = [1] * value.ndim
        shape[self.batch] = len(rows)
        if self.position is not None:
            shape[self.position] = where.shape[1]
            rows = rows if self.batch < self.position else rows.T
        chosen = rows.reshape(shape)
        if self.echo is not None:
            moved = (source - value).index_select(self.along, self.entries).movedim(self.along, -1)
            return torch.where(chosen, value + (moved @ self.echo.to(value)).movedim(-1, self.along), value)
        if self.selected is not None:
            chosen = chosen & self.selected
        if self.projection is None:
            return torch.where(chosen, source, value)
        return value + torch.where(chosen, (source - value) @ self.projection.to(value), 0.0)

    @property
    def touched(self) -> Bool[Tensor, "..."] | None:
        """Entries that a swap here changes, laid out like `selected`; None: all."""
        if self.echo is None or self.selected is None:
            return self.selected
        return (self.echo != 0).any(0).reshape(self.selected.shape)

    def rows(self, value: Tensor, index: Tensor, at: Tensor | None = None) -> Tensor:
        """Rows of a value along its batch axis, by `index` [b]; or one row per position, by `index` [b, s].

        With `at` [b, s], every position gets what the row has at another one.
        """
        if self.position is None or (index.ndim == 1 and at is None):
            return value.index_select(self.batch, index if index.ndim == 1 else index[:, 0])
        moved = value.movedim((self.batch, self.position), (0, 1))
        rows = index if index.ndim > 1 else index[:, None]
        positions = torch.arange(index.shape[1]) if at is None else at
        return moved[rows, positions].movedim((0, 1), (self.batch, self.position))


@dataclass(frozen=True, eq=False)
class Rest(Place):
    """What a value holds beside some places of it: entries of no variable, less what follows those of variables.

    Attributes:
        places: the places that stay as they are.
    """

    places: tuple[Place, ...] = ()

    def mixed(self, value: Tensor, source: Tensor, where: Bool[Tensor, "b s"]) -> Tensor:
        """`value` with what `source` has in its place wherever no place says what is there."""
        own = value
        for place in self.places:
            own = place.mixed(own, source, where)
        everything = replace(self.places[0], selected=None, projection=None, echo=None).mixed(value, source, where)
        return value + (everything - own)

    @property
    def named(self) -> Bool[Tensor, "..."]:
        """Which entries the places name."""
        masks = [p.selected for p in self.places if p.selected is not None]
        found = masks[0]
        for mask in masks[1:]:
            found = found | mask
        return found

    def random_entries(self, rng: Generator) -> Place:
        """As many entries as the places do not name, drawn from all."""
        mixed = self.named.flatten()[torch.from_numpy(rng.permutation(self.named.numel()))]
        return replace(self.places[0], selected=~mixed.reshape(self.named.shape), projection=None, echo=None)


def rests(places: Sequence[Place], exported: ExportedNetwork) -> tuple[Rest, ...]:
    """Per value of the network that places hold some entries of, and none the whole: what they do not hold of it."""
    found = []
    for name in (value for value in exported.values if any(p.value == value for p in places)):
        own = tuple(p for p in places if p.value == name)
        if any(p.selected is None for p in own):
            continue
        label = f"what is left of {own[0].label.partition('[')[0]}"
        rest = Rest(name, label, own[0].batch, own[0].position, None, None, 0, places=own)
        if not bool(rest.named.all()):
            found.append(rest)
    return tuple(found)


def onto(basis: Tensor) -> Tensor:
    """The orthogonal projection onto the span of the rows of a basis [k, width], as a float32 matrix [width, width]."""
    projection: Tensor = torch.linalg.pinv(basis) @ basis
    return projection.to(torch.float32)


def overlap(a: Place, b: Place) -> bool:
    """Whether writing to one place changes what the other holds."""
    if a.value != b.value:
        return False
    if not (_meet(a.touched, b.selected) or _meet(a.selected, b.touched)):
        return False
    if a.projection is None or b.projection is None:
        return True
    return float((a.projection @ b.projection).abs().max()) > 1e-4


def _meet(a: Bool[Tensor, "..."] | None, b: Bool[Tensor, "..."] | None) -> bool:
    return a is None or b is None or bool((a & b).any())


def distinct(places: Sequence[Place]) -> tuple[Place, ...]:
    """Each place once; a place inside another one, at the same value, is dropped."""
    kept: list[Place] = []
    for place in places:
        if not any(_inside(place, other) for other in kept):
            kept = [other for other in kept if not _inside(other, place)] + [place]
    return tuple(kept)


def _inside(a: Place, b: Place) -> bool:
    if a.value != b.value:
        return False
    if a.echo is not None or b.echo is not None:
        return a.echo is not None and b.echo is not None and torch.equal(a.echo, b.echo)
    selected = b.selected is None or (a.selected is not None and not bool((a.selected & ~b.selected).any()))
    if b.projection is None:
        return selected
    return (
        selected
        and a.projection is not None
        and bool(torch.allclose(a.projection @ b.projection, a.projection, atol=1e-4))
    )
