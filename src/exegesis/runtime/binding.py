"""What the functions behind the ops share: an op is *bound* to its node once, then computes batch after batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exegesis.ir import Axis, GraphError, Json, Node, Type

Value: TypeAlias = Any  # a Tensor; at tensor level also an int or a tuple of values
Compute: TypeAlias = Callable[..., Value]


@dataclass(frozen=True, eq=False)
class Binding:
    """A node as its op sees it: attributes, tensors by role, the types of its inputs, and where to compute.

    Attributes:
        node: the node.
        sources: the types of its inputs, in order.
        tensors: its tensors by role, on `device`.
        axes: the axes of the graph.
        device: where values live.
        real: the dtype of real values that the op makes out of something else (a share, a constant).
    """

    node: Node
    sources: tuple[Type, ...]
    tensors: Mapping[str, Tensor]
    axes: Mapping[str, Axis]
    device: torch.device
    real: torch.dtype

    def attr(self, name: str, default: Json = None) -> Json:
        """An attribute, or the default where the node leaves it out."""
        return self.node.attrs.get(name, default)

    def size(self, axis: str) -> int | None:
        """The size of an axis (a name, or `=64`), or None where it varies.

        Raises:
            GraphError: the graph does not declare the axis.
        """
        if axis.startswith("="):
            return int(axis.removeprefix("="))
        if axis not in self.axes:
            raise GraphError(f"Node {self.node.id!r} uses axis {axis!r}, which the graph does not declare.")
        return self.axes[axis].size


Op: TypeAlias = Callable[[Binding], Compute]


def integers(at: Binding, name: str) -> Tensor:
    """An attribute that lists integers, as a tensor."""
    return torch.tensor(list(at.attr(name)), dtype=torch.long, device=at.device)


def find(value: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each value is among the ascending `keys`, and at which index (0 where it is not)."""
    if not len(keys):
        return torch.zeros_like(value, dtype=torch.bool), torch.zeros_like(value)
    index = torch.searchsorted(keys.contiguous(), value.contiguous()).clamp(max=len(keys) - 1)
    found = keys[index] == value
    return found, index * found
