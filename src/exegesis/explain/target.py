"""What is explained: one number per input, read off what a network gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.behavior import Argmax, Readout
from exegesis.ir import InputError


class TargetError(InputError):
    """The output, class, channel or position that was asked for does not exist."""


@runtime_checkable
@runtime_checkable
class Reading(Protocol):
    """Reads the explained number off outputs. `rows` [m] says which of the bound inputs each output belongs to."""

    def __call__(self, outputs: Float[Tensor, "m ..."], rows: Int[Tensor, " m"], /) -> Float[Tensor, " m"]: ...


@runtime_checkable
@runtime_checkable
class Explained(Protocol):
    """Anything that can be explained: it is bound to the outputs of the inputs in question before it reads."""

    def bind(self, outputs: Float[Tensor, "n ..."], at: Int[Tensor, " n"] | None, readout: Readout | None) -> Reading:
        """The reading for these inputs.

        Args:
            outputs: the network's outputs [n, o], [n, s, o], or a layer's values [n, c, y, x], on the inputs.
            at: the position of each input that is scored, [n]; None where outputs have no positions.
            readout: how outputs are read as answers, where somebody says so.

        Raises:
            TargetError: what is asked for does not exist in outputs of this shape.
        """
        ...


@dataclass(frozen=True)
class Target:
    """One output of the network, or the difference between two.

    Args:
        output: its index; None for the network's own answer on each input (its largest output, or the largest among
            those that compete; output 0 where there is only one).
        against: the index of an output to subtract (a logit difference); None for none.
        position: where in a sequence, negative from its end; None for the last scored position of each row.

    >>> Target()                          # the network's own answer
    Target(output=None, against=None, position=None)
    """

    output: int | None = None
    against: int | None = None
    position: int | None = None

    @classmethod
    def parse(cls, text: str, position: int | None = None) -> Target:
        """From the command line: `answer`, `7`, or `7-9` for a difference. Raises TargetError on anything else."""
        if text == "answer":
            return cls(position=position)
        first, dash, second = text.partition("-")
        if not first.isdecimal() or (dash and not second.isdecimal()):
            raise TargetError(
                f"A target is `answer`, an output such as `7`, or a difference such as `7-9`, not {text!r}."
            )
        return cls(int(first), int(second) if dash else None, position)

    def bind(self, outputs: Tensor, at: Tensor | None, readout: Readout | None) -> Reading:
        """See `Explained.bind`; outputs are [n, o] or [n, s, o]."""
        if outputs.ndim not in (2, 3):
            raise TargetError(
                f"An output is explained in outputs [n, outputs] or [n, positions, outputs], not {list(outputs.shape)}."
            )
        n_outputs = outputs.shape[-1]
        for index in (self.output, self.against):
            if index is not None and not 0 <= index < n_outputs:
                raise TargetError(f"There is no output {index}: the network has {n_outputs}, counted from 0.")
        place = self._places(outputs, at)
        first = self._indices(_at(outputs, place), readout)
        second = None if self.against is None else torch.full_like(first, self.against)

        def read(found: Tensor, rows: Tensor) -> Tensor:
            here = _at(found, None if place is None else place[rows])
            value = here.gather(1, first[rows, None])[:, 0]
            return value if second is None else value - here.gather(1, second[rows, None])[:, 0]

        return read

    def answers(self, outputs: Tensor, at: Tensor | None, readout: Readout | None) -> Int[Tensor, " n"]:
        """Which output is explained of each input, [n]."""
        self.bind(outputs, at, readout)
        return self._indices(_at(outputs, self._places(outputs, at)), readout)

    def _places(self, outputs: Tensor, at: Tensor | None) -> Tensor | None:
        if outputs.ndim == 2:
            if self.position is not None:
                raise TargetError(f"There is no position {self.position}: the network has one output vector per input.")
            return None
        length = outputs.shape[1]
        if self.position is None:
            if at is None:
                raise TargetError("Which position? The network has outputs at every position, and none is scored.")
            return at.to(outputs.device)
        if not -length <= self.position < length:
            raise TargetError(f"There is no position {self.position} in sequences of {length} tokens.")
        return torch.full((len(outputs),), self.position % length, dtype=torch.long, device=outputs.device)

    def _indices(self, here: Tensor, readout: Readout | None) -> Tensor:
        """[n, o] → [n]"""
        if self.output is not None:
            return torch.full((len(here),), self.output, dtype=torch.long, device=here.device)
        if isinstance(readout, Argmax) and readout.outputs is not None:
            competing = torch.tensor(readout.outputs, device=here.device)
            if int(competing.max()) >= here.shape[1]:
                raise TargetError(f"The readout names output {int(competing.max())}; the network has {here.shape[1]}.")
            return competing[here.detach()[:, competing].argmax(1)]
        return here.detach().argmax(1)


@dataclass(frozen=True)
class Unit:
    """One channel of a layer: `[n, c]`, `[n, c, y, x]` or `[n, s, c]`.

    Args:
        channel: its index.
        place: (y, x) in an image, (position,) in a sequence, negative from the end; None for the mean over all places.
    """

    channel: int
    place: tuple[int, ...] | None = None

    def bind(self, outputs: Tensor, at: Tensor | None, readout: Readout | None) -> Reading:
        """See `Explained.bind`."""
        channels = outputs.shape[1] if outputs.ndim == 4 else outputs.shape[-1]
        if not 0 <= self.channel < channels:
            raise TargetError(f"There is no channel {self.channel}: the layer has {channels}, counted from 0.")
        place = _fitting(outputs, self.place)

        def read(found: Tensor, rows: Tensor) -> Tensor:
            return _over_places(found.select(1 if found.ndim == 4 else -1, self.channel), place)

        return read


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction among the channels of a layer: their values times a vector.

    Args:
        vector: [channels].
        place: as in `Unit`.
    """

    vector: Float[Tensor, " channels"]
    place: tuple[int, ...] | None = None

    def bind(self, outputs: Tensor, at: Tensor | None, readout: Readout | None) -> Reading:
        """See `Explained.bind`."""
        channels = outputs.shape[1] if outputs.ndim == 4 else outputs.shape[-1]
        if self.vector.shape != (channels,):
            raise TargetError(
                f"A direction of {list(self.vector.shape)} numbers does not fit a layer of {channels} channels."
            )

        place = _fitting(outputs, self.place)

        def read(found: Tensor, rows: Tensor) -> Tensor:
            last = found.movedim(1, -1) if found.ndim == 4 else found
            return _over_places(last @ self.vector.to(last), place)

        return read


