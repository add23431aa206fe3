"""What an anchor may hold of an input, and what becomes of the rest: pixels and tiles, sides of columns, letters.

What is not held comes from other inputs: of the first split while an anchor is sought, of the second when it is
judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.inputs import Inputs
from exegesis.explain.shortcuts.access import Samples
from exegesis.ir import InputError
from exegesis.runtime import Network

BANDS = 4
NEAR = 0.1
CHUNK = 2048
FEWEST = 30


@runtime_checkable
class Ground(Protocol):
    """An input in pieces that can be held."""

    @property
    def answer(self) -> int:
        """The network's answer to the input, by number of the output."""
        ...

    def __len__(self) -> int:
        """How many pieces there are."""
        ...

    def stays(
        self, held: Bool[Tensor, "k pieces"], draws: int, judged: bool, generator: torch.Generator
    ) -> Int[np.ndarray, " k"]:
        """In how many of so many draws the answer stays while pieces are held; all sets see the same draws."""
        ...

    def coverage(self, held: Bool[Tensor, " pieces"]) -> float:
        """The share of held-out inputs that hold the same there."""
        ...

    def record(self, taken: Sequence[int]) -> dict[str, np.ndarray]:
        """What is held, as arrays."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayGround:
    """Numbers of an input, or squares of pixels: held as they are; the same is what lies within a tenth of the range.

    Args:
        samples: inputs and the network.
        x: the input.
        masks: of the pieces.
    """

    samples: Samples
    x: Float[Tensor, "..."]
    masks: Bool[Tensor, "pieces ..."]

    @classmethod
    def of(cls, samples: Samples, x: Float[Tensor, "..."], tile: int) -> ArrayGround:
        """Pieces of one number, or of squares of `tile` pixels in all channels. Raises InputError for tiles of no
        image."""
        if tile < 1 or (tile > 1 and x.ndim != 3):
            raise InputError(f"Tiles of {tile} pixels need images; inputs here have shape {list(x.shape)}.")
        if x.ndim != 3:
            return cls(samples, x, torch.eye(x.numel(), dtype=torch.bool).view(-1, *x.shape))
        _, height, width = x.shape
        corners = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
        masks = torch.zeros((len(corners), *x.shape), dtype=torch.bool)
        for number, (top, left) in enumerate(corners):
            masks[number, :, top : top + tile, left : left + tile] = True
        return cls(samples, x, masks)

    @property
    def answer(self) -> int:
        """See `Ground`."""
        return int(self.samples.outputs[self.samples.said(self.x[None])[0]])

    def __len__(self) -> int:
        return len(self.masks)

    def stays(
        self, held: Bool[Tensor, "k pieces"], draws: int, judged: bool, generator: torch.Generator
    ) -> Int[np.ndarray, " k"]:
        """See `Ground.stays`."""
        pool = self.samples.held_out if judged else self.samples.search
        others = pool[torch.randint(len(pool), (draws,), generator=generator)]
        said = self.samples.said(self.x[None])[0]
        found = []
        for one in held:
            mixed = torch.where(self._places(one), self.x, others)
            found.append(int((self.samples.said(mixed) == said).sum()))
        return np.array(found)

    def _places(self, held: Bool[Tensor, " pieces"]) -> Bool[Tensor, "..."]:
        return self.masks[held].any(0) if bool(held.any()) else torch.zeros_like(self.masks[0])

    def coverage(self, held: Bool[Tensor, " pieces"]) -> float:
        """See `Ground.coverage`."""
        near = (self.samples.held_out - self.x).abs() <= NEAR * (self.samples.high - self.samples.low)
        return float((near | ~self._places(held)).flatten(1).all(1).float().mean())

    def record(self, taken: Sequence[int]) -> dict[str, np.ndarray]:
        """`features` (flat places), `values` there, `input`, `taken`."""
        held = torch.zeros(len(self), dtype=torch.bool)
        held[list(taken)] = True
        features = np.flatnonzero(self._places(held).flatten().numpy())
        values = self.x.flatten().numpy()[features]
        return {"features": features, "values": values, "input": self.x.numpy(), "taken": np.array(taken, np.int64)}


@dataclass(frozen=True, eq=False)
class TableGround:
    """Columns of a table, each held on the row's side of a quartile, as by M. Ribeiro et al. (AAAI 2018).

    A column that is held takes values of other inputs on that side, each column by itself; so an anchor says what
    suffices whatever else is the case, be it common or not.

    Args:
        samples: inputs and the network.
        x: the row [d].
        columns, bounds: of the pieces, [pieces]: at most this where the row is not above it, else more than it.
    """

    samples: Samples
    x: Float[Tensor, " d"]
    columns: Int[Tensor, " pieces"]
    bounds: Float[Tensor, " pieces"]

    @classmethod
    def of(cls, samples: Samples, x: Float[Tensor, " d"]) -> TableGround:
        """Quartiles are those of the inputs to search on; a bound that leaves nothing out is no piece."""
        edges = torch.quantile(samples.search, torch.linspace(0, 1, BANDS + 1)[1:-1], dim=0).T  # [d, bands - 1]
        columns = torch.arange(len(x))[:, None].expand_as(edges)
        splits = (edges < samples.search.amax(0)[:, None]) & (edges >= samples.search.amin(0)[:, None])
        return cls(samples, x, columns[splits], edges[splits])

    @property
    def answer(self) -> int:
        """See `Ground`."""
        return int(self.samples.outputs[self.samples.said(self.x[None])[0]])

    def __len__(self) -> int:
        return len(self.columns)

    def stays(
        self, held: Bool[Tensor, "k pieces"], draws: int, judged: bool, generator: torch.Generator
    ) -> Int[np.ndarray, " k"]:
        """See `Ground.stays`."""
        pool = self.samples.held_out if judged else self.samples.search
        others = pool[torch.randint(len(pool), (draws,), generator=generator)]
        chance = torch.rand(draws, len(self.x), generator=generator)
        columns = pool.sort(0).values
        said = self.samples.said(self.x[None])[0]
        found = []
        for part in torch.split(held, max(1, CHUNK // draws)):
            low, high = self._bands(part)  # [k, d]
            begin = torch.searchsorted(columns.T.contiguous(), low.T.contiguous(), right=True).T
            end = torch.searchsorted(columns.T.contiguous(), high.T.contiguous(), right=True).T
            at = (begin[:, None] + chance * (end - begin)[:, None]).long().clamp(max=len(pool) - 1)  # [k, draws, d]
            drawn = columns.expand(len(part), -1, -1).gather(1, at)
            drawn = torch.where((end > begin)[:, None], drawn, self.x)  # no input of the pool lies there
            free = low.isinf() & high.isinf()
            mixed = torch.where(free[:, None], others, drawn).flatten(0, 1)
            found.append((self.samples.said(mixed) == said).view(len(part), draws).sum(1))
        return torch.cat(found).numpy()

    def _bands(self, held: Bool[Tensor, "k pieces"]) -> tuple[Float[Tensor, "k d"], Float[Tensor, "k d"]]:
        """Between what the columns are held; infinite where they are not."""
        below = self.x[self.columns] <= self.bounds
        shape = (len(held), len(self.x))
        columns = self.columns.expand(len(held), -1)
        high = torch.full(shape, torch.inf).scatter_reduce(
            1, columns, torch.where(held & below, self.bounds, torch.inf), "amin"
        )
        low = torch.full(shape, -torch.inf).scatter_reduce(
            1, columns, torch.where(held & ~below, self.bounds, -torch.inf), "amax"
        )
        return low, high

    def coverage(self, held: Bool[Tensor, " pieces"]) -> float:
        """See `Ground.coverage`."""
        low, high = self._bands(held[None])
        return float(((self.samples.held_out > low) & (self.samples.held_out <= high)).all(1).float().mean())

    def record(self, taken: Sequence[int]) -> dict[str, np.ndarray]:
        """`features` (columns) in the order in which they were taken, their `values`, `low` and `high`, `input`."""
        held = torch.zeros(len(self), dtype=torch.bool)
        held[list(taken)] = True
        at = list(dict.fromkeys(self.columns[list(taken)].tolist()))
        low, high = (part[0, at].numpy() for part in self._bands(held[None]))
        x = self.x.numpy()
        return {
            "features": np.array(at, np.int64), "values": x[at], "low": low, "high": high, "input": x,
            "taken": np.array(taken, np.int64),
            "least": self.samples.search.amin(0).numpy(), "greatest": self.samples.search.amax(0).numpy(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class TokenGround:
    """Letters of a string.

    Args:
        network: over tokens.
        readout: which outputs compete.
        inputs: the one row.
        at: the position whose answer is to stay.
        places: of the letters, [pieces].
        pools: other strings of the same shape [n, s]: to search on, and to judge by.
    """

    network: Network
    readout: Argmax
    inputs: Inputs
    at: int
    places: Int[Tensor, " pieces"]
    pools: tuple[Int[Tensor, "n s"], Int[Tensor, "m s"]]

    @classmethod
    def of(cls, network: Network, behavior: Behavior, inputs: Inputs, position: int | None, seed: int) -> TokenGround:
        """Others are the rows of the first and the second split that have letters at the same places; where these are
        few, strings of letters drawn at random.

        Raises:
            InputError: no letters, or a position outside of the row.
        """
        assert inputs.tokens is not None and inputs.at is not None  # noqa: PT018
        assert isinstance(behavior.readout, Argmax)
        own, letters = inputs.tokens[0], torch.from_numpy(behavior.alphabet)
        at = int(inputs.at[0]) if position is None else position
        if not -len(own) <= at < len(own):
            raise InputError(f"Row {int(inputs.rows[0])} has {len(own)} positions; there is none at {at}.")
        free = torch.isin(own, letters)
        free[at % len(own) + 1 :] = False  # what comes after the answer
        if not bool(free.any()):
            raise InputError(f"Row {int(inputs.rows[0])} holds no letters that could be held.")
        names = list(behavior.splits)
        generator = torch.Generator().manual_seed(seed)
        pools = tuple(
            _alike(behavior, name, own, free, letters, generator) for name in (names[0], names[1 % len(names)])
        )
        return cls(network, behavior.readout, inputs, at % len(own), free.nonzero()[:, 0], (pools[0], pools[1]))

    @property
    def answer(self) -> int:
        """See `Ground`."""
        assert self.inputs.tokens is not None
        return int(self._said(self.inputs.tokens)[0])

    def __len__(self) -> int:
        return len(self.places)

    def stays(
        self, held: Bool[Tensor, "k pieces"], draws: int, judged: bool, generator: torch.Generator
    ) -> Int[np.ndarray, " k"]:
        """See `Ground.stays`."""
        assert self.inputs.tokens is not None
        own, pool = self.inputs.tokens[0], self.pools[int(judged)]
        others = pool[torch.randint(len(pool), (draws,), generator=generator)]
        fixed = torch.ones(len(held), len(own), dtype=torch.bool)
        fixed[:, self.places] = held
        answer, found = self.answer, []
        for part in torch.split(fixed, max(1, CHUNK // draws)):
            mixed = torch.where(part[:, None], own, others).flatten(0, 1)
            found.append((self._said(mixed) == answer).view(len(part), draws).sum(1))
        return torch.cat(found).numpy()

    def coverage(self, held: Bool[Tensor, " pieces"]) -> float:
        """See `Ground.coverage`: of strings of the same shape."""
        assert self.inputs.tokens is not None
        at = self.places[held]
        return float((self.pools[1][:, at] == self.inputs.tokens[0][at]).all(1).float().mean())

    def record(self, taken: Sequence[int]) -> dict[str, np.ndarray]:
        """`features` (positions) and `values` (tokens) in order, `input` (the row), `taken`, `position`."""
        assert self.inputs.tokens is not None
        order = sorted(taken)
        at, own = self.places[order].numpy(), self.inputs.tokens[0].numpy()
        return {
            "features": at, "values": own[at], "input": own, "taken": np.array(taken, np.int64),
            "position": np.array(self.at),
        }  # fmt: skip

    def _said(self, ids: Int[Tensor, "m s"]) -> Int[Tensor, " m"]:
        found = []
        for part in torch.split(ids, CHUNK):
            given = self.inputs.positions
            positions = None if given is None or not self.network.takes_positions else given.expand(len(part), -1)
            out = self.network.logits(part, positions)[:, self.at]
            if self.readout.outputs is None:
                found.append(out.argmax(1))
            else:
                competing = torch.tensor(self.readout.outputs)
                found.append(competing[out[:, competing].argmax(1)])
        return torch.cat(found)


def _alike(
    behavior: Behavior, split: str, own: Int[Tensor, " s"], free: Tensor, letters: Tensor, generator: torch.Generator
) -> Int[Tensor, "n s"]:
    """Rows of a split that have letters where this one has, and the like elsewhere; drawn ones where they are few."""
    found = [torch.tensor(row.input_ids) for row in behavior.sequences(split).rows if len(row.input_ids) == len(own)]
    if found:
        rows = torch.stack(found)
        alike = (torch.isin(rows, letters) | ~free).all(1) & (rows != own).any(1)
        rows = torch.where(free, rows[alike], own)
        if len(rows) >= FEWEST:
            return rows
    drawn = letters[torch.randint(len(letters), (4 * CHUNK, len(own)), generator=generator)]
    return torch.where(free, drawn, own)
