"""The graph of a lifted network's units: which map ties which layers, and how strongly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Argmax
from exegesis.ir import Graph, Level
from exegesis.measure import units as network_units
from exegesis.measure.bench import Observed
from exegesis.measure.modularity.graphs import Block, Layer, ModularityError, UnitGraph
from exegesis.measure.units import MAPS, Layers, Units
from exegesis.runtime import Executor

_THROUGH = (
    "component.activation",
    "component.flatten",
    "component.pool2d",
    "component.scale",
    "component.pick",
    "component.add",
    "component.norm",
)


@dataclass(frozen=True)
class Tie:
    """A map that carries a layer's values to another, or a value that goes on as it is (`map` is None)."""

    source: int
    target: int
    map: str | None


@dataclass(frozen=True, eq=False)
class Wiring:
    """How the layers of a lifted network hang together.

    Attributes:
        graph: units of inputs, layers and outputs, tied by absolute weights. A channel counts as one unit, and an edge
            to it is the sum of its kernel's absolute weights.
        ties: the map behind each block of `graph`.
        carriers: for each layer, the nodes that hold its values.
    """

    graph: UnitGraph
    ties: tuple[Tie, ...]
    carriers: tuple[tuple[str, ...], ...]


def wiring(program: Graph, layers: Layers) -> Wiring:
    """Reads the graph of units off a lifted network.

    Source: Filan et al., Clusterability in Neural Networks (arXiv 2103.03386), section 2 and appendix on convolutions.

    Raises:
        ModularityError: a recurrent layer, attention heads, or a layer that no dense or convolutional map ties.
    """
    for layer in layers:
        if layer.kind in ("recurrent", "heads"):
            what = "recurrent" if layer.kind == "recurrent" else "made of attention heads"
            raise ModularityError(f"Layer {layer.node!r} is {what}; such layers cannot be read as a graph yet.")
    inputs = [n.id for n in program.inputs if n.op == "input.array"]
    carriers: list[tuple[str, ...]] = [tuple(inputs), *(layer.nodes for layer in layers), program.outputs[:1]]
    place = {node: i for i, nodes in enumerate(carriers) for node in nodes}
    ties = list(dict.fromkeys(_ties(program, layers, place, len(carriers) - 1)))
    found = [(t, _matrix(program, layers, t)) for t in ties]
    units: dict[int, int] = {i + 1: layer.units for i, layer in enumerate(layers)}
    for tie, matrix in found:
        if matrix is not None:
            units.setdefault(tie.source, matrix.shape[0])
            units.setdefault(tie.target, matrix.shape[1])
    used = {i for t in ties for i in (t.source, t.target)}
    for i, layer in enumerate(layers):
        if i + 1 not in used:
            raise ModularityError(
                f"No dense or convolutional map ties layer {layer.node!r} to another, so that it has no edges."
            )
    order = sorted(used)
    names = {0: "input", len(carriers) - 1: "output", **{i + 1: layer.node for i, layer in enumerate(layers)}}
    kinds = tuple(Layer(names[i], units[i], i - 1 if 0 < i < len(carriers) - 1 else None) for i in order)
    at = {i: k for k, i in enumerate(order)}
    kept = [(Tie(at[t.source], at[t.target], t.map), _edges(m, units, t)) for t, m in found]
    blocks = tuple(Block(t.source, t.target, m, fixed=t.map is None) for t, m in kept if m is not None)
    graph = UnitGraph(kinds, blocks)
    return Wiring(graph, tuple(t for t, m in kept if m is not None), tuple(carriers[i] for i in order))


def _ties(program: Graph, layers: Layers, place: dict[str, int], output: int) -> Iterator[Tie]:
    for i, layer in enumerate(layers):
        seen = set[str]()  # steps of a recurrent layer share their weights
        for name in layer.maps:
            weight = program[name].tensors["weight"]
            for source in _sources(program, program[name].inputs[0], place) if weight not in seen else ():
                yield Tie(source, i + 1, name)
            seen.add(weight)
        for source in {s for node in layer.nodes[-1:] for s in _skips(program, node, place)}:
            yield Tie(source, i + 1, None)
    for name in _maps_before(program, program.outputs[0]):
        for source in _sources(program, program[name].inputs[0], place):
            yield Tie(source, output, name)