@dataclass(frozen=True)
class Distance:
    """How far all channels of a layer together (a head, a module) lie from their mean over the inputs it is bound to.

    Args:
        place: as in `Unit`.
    """

    place: tuple[int, ...] | None = None

    def bind(self, outputs: Tensor, at: Tensor | None, readout: Readout | None) -> Reading:
        """See `Explained.bind`."""
        place = _fitting(outputs, self.place)
        channels = 1 if outputs.ndim == 4 else outputs.ndim - 1
        centre = outputs.detach().movedim(channels, -1).flatten(0, -2).mean(0)

        def read(found: Tensor, rows: Tensor) -> Tensor:
            return _over_places((found.movedim(channels, -1) - centre).norm(dim=-1), place)

        return read


def _fitting(outputs: Tensor, place: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A place among values [n, c, y, x], [n, s, c] or [n, c]. Raises TargetError where there is no such place."""
    sizes = tuple(outputs.shape[2:]) if outputs.ndim == 4 else tuple(outputs.shape[1:-1])
    if place is not None and (
        len(place) != len(sizes) or not all(-size <= i < size for i, size in zip(place, sizes, strict=True))
    ):
        raise TargetError(f"There is no place {place}: the layer's values have {list(sizes)} of them.")
    return place


def _over_places(values: Tensor, place: tuple[int, ...] | None) -> Tensor:
    """[n, ...] → [n]: at one place, or the mean over all."""
    for index in place or ():
        values = values[:, index]
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _at(outputs: Tensor, place: Tensor | None) -> Tensor:
    """[n, s, o] → [n, o] at one position per row; [n, o] as it is."""
    return outputs if place is None else outputs[torch.arange(len(outputs), device=outputs.device), place]
