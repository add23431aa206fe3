"""Values of a layer of a network, read off for many directions at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exegesis.explain.target import TargetError
from exegesis.ir import InputError
from exegesis.runtime import Network, output_tensor


class _ReachedError(Exception):
    """The layer has been computed; what comes after it is not needed."""


class Layer:
    """What a module inside a network gives, as a function of inputs.

    The user's module is run as it is and left as it is; gradients are taken with respect to inputs alone.

    Args:
        network: over arrays.
        path: of the module (`conv1`, `layers.2`); None for the outputs.

    Raises:
        InputError: no module of that path.
    """

    def __init__(self, network: Network, path: str | None) -> None:
        modules = dict(network.module.named_modules())
        if path is not None and path not in modules:
            known = ", ".join(name for name in modules if name)
            raise InputError(f"The network {network.name} has no module {path!r}; it has {known}.")
        self.network, self.path = network, path
        self._inner: nn.Module | None = None if path is None else modules[path]

    @property
    def name(self) -> str:
        """The path, or `outputs`."""
        return self.path or "outputs"

    def __call__(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Values [n, units] or [n, channels, height, width] of inputs [n, ...]."""
        if self._inner is None:
            return output_tensor(self.network.module(x), self.network.name)
        found: list[object] = []

        def keep(module: nn.Module, given: object, out: object) -> None:
            found.append(out)
            raise _ReachedError

        hook = self._inner.register_forward_hook(keep)
        try:
            self.network.module(x)
        except _ReachedError:
            pass
        finally:
            hook.remove()
        if not found:
            raise InputError(f"Module {self.path!r} of {self.network.name} takes no part in computing its outputs.")
        return output_tensor(found[0], self.network.name)

    def width(self, x: Float[Tensor, "n ..."]) -> int:
        """How many units or channels there are, seen on one input. Raises InputError for values of another shape."""
        with torch.no_grad():
            value = self(x[:1])
        if value.ndim not in (2, 4):
            raise InputError(
                f"The values of {self.name} have shape {list(value.shape)}, where [inputs, units] or [inputs, "
                f"channels, "
                "height, width] is needed."
            )
        return value.shape[1]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be excited, in one layer.

    Args:
        vectors: one direction a row, [wanted, units]: one-hot for a unit or a class, a mean for a module.
        names: how to call each.
        place: (y, x) in a convolution; None for the mean over all places.
    """

    vectors: Float[Tensor, "wanted units"]
    names: tuple[str, ...]
    place: tuple[int, int] | None = None

    @classmethod
    def units(cls, chosen: Sequence[int], width: int, layer: str, place: tuple[int, int] | None = None) -> Wanted:
        """Single units or channels. Raises TargetError where one does not exist."""
        if not chosen:
            raise TargetError(f"Which units of {layer}? None was named.")
        for unit in chosen:
            if not 0 <= unit < width:
                raise TargetError(f"{layer} has {width} units, counted from 0; there is no unit {unit}.")
        return cls(torch.eye(width)[list(chosen)], tuple(f"{layer} {unit}" for unit in chosen), place)

    @classmethod
    def module(cls, members: Sequence[int], width: int, layer: str, name: str) -> Wanted:
        """A group of units that are to be excited together. Raises TargetError where one does not exist."""
        return cls(cls.units(members, width, layer).vectors.mean(0, keepdim=True), (name,))

    def __len__(self) -> int:
        return len(self.vectors)

    def along(self, values: Float[Tensor, "n units ..."]) -> Float[Tensor, "n wanted"]:
        """How strongly each input excites each direction.

        Raises:
            TargetError: a place that does not exist, or another number of units.
        """
        return self._at_place(values) @ self.vectors.T

    def along_own(self, values: Float[Tensor, "n units ..."], variants: int) -> Float[Tensor, " n"]:
        """How strongly each input excites its own direction, with so many inputs in a row for each direction.

        Raises:
            TargetError: as above.
        """
        own = self.vectors if variants == 1 else self.vectors.repeat_interleave(variants, 0)
        return (self._at_place(values) * own).sum(1)

    def _at_place(self, values: Tensor) -> Float[Tensor, "n units"]:
        if values.shape[1] != self.vectors.shape[1]:
            raise TargetError(
                f"Directions of {self.vectors.shape[1]} numbers do not fit a layer of {values.shape[1]} units."
            )
        if values.ndim == 4:
            height, width = values.shape[2:]
            if self.place is None:
                return values.mean((2, 3))
            if 0 <= self.place[0] < height and 0 <= self.place[1] < width:
                return values[:, :, self.place[0], self.place[1]]
            raise TargetError(f"There is no place {self.place}: the layer's values are {height} × {width}.")
        if self.place is not None:
            raise TargetError(f"There is no place {self.place}: the layer's values have no places.")
        return values


def shuffled(network: Network, seed: int) -> Network:
    """The network with the entries of every weight in another order: as large, and trained for nothing."""
    module = copy.deepcopy(network.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight))
    return Network(module, f"{network.name}, shuffled")