def _sources(program: Graph, node: str, place: dict[str, int]) -> list[int]:
    """The layers whose values reach a node with no map between. Of an input of which only some entries are kept there
    is no layer: no two of its readers would have to agree on which."""
    found, stack = set[int](), [(node, False)]
    while stack:
        name, kept = stack.pop()
        if name in place:
            found |= set() if kept and program[name].level is Level.INPUT else {place[name]}
        elif program[name].op in (*_THROUGH, "component.keep"):
            stack.extend((i, kept or program[name].op == "component.keep") for i in program[name].inputs)
    return sorted(found)


def _skips(program: Graph, node: str, place: dict[str, int]) -> list[int]:
    """The layers that are added to a layer's own values without a map."""
    own = place[node]
    adds, stack = list[str](), list(program[node].inputs)
    while stack:
        name = stack.pop()
        if program[name].op == "component.add":
            adds.append(name)
        if name not in place and program[name].op in _THROUGH:
            stack.extend(program[name].inputs)
    return [s for a in adds[:1] for s in _sources(program, a, place) if s != own]


def _maps_before(program: Graph, node: str) -> list[str]:
    found, stack = list[str](), [node]
    while stack:
        at = program[stack.pop()]
        if at.op in MAPS:
            found.append(at.id)
        elif at.op in _THROUGH or at.id == node:
            stack.extend(i for i in at.inputs if program[i].level is not Level.INPUT)
    return found


def _matrix(program: Graph, layers: Layers, tie: Tie) -> NDArray[np.float32] | None:
    """Absolute weights, [inputs of the map, outputs of the map]; None for a value that goes on as it is."""
    if tie.map is None:
        return None
    node = program[tie.map]
    weight = np.abs(program.tensors[node.tensors["weight"]]).astype(np.float32) * float(node.attrs.get("step", 1))
    if node.op == "component.linear":
        if not tie.source:
            return weight
        source = layers[tie.source - 1]
        owners = _owners(program, node.inputs[0], source)
        if owners is None or len(owners) != len(weight):
            raise ModularityError(
                f"Map {tie.map!r} reads {len(weight)} values, which {source.units} units cannot have."
            )
        summed = np.zeros((source.units, weight.shape[1]), dtype=np.float32)
        np.add.at(summed, owners, weight)
        return summed
    groups = int(node.attrs["groups"])
    kernels = weight.sum((2, 3)).T  # [inputs of a group, outputs]
    out = np.zeros((kernels.shape[0] * groups, kernels.shape[1]), dtype=np.float32)
    per = kernels.shape[1] // groups
    for g in range(groups):
        rows = slice(g * kernels.shape[0], (g + 1) * kernels.shape[0])
        out[rows, g * per : (g + 1) * per] = kernels[:, g * per : (g + 1) * per]
    return out


def _owners(program: Graph, node_id: str, layer: network_units.Layer) -> Int[np.ndarray, " k"] | None:
    """For each entry of a value that comes from a layer, its unit; None where that is not said."""
    node = program[node_id]
    if node_id in layer.nodes:
        return np.arange(layer.units)
    for source in node.inputs if node.op in (*_THROUGH, "component.keep") else ():
        if (found := _owners(program, source, layer)) is not None:
            if node.op == "component.flatten":
                places = _flat_size(program, node.type.axes[-1], program[source].type.axes[1:]) // len(found)
                return np.repeat(found, places)
            return found[program.tensors[node.tensors["mask"]]] if node.op == "component.keep" else found
    return None


def _flat_size(program: Graph, axis: str, before: Sequence[str]) -> int:
    """How many entries a value that was laid flat has."""

    def size(name: str) -> int:
        known = int(name[1:]) if name.startswith("=") else program.axes[name].size
        return known or 0

    return size(axis) or int(np.prod([size(name) for name in before]))


def _edges(matrix: NDArray[np.float32] | None, units: dict[int, int], tie: Tie) -> NDArray[np.float32] | None:
    if matrix is not None:
        return matrix
    same = units.get(tie.source) == units.get(tie.target)
    return np.eye(units[tie.target], dtype=np.float32) if same else None


def shuffled(program: Graph, rng: Generator) -> Graph:
    """A network of the same shape whose maps have their own weights dealt out anew, biases as they are."""
    names = sorted({n.tensors["weight"] for n in program.nodes if n.op in MAPS})
    dealt = {n: rng.permutation(program.tensors[n].ravel()).reshape(program.tensors[n].shape) for n in names}
    return replace(program, tensors={**program.tensors, **dealt})


