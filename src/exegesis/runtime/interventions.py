"""Interventions: what to put in the place of a value, in the whole of it or in a part.

A part is chosen by `index` along named axes (`{"position": (3, 4), "head": 1}`: the product of the choices) and by
`basis` [k, width], whose rows span a subspace of the last axis (they need not be orthonormal): then only the component
in that subspace changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from exegesis.ir import ExegesisError, Node
from exegesis.runtime.binding import Value

Index: TypeAlias = Mapping[str, int | Sequence[int]]


class InterventionError(ExegesisError):
    """An intervention that would change nothing, or does not fit the value it names."""


@dataclass(frozen=True, eq=False)
class Set:
    """Puts in a given value.

    Attributes:
        node: whose value changes.
        value: broadcasts to the chosen part, in which every axis is kept (a single index leaves an axis of length 1).
            With `basis`, its last axis holds the k coordinates in the subspace.
        index, basis: the part that changes.
    """

    node: str
    value: Tensor
    index: Index = field(default_factory=dict)
    basis: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Ablate:
    """Takes a value away.

    Attributes:
        node: whose value changes.
        kind: `zero`; `mean`: `value` takes its place, broadcast to the whole value; `resample`: every example gets the
            value that another example of the batch has, drawn by `seed`.
        value: the mean (or any other constant, such as an optimal one).
        seed: decides who gets whose value.
        index, basis: the part that changes.
    """

    node: str
    kind: Literal["zero", "mean", "resample"] = "zero"
    value: Tensor | None = None
    seed: int = 0
    index: Index = field(default_factory=dict)
    basis: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Patch:
    """Puts in what the node has on other inputs (an interchange).

    Attributes:
        node: whose value changes.
        value: the node's value in the other run, of the same shape; the chosen part of it is put in.
        index, basis: the part that changes.
    """

    node: str
    value: Tensor
    index: Index = field(default_factory=dict)
    basis: Tensor | None = None


Intervention: TypeAlias = Set | Ablate | Patch


def coordinates(value: Tensor, basis: Tensor) -> Tensor:
    """Where values [..., width] stand in the subspace that the rows of `basis` [k, width] span: [..., k].

    `coordinates(value, basis) @ basis` is the orthogonal projection of `value`.

    Raises:
        InterventionError: rows of the basis depend on each other.
    """
    basis = basis.to(value)
    if torch.linalg.matrix_rank(basis) < len(basis):
        raise InterventionError("The rows of the basis of a subspace must not depend on each other.")
    inverse: Tensor = torch.linalg.pinv(basis)
    return value @ inverse


def intervene(intervention: Intervention, node: Node, value: Value) -> Tensor:
    """The value of a node after an intervention on it. `value` itself stays as it is.

    Raises:
        InterventionError: it would change nothing, or does not fit the value.
    """
    if not isinstance(value, Tensor):
        raise InterventionError(f"The value of {node.id!r} is no tensor, so that nothing can be put in its place.")
    mesh = _mesh(intervention.index, node, value)
    part = value[mesh]
    if part.numel() == 0:
        raise InterventionError(
            f"The intervention on {node.id!r} changes nothing: it chooses {list(part.shape)} values."
        )
    new = _replacement(intervention, node, value, mesh, part)
    changed = value.to(new.dtype) if new.is_floating_point() and not value.is_floating_point() else value
    return changed.index_put(mesh, new.to(changed.dtype))


def _replacement(
    intervention: Intervention, node: Node, value: Tensor, mesh: tuple[Tensor, ...], part: Tensor
) -> Tensor:
    """What the chosen part becomes."""
    if intervention.basis is None:
        return _whole_replacement(intervention, node, value, mesh, part)
    basis = _fitting_basis(intervention.basis, intervention.index, node, value)
    inside = coordinates(part, basis)
    if isinstance(intervention, Set):
        new = _broadcast(intervention.value.to(inside), inside, node)
    else:
        new = coordinates(_whole_replacement(intervention, node, value, mesh, part).to(part), basis)
    return part + (new - inside) @ basis


def _whole_replacement(
    intervention: Intervention, node: Node, value: Tensor, mesh: tuple[Tensor, ...], part: Tensor
) -> Tensor:
    if isinstance(intervention, Set):
        return _broadcast(intervention.value.to(value.device), part, node)
    if isinstance(intervention, Ablate):
        return _ablated(intervention, node, value)[mesh]
    if intervention.value.shape != value.shape:
        own, other = list(value.shape), list(intervention.value.shape)
        raise InterventionError(f"A patch of {node.id!r} needs a value of shape {own}, not {other}.")
    return intervention.value.to(value.device)[mesh]


def _ablated(ablation: Ablate, node: Node, value: Tensor) -> Tensor:
    if (ablation.value is not None) != (ablation.kind == "mean"):
        takes = "a" if ablation.kind == "mean" else "no"
        raise InterventionError(f"An ablation of {node.id!r} by {ablation.kind} takes {takes} value.")
    match ablation.kind:
        case "zero":
            return torch.zeros_like(value)
        case "mean":
            assert ablation.value is not None
            return _broadcast(ablation.value.to(value.device), value, node)
        case "resample":
            return value[another_example(len(value), ablation.seed, node).to(value.device)]


def another_example(count: int, seed: int, node: Node) -> Tensor:
    """For each of `count` examples another one, [count]: a cycle through all of them in random order.

    Raises:
        InterventionError: there is no other example.
    """
    if count < 2:
        raise InterventionError(f"An ablation of {node.id!r} by resampling needs a batch of at least two examples.")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    return other


def _broadcast(value: Tensor, to: Tensor, node: Node) -> Tensor:
    try:
        return value.expand(to.shape)
    except RuntimeError:
        raise InterventionError(
            f"A value of shape {list(value.shape)} does not fit what it replaces in {node.id!r}, "
            f"which has shape {list(to.shape)}."
        ) from None


def _fitting_basis(basis: Tensor, index: Index, node: Node, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        raise InterventionError(f"{node.id!r} holds {node.type.kind} values, which have no subspaces.")
    if basis.ndim != 2 or basis.shape[1] != value.shape[-1] or not len(basis):
        raise InterventionError(
            f"A basis for {node.id!r} needs the shape [k, {value.shape[-1]}] with k > 0, not {list(basis.shape)}."
        )
    if node.type.axes and node.type.axes[-1] in index:
        raise InterventionError(
            f"An intervention on {node.id!r} cannot both choose along {node.type.axes[-1]!r} and take a subspace of it."
        )
    return basis.to(value)


def _mesh(index: Index, node: Node, value: Tensor) -> tuple[Tensor, ...]:
    """Index tensors that choose the product of the choices along each axis, and everything along the others."""
    chosen = [torch.arange(n, device=value.device) for n in value.shape]
    axes = node.type.axes
    for axis, where in index.items():
        if axes.count(axis) != 1 or len(axes) > value.ndim:
            wrong = "none" if axis not in axes else "not one alone"
            raise InterventionError(f"{node.id!r} has axes ({', '.join(axes)}), of which {axis!r} is {wrong}.")
        at = value.ndim - len(axes) + axes.index(axis)
        size = value.shape[at]
        places = [where] if isinstance(where, int) else list(where)
        if not places:
            raise InterventionError(
                f"The intervention on {node.id!r} changes nothing: it picks nothing along {axis!r}."
            )
        if outside := [p for p in places if not -size <= p < size]:
            raise InterventionError(f"{node.id!r} has no index {outside[0]} along {axis!r}, which has size {size}.")
        chosen[at] = torch.tensor(places, dtype=torch.long, device=value.device)
    return tuple(c.view([-1 if i == k else 1 for k in range(value.ndim)]) for i, c in enumerate(chosen))
