"""Folds the steps of a recurrent layer back into one operation with a step of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from exegesis.ir import Array, Graph, Node, Type
from exegesis.ir.recurrent import GATES, roles
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

NAME = "fold_steps"
_STEP = re.compile(r"(?P<gate>[a-z]+)_from_input(?P<level>(_of_\d+)?(_back)?)_(?P<at>\d+)")


@dataclass(frozen=True)
class Layer:
    """The steps of one layer in one direction.

    Attributes:
        level: what its nodes are called after their gate.
        kind: of `GATES`.
        length: how many steps.
        source: the node whose entries along axis 1 it reads; reverse: from the last to the first.
    """

    level: str
    kind: str
    length: int
    source: str
    reverse: bool

    def state(self, at: int) -> str:
        """The state after a step, counted from 1."""
        return f"{'next' if self.kind.startswith('rnn') else 'state'}{self.level}_{at}"


@dataclass(frozen=True)
class FoldSteps:
    """Writes a recurrent layer that was taken step by step as one operation.

    What: the gates of all steps share their maps, so the layer is one step that is taken once per input. A program says
    the step once, as a function of state and input, and the states that come of it.

    Why valid: it computes the same; outputs are compared.

    Refuses: steps whose maps are not shared any more, that begin with anything but zeros, or that do not read one value
    from the first to the last entry or back.
    """

    name: str = NAME
    stage: str = "group"
    guarantee: Guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """Steps of a recurrent layer."""
        return None if any(_STEP.fullmatch(n.id) for n in graph.nodes) else "there are no steps of a recurrent layer"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """Folds one layer after the other."""
        attempts = []
        levels = dict.fromkeys(m["level"] for n in graph.nodes if (m := _STEP.fullmatch(n.id)))
        for level in levels:
            found = _layer(graph, level)
            if isinstance(found, str):
                attempts.append(Attempt(f"steps{level}", found, False))
                continue
            graph = _folded(graph, found)
            what = f"{found.length} steps of a {found.kind.split('_')[0].upper()} are one"
            attempts.append(Attempt(f"steps{level}", what, True))
        return Outcome(graph, tuple(attempts))


def _layer(graph: Graph, level: str) -> Layer | str:
    """The layer with a level, or why its steps cannot be one."""
    known = graph.by_id
    steps: dict[int, list[str]] = {}
    for name in known:
        if (m := _STEP.fullmatch(name)) and m["level"] == level:
            steps.setdefault(int(m["at"]), []).append(m["gate"])
    length = len(steps)
    if sorted(steps) != list(range(1, length + 1)) or any(sorted(g) != sorted(steps[1]) for g in steps.values()):
        return "some steps are missing"
    acts = known[f"next{level}_1"].attrs.get("kind") if f"next{level}_1" in known else None
    kind = next((k for k, gates in GATES.items() if sorted(gates) == sorted(steps[1]) and acts in (None, k[4:])), None)
    if kind is None:
        return "its gates are those of no known layer"
    gate = GATES[kind][0]
    reads = [known[known[f"{gate}_from_input{level}_{t}"].inputs[0]] for t in range(1, length + 1)]
    picked = [(r.inputs[0], r.attrs["at"]) for r in reads if r.op == "component.pick" and r.attrs["axis"] == 1]
    places = [at for _, at in picked]
    if len(picked) < length or len({s for s, _ in picked}) > 1:
        return "its steps do not read one value"
    if places not in (list(range(length)), list(range(length))[::-1]) or _size(graph, picked[0][0]) != length:
        return "its steps do not read all entries in order"
    found = Layer(level, kind, length, picked[0][0], length > 1 and places[0] > 0)
    return _differs(graph, found, [r.id for r in reads]) or found


def _differs(graph: Graph, layer: Layer, reads: list[str]) -> str | None:
    """What about the steps is not as the layer has it."""
    known = graph.by_id
    start = known[known[f"{GATES[layer.kind][0]}_from_state{layer.level}_1"].inputs[0]]
    if start.op != "component.constant" or graph.tensors[start.tensors["value"]].any():
        return "it does not begin with zeros"
    for gate in GATES[layer.kind]:
        for part in ("input", "state"):
            maps = [known.get(f"{gate}_from_{part}{layer.level}_{t}") for t in range(1, layer.length + 1)]
            if any(m is None or dict(m.tensors) != dict(maps[0].tensors) for m in maps if maps[0] is not None):
                return "its steps do not share their maps"
            sources = reads if part == "input" else [start.id, *(layer.state(t) for t in range(1, layer.length))]
            if [m.inputs[0] for m in maps if m is not None] != sources:
                return "its gates read other values"
    return None if all(layer.state(t) in known for t in range(1, layer.length + 1)) else "some states are missing"


def _size(graph: Graph, name: str) -> int | None:
    axis = graph[name].type.axes[1]
    return int(axis[1:]) if axis.startswith("=") else graph.axes[axis].size


def _folded(graph: Graph, layer: Layer) -> Graph:
    """The graph with one operation for the layer, and an entry of it for every state."""
    held, steps = _maps(graph, layer)
    draft = Draft(graph, NAME)
    state = graph[layer.state(1)].type
    source = graph[layer.source].type
    kind = Type("real", (*source.axes[:2], state.axes[-1]))
    attrs = {"kind": layer.kind} | ({"reverse": True} if layer.reverse else {}) | ({"steps": steps} if steps else {})
    states = draft.add("component.recurrent", [layer.source], kind, attrs, hint="states", tensors=held)
    substitutes = {}
    for t in range(1, layer.length + 1):
        old = graph[layer.state(t)]
        at = layer.length - t if layer.reverse else t - 1
        hint = f"{old.id}_of_all"
        substitutes[old.id] = draft.add(
            "component.pick", [states], old.type, {"axis": 1, "at": at}, hint=hint, sites=old.sites
        )
    return draft.into(substitutes).pruned()


def _maps(graph: Graph, layer: Layer) -> tuple[dict[str, Array], dict[str, float]]:
    """Tensors by role, and the steps of those that count steps. Biases that are added are one."""
    held, steps = dict[str, Array](), dict[str, float]()
    for gate in GATES[layer.kind]:
        parts: Mapping[str, Node] = {p: graph[f"{gate}_from_{p}{layer.level}_1"] for p in ("input", "state")}
        for part, node in parts.items():
            role = f"{gate}_from_{part}"
            held[role] = graph.tensors[node.tensors["weight"]]
            if "step" in node.attrs:
                steps[role] = float(node.attrs["step"])
        biases = {p: graph.tensors[n.tensors["bias"]] for p, n in parts.items() if "bias" in n.tensors}
        size = held[f"{gate}_from_state"].shape[1]
        none = np.zeros(size, dtype=np.float32)
        first, second = (biases.get(p, none) for p in ("input", "state"))
        apart = f"{gate}_state_bias" in roles(layer.kind)
        held[f"{gate}_bias"] = first if apart else (first.astype(np.float64) + second).astype(np.float32)
        if apart:
            held[f"{gate}_state_bias"] = second
    return held, steps
