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
            return int(axis[1:])
        if axis not in self.axes:
            raise GraphError(f"Node {self.node.id!r} uses axis {axis!r}, which the graph does not declare.")
        return self.axes[axis].size


Op: TypeAlias = Callable[[Binding], Compute]
