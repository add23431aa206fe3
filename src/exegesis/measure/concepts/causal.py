"""Is a concept used? Its subspace of a layer is swapped between inputs, or held still, beside random subspaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.random import Generator, default_rng
from torch import Tensor

from exegesis.behavior import Argmax
from exegesis.ir import InputError
from exegesis.measure.concepts.labelled import Attribute, ConceptError
from exegesis.measure.units import Units
from exegesis.runtime import Executor

RANDOMS = 20


@dataclass(frozen=True, eq=False)
class LayerState:
    """The whole value of a layer on a split, and what the network makes of another one.

    Attributes:
        units: the network on the split.
        layer: number of the layer.

    Raises:
        ConceptError: a recurrent layer, whose value is many.
    """

    units: Units
    layer: int

    def __post_init__(self) -> None:
        if len(self.units.layers[self.layer].nodes) != 1:
            raise ConceptError(f"Layer {self.layer} is recurrent; concepts are looked for in layers with one value.")

    @property
    def node(self) -> str:
        """The node that carries it."""
        return self.units.layers[self.layer].node

    @cached_property
    def _found(self) -> tuple[Tensor, tuple[int, ...]]:
        parts = [values[self.node] for _, values in self.units.bench.each(self.units.graph, [self.node])]
        whole = torch.cat(parts)
        return whole.reshape(len(whole), -1), tuple(whole.shape[1:])

    @property
    def values(self) -> Float[np.ndarray, "n f"]:
        """One row per input: all its units at all places."""
        found: Float[np.ndarray, "n f"] = self._found[0].numpy()
        return found

    def logits(self, values: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n outputs"]:
        """The network's outputs with these values in the layer."""
        return np.concatenate([v.numpy() for v in self._rest(values, gradients=False)])

    def answers(self, values: Float[np.ndarray, "n f"]) -> Int[np.ndarray, " n"]:
        """What the network says with these values in the layer. Raises InputError where answers are no classes."""
        if not isinstance(self.units.bench.readout, Argmax):
            raise InputError("Concepts are checked by class, which needs a behaviour with an argmax readout.")
        return np.asarray(self.units.bench.readout.answers(self.logits(values)), dtype=np.int64)

    def slopes(self, chosen: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n f"]:
        """The gradient of one output of each input by the layer's value there."""
        given = self._found[0].clone().requires_grad_()
        out = torch.cat(self._rest(given, gradients=True))
        picked = out.gather(1, torch.from_numpy(chosen)[:, None]).sum()
        (slope,) = torch.autograd.grad(picked, given)
        return np.asarray(slope.numpy())

    def _rest(self, values: Float[np.ndarray, "n f"] | Tensor, *, gradients: bool) -> list[Tensor]:
        run = Executor(self.units.graph)
        out = self.units.graph.outputs[0]
        put = torch.as_tensor(values, dtype=torch.float32).reshape(-1, *self._found[1])
        parts, start = [], 0
        for seen in self.units.bench.batches:
            stop = start + len(seen.scored)
            given = {self.node: put[start:stop]}
            parts.append(run.run(seen.inputs, [out], given=given, gradients=gradients)[out])
            start = stop
        return parts


@dataclass(frozen=True)
class Swap:
    """What happens when a concept's subspace takes the value that it has on another input.

    Attributes:
        dimensions: of the subspace.
        follows: share of answers that become what the network says of the other input, where the two answers differ.
        stays: share of all answers that stay.
        random_follows: the same for random subspaces of as many dimensions, drawn where the layer varies.
        p: how often these do as much.
        held: share of answers that stay when the subspace is held at its mean.
        random_held: the same for random subspaces.
        held_p: how often holding these still costs as much.
        pairs: how many inputs were paired with one that is answered differently.
    """

    dimensions: int
    follows: float
    stays: float
    random_follows: float
    p: float
    held: float
    random_held: float
    held_p: float
    pairs: int


def swap(
    state: LayerState,
    basis: Float[np.ndarray, "k f"],
    attribute: Attribute,
    rows: Int[np.ndarray, " n"],
    *,
    beside: Sequence[Attribute] = (),
    randoms: int = RANDOMS,
    seed: int = 0,
) -> Swap:
    """Swaps and holds a subspace of a layer.

    Args:
        state: the layer on the inputs to judge on.
        basis: orthonormal rows that span the subspace, fitted on other inputs.
        attribute: labels of all inputs; partners differ in it.
        rows: which of all inputs the layer was seen on.
        beside: other attributes; partners agree in them, as far as there are such.
        randoms: how many random subspaces.
        seed: of partners and of subspaces.

    Raises:
        ConceptError: a subspace without a dimension, or no two inputs that differ in attribute and answer.
    """
    if not len(basis):
        raise ConceptError(
            f"The concepts of {attribute.name} do not differ in this layer, so that nothing can be swapped."
        )
    rng = default_rng([seed, 51])
    partner = _partners(attribute.of[rows], [other.of[rows] for other in beside], rng)
    values = state.values
    plain = state.answers(values)
    differ = (partner >= 0) & (plain != plain[partner])
    if not differ.any():
        raise ConceptError(f"No two inputs that differ in {attribute.name} are answered differently.")

    def figures(rows_of: Float[np.ndarray, "k f"]) -> tuple[float, float, float]:
        inside = values @ rows_of.T
        moved = state.answers(values + (inside[partner] - inside) @ rows_of)
        held = state.answers(values + (inside.mean(0) - inside) @ rows_of)
        follows = float((moved == plain[partner])[differ].mean())
        return follows, float((moved == plain)[partner >= 0].mean()), float((held == plain).mean())

    own = figures(basis)
    drawn = np.array([figures(random_subspace(values, len(basis), rng)) for _ in range(randoms)])
    return Swap(
        dimensions=len(basis),
        follows=own[0],
        stays=own[1],
        random_follows=float(drawn[:, 0].mean()),
        p=float((1 + (drawn[:, 0] >= own[0]).sum()) / (1 + randoms)),
        held=own[2],
        random_held=float(drawn[:, 2].mean()),
        held_p=float((1 + (drawn[:, 2] <= own[2]).sum()) / (1 + randoms)),
        pairs=int(differ.sum()),
    )


def _partners(
    labels: Int[np.ndarray, " n"], others: Sequence[Int[np.ndarray, " n"]], rng: Generator
) -> Int[np.ndarray, " n"]:
    """For each input one with another value of the attribute, alike in as many others as can be; -1 where its own value
    is not known."""
    out = np.full(len(labels), -1)
    alike = np.sum([other[:, None] == other for other in others], axis=0) if others else np.zeros((len(labels),) * 2)
    for i in np.flatnonzero(labels >= 0):
        allowed = np.flatnonzero((labels >= 0) & (labels != labels[i]))
        best = allowed[alike[i, allowed] == alike[i, allowed].max()]
        out[i] = rng.choice(best)
    return out


def discriminant(values: Float[np.ndarray, "n f"], shown: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " f"]:
    """The direction that best tells inputs with a concept from those without, of unit length: the difference of their
    means, divided by how those without it vary (Fisher, 1936), with a tenth of their whole variance added."""
    plain, marked = values[~shown].astype(np.float64), values[shown].astype(np.float64)
    apart = marked.mean(0) - plain.mean(0)
    if not np.abs(apart).max() > 0:
        raise ConceptError("The concept does not change this layer, so that no direction stands for it.")
    x = plain - plain.mean(0)
    n = len(x)
    ridge = max(0.1 * float((x**2).sum()) / n, 1e-12)
    # (xᵀx/n + ridge)⁻¹ apart by the smaller side (Woodbury)
    inner = np.linalg.solve(x @ x.T / n + ridge * np.eye(n), x @ apart)
    found = (apart - x.T @ inner / n) / ridge
    return np.asarray(found / np.linalg.norm(found))


@dataclass(frozen=True, eq=False)
class Suppression:
    """A direction of a layer held at its mean over inputs without a concept, on pairs of inputs without and with it.

    Attributes:
        direction: of unit length, [f].
        centre: where it is held.
        turned: share of pairs whose answers differ, with the network as it is.
        turned_without: the same with the direction held.
        random_turned: the same for random directions.
        spared: share of answers without the concept that stay.
        random_spared: the same for random directions.
        p: how often random directions undo the concept as much.
    """

    direction: Float[np.ndarray, " f"]
    centre: float
    turned: float
    turned_without: float
    random_turned: float
    spared: float
    random_spared: float
    p: float


def suppress(
    first: LayerState,
    second: LayerState,
    shown: tuple[Bool[np.ndarray, " a"], Bool[np.ndarray, " b"]],
    *,
    randoms: int = RANDOMS,
    seed: int = 0,
) -> Suppression:
    """Finds the direction of a concept on one half of the pairs, and holds it still on the other.

    Args:
        first, second: the layer on the two halves; inputs with the concept come in the order of those without.
        shown: which inputs show it.
        randoms: how many random directions.
        seed: of these.

    Raises:
        ConceptError: the concept does not change the layer.
    """
    direction = discriminant(first.values, shown[0])
    plain = second.answers(second.values)

    def held(along: Float[np.ndarray, " f"]) -> tuple[float, float]:
        centre = float((first.values[~shown[0]] @ along).mean())
        said = second.answers(second.values + np.outer(centre - second.values @ along, along))
        return float((said[shown[1]] != plain[~shown[1]]).mean()), float((said == plain)[~shown[1]].mean())

    rng = default_rng([seed, 52])
    own = held(direction)
    drawn = np.array([held(random_subspace(first.values, 1, rng)[0]) for _ in range(randoms)])
    return Suppression(
        direction=direction,
        centre=float((first.values[~shown[0]] @ direction).mean()),
        turned=float((plain[shown[1]] != plain[~shown[1]]).mean()),
        turned_without=own[0],
        random_turned=float(drawn[:, 0].mean()),
        spared=own[1],
        random_spared=float(drawn[:, 1].mean()),
        p=float((1 + (drawn[:, 0] <= own[0]).sum()) / (1 + randoms)),
    )


def random_subspace(values: Float[np.ndarray, "n f"], k: int, rng: Generator) -> Float[np.ndarray, "k f"]:
    """An orthonormal basis of k random directions, drawn as the layer's own values vary around their mean."""
    centred = values - values.mean(0)
    mixed = rng.standard_normal((k, len(values))) @ centred
    return np.asarray(np.linalg.qr(mixed.T)[0].T[:k])