def correlation_graph(units: Units, wired: Wiring) -> UnitGraph:
    """Units of all hidden layers, tied by the absolute correlation of their activations over the split.

    A channel's activation is its mean over the picture. Units that never change have no edges.

    Source: Hod et al., Quantifying Local Specialization in Deep Neural Networks (arXiv 2110.08058), section 3.
    """
    there = [layer for layer in wired.graph.layers if layer.hidden is not None]
    values = np.concatenate([by_unit(units, layer.hidden) for layer in there if layer.hidden is not None], axis=1)
    ties = np.abs(_correlations(values))
    np.fill_diagonal(ties, 0)
    ends = np.cumsum([0, *(layer.size for layer in there)])
    blocks = []
    for i in range(len(there)):
        for j in range(i, len(there)):
            part = ties[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
            blocks.append(Block(i, j, part / 2 if i == j else part))  # a layer's edges to itself are counted twice
    return UnitGraph(tuple(there), tuple(blocks), "correlations")


def by_unit(units: Units, layer: int) -> Float[np.ndarray, "n units"]:
    """A number per input and unit: the activation, or its mean over places."""
    found = units.activations(layer)
    out: Float[np.ndarray, "n units"] = found.reshape(*found.shape[:2], -1).mean(2)
    return out


def _correlations(values: Float[np.ndarray, "n m"]) -> NDArray[np.float32]:
    centred = values - values.mean(0)
    spread = np.sqrt((centred**2).sum(0))
    alive = spread > 1e-6 * max(1.0, float(np.abs(values).max(initial=0)))
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=alive)
    found: NDArray[np.float32] = (scaled.T @ scaled).clip(-1, 1).astype(np.float32)
    return found


def attribution_graph(units: Units, wired: Wiring) -> UnitGraph:
    """The units tied by |weight| · mean |activation · gradient| over the split: how much passes along an edge.

    The gradient is that of the margin by which the answer is given, at what the edge's end adds up; both are summed
    over the places of a picture. An edge between units that are never active, or that no answer depends on, is none.
    """
    maps = sorted({t.map for t in wired.ties if t.map is not None})
    carriers = {t.source: wired.carriers[t.source] for t in wired.ties}
    totals = {t: np.zeros_like(b.weights) for t, b in zip(wired.ties, wired.graph.blocks, strict=True)}
    for seen in units.bench.batches:
        values, slopes = _forward_and_back(units, seen, maps, [n for nodes in carriers.values() for n in nodes])
        for tie, total in totals.items():
            if tie.map is not None:
                active = [_strength(values[n], total.shape[0]) for n in carriers[tie.source]]
                total += np.sum(active, axis=0).T @ _strength(slopes[tie.map], total.shape[1])
    blocks = [
        b if tie.map is None else replace(b, weights=(b.weights * totals[tie] / units.bench.n).astype(np.float32))
        for tie, b in zip(wired.ties, wired.graph.blocks, strict=True)
    ]
    return replace(wired.graph, blocks=tuple(blocks), of="attributions")


def _forward_and_back(
    units: Units, seen: Observed, maps: list[str], carriers: list[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Values of the carriers, and gradients of the summed margins at the maps."""
    out: str = units.graph.outputs[0]
    inputs = {k: v.clone().requires_grad_() if v.is_floating_point() else v for k, v in seen.inputs.items()}
    found = Executor(units.graph).run(inputs, [out, *maps, *carriers], gradients=True)
    logits = found[out]
    margin = logits.sum()
    if isinstance(units.bench.readout, Argmax):
        answered = torch.from_numpy(seen.answers)
        margin = (logits.gather(-1, answered.reshape(*logits.shape[:-1], 1))[..., 0] - logits.mean(-1)).sum()
    ends = [found[name] for name in maps]
    grads = torch.autograd.grad(margin, ends, allow_unused=True, materialize_grads=True)
    return {n: found[n].detach() for n in carriers}, dict(zip(maps, grads, strict=True))


def _strength(value: Tensor, size: int) -> NDArray[np.float32]:
    """Absolute values [b, units], summed over the places of a picture."""
    flat = value.abs().float().reshape(len(value), size, -1) if value.ndim != 3 else value.abs().sum(1)[..., None]
    found: NDArray[np.float32] = flat.sum(2).numpy()
    return found
