"""What every attribution method is: a small frozen configuration that gives one value per part of an input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from exegesis.explain.model import Model, Objective
from exegesis.ir import Graph, InputError


class UndefinedMethodError(InputError):
    """The method makes no sense for this network or these inputs."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a method works on.

    Args:
        objective: the explained number of each row.
        seed: of everything that is drawn.
        chunk: how many rows go through the network at a time; None to measure.
        lift: gives the exact program of a model; None where nobody can (methods that need one are then undefined).
    """

    objective: Objective
    seed: int = 0
    chunk: int | None = None
    lift: Callable[[Model], Graph] | None = None

    def generator(self, *words: int) -> np.random.Generator:
        """Random numbers that depend on the seed and on what they are for, and on nothing else."""
        return np.random.default_rng([self.seed, *words])

    def program(self, method: str) -> Graph:
        """The exact program. Raises UndefinedMethodError where there is none."""
        if self.lift is None:
            raise UndefinedMethodError(f"{method} follows the program of a network, and none was given.")
        return self.lift(self.objective.model)


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found.

    Args:
        values: [n, ...] as the model's real inputs, or [n, s] for token sequences.
        chunk: how many rows went through the network at a time.
        total: [n], what the values of each row claim to sum to; None where the method claims nothing.
        tolerance: the largest relative difference from `total` that the method allows itself.
        absorbed: [n], what the method knows it left with constants (biases) rather than inputs; part of the sum.
        undefined: rows for which it is undefined, by their place in the inputs, with the reason.
        slopes: whether values are derivatives, not shares of a sum. Of an embedding's entries shares are added; of
            derivatives the length is taken (Li et al. 2016, arXiv 1506.01066): their sum is zero in front of a layer
            norm, whatever the network does.
    """

    values: Float[Tensor, "n ..."]
    chunk: int | None
    total: Float[Tensor, " n"] | None = None
    tolerance: float = 0.05
    absorbed: Float[Tensor, " n"] | None = None
    undefined: Mapping[int, str] = field(default_factory=dict)
    slopes: bool = False

    def per_token(self) -> Float[Tensor, "n s"]:
        """Values of token sequences, one per token."""
        if self.values.ndim == 2:
            return self.values
        found: Tensor = self.values.norm(dim=-1) if self.slopes else self.values.sum(-1)
        return found


@runtime_checkable
class Method(Protocol):
    """An attribution method.

    Attributes:
        name: as on the command line.
        title: for people.
        caveat: what the method is known to get wrong, in one sentence; empty where nothing is.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    caveat: ClassVar[str]

    def attribute(self, setting: Setting) -> Found:
        """The values. Raises UndefinedMethodError where the method makes no sense."""
        ...


def fitted_baseline(baseline: float | NDArray[np.floating], start: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """A baseline for each row.

    Args:
        baseline: one number, an array shaped like one input, or one such array per row.
        start: the inputs [n, ...].

    Raises:
        InputError: another shape, or numbers that are not finite.
    """
    given = torch.as_tensor(np.asarray(baseline), dtype=start.dtype, device=start.device)
    if not bool(given.isfinite().all()):
        raise InputError("The baseline holds a number that is NaN or infinite.")
    if given.shape not in ((), start.shape[1:], start.shape):
        raise InputError(
            f"A baseline of shape {list(given.shape)} fits neither one input {list(start.shape[1:])} nor all of them "
            f"{list(start.shape)}."
        )
    return given.expand(start.shape)


def json_baseline(baseline: float | NDArray[np.floating]) -> float | str:
    """How a baseline is recorded: the number, or that an array was given."""
    return float(baseline) if np.ndim(baseline) == 0 else f"an array of shape {list(np.shape(baseline))}"
