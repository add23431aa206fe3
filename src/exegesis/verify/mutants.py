"""Planted faults: programs with one leaf changed, to find out whether the judge notices.

A mutant is semantic: it is another valid program of the language. Which kinds of change a leaf allows is read off its
specification, so that a new operation is mutated without a word here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from exegesis.ir import Graph, GraphError, Json, Level, Node, Type, check
from exegesis.ir.levels import SPECS
from exegesis.ir.spec import OneOf

SWAPPED, OFFSET, EXCHANGED, DROPPED, PERTURBED = (
    "predicate swapped",
    "offset by one",
    "entries exchanged",
    "part dropped",
    "constant perturbed",
)
KINDS = (SWAPPED, OFFSET, EXCHANGED, DROPPED, PERTURBED)
_FACTORS = (0.5, 0.8, 1.25, 2.0, -1.0)  # what constants are multiplied by
_ENTRIES = 24  # of a long list or table, how many entries are changed


@dataclass(frozen=True, eq=False)
class Mutant:
    """A changed program.

    Attributes:
        graph: the program.
        kind: one of `KINDS`; of several changes, the last.
        what: what was changed, for people.
    """

    graph: Graph
    kind: str
    what: str


def mutants(graph: Graph, n: int, seed: int = 0) -> list[Mutant]:
    """n different mutants of a program, or as many as there are.

    Kinds are drawn evenly, then a change of that kind. Where single changes run out, mutants of mutants follow.

    Args:
        graph: the program.
        n: how many.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    seen = {_content(graph)}
    found: list[Mutant] = []
    parents = [Mutant(graph, "", "")]
    for _ in range(3):
        by_kind: dict[str, list[Mutant]] = {kind: [] for kind in KINDS}
        for parent in parents:
            for mutant in _single(parent, rng):
                by_kind[mutant.kind].append(mutant)
        fresh = len(found)
        while len(found) < n and any(by_kind.values()):
            kind = str(rng.choice([k for k, m in by_kind.items() if m]))
            mutant = by_kind[kind].pop(int(rng.integers(len(by_kind[kind]))))
            if (content := _content(mutant.graph)) not in seen:
                seen.add(content)
                found.append(mutant)
        parents = [found[i] for i in rng.permutation(np.arange(fresh, len(found)))[:16]]
        if len(found) >= n or not parents:
            break
    return found


def _content(graph: Graph) -> str:
    """What a program computes, as text: equal for equal programs."""
    needed = graph.upstream(graph.outputs[:1])
    lines = [f"{n.id} {n.op} {n.inputs} {dict(n.attrs)} {dict(n.tensors)}" for n in graph.nodes if n.id in needed]
    tensors = [f"{name} {hash(t.tobytes())}" for name, t in sorted(graph.tensors.items())]
    return "\n".join([*lines, *tensors, *graph.outputs])


def _single(parent: Mutant, rng: Generator) -> Iterator[Mutant]:
    """Every change of one leaf that leaves a valid program."""
    graph = parent.graph
    needed = graph.upstream(graph.outputs[:1])
    for node in graph.nodes:
        if node.id not in needed or node.level is not Level.SYMBOLIC:
            continue
        for kind, what, changed in (*_by_attribute(node, rng), *_by_input(node, graph)):
            nodes = [changed if n.id == node.id else n for n in graph.nodes]
            yield from _valid(parent, kind, f"{node.id}: {what}", nodes, graph.outputs)
        for kind, what, added in _inserted(node, graph):
            if added.id in graph.by_id:
                continue
            after = [replace(n, inputs=tuple(added.id if i == node.id else i for i in n.inputs)) for n in graph.nodes]
            outputs = tuple(added.id if o == node.id else o for o in graph.outputs)
            yield from _valid(parent, kind, f"{node.id}: {what}", [*after, added], outputs)
        for source in _stand_ins(node, graph):
            nodes = [replace(n, inputs=tuple(source if i == node.id else i for i in n.inputs)) for n in graph.nodes]
            outputs = tuple(source if o == node.id else o for o in graph.outputs)
            yield from _valid(parent, DROPPED, f"{node.id}: replaced by its input {source}", nodes, outputs)


def _valid(parent: Mutant, kind: str, what: str, nodes: Sequence[Node], outputs: tuple[str, ...]) -> Iterator[Mutant]:
    try:
        graph = parent.graph.with_nodes(nodes, outputs=outputs)
        check(graph)
    except GraphError:
        return
    yield Mutant(graph, kind, f"{parent.what}; {what}" if parent.what else what)


def _by_attribute(node: Node, rng: Generator) -> Iterator[tuple[str, str, Node]]:
    """One attribute changed."""
    allowed = {name.rstrip("?"): test for name, test in SPECS[node.op].attrs.items()}
    for name, value in node.attrs.items():
        test = allowed.get(name)
        words = [w for w in test.choices if w != value] if isinstance(test, OneOf) else []
        for kind, new in (*((SWAPPED, w) for w in words), *_changes(value, rng)):
            yield kind, f"{name} {_short(value)} → {_short(new)}", replace(node, attrs={**node.attrs, name: new})


def _changes(value: Json, rng: Generator) -> Iterator[tuple[str, Json]]:
    """Other values near a value, each with the kind of change that it is."""
    if isinstance(value, bool):
        yield SWAPPED, not value
    elif isinstance(value, int):
        yield OFFSET, value + 1
        yield OFFSET, value - 1
    elif isinstance(value, float):
        yield from ((PERTURBED, value * factor) for factor in _FACTORS if value)
        yield PERTURBED, value + 0.5
    elif isinstance(value, list | tuple):
        yield from _list_changes(list(value), rng)


def _list_changes(value: list[Json], rng: Generator) -> Iterator[tuple[str, Json]]:
    some = sorted(rng.permutation(len(value))[:_ENTRIES].tolist())
    if len(value) > 1:
        for i in some:
            yield DROPPED, value[:i] + value[i + 1 :]
    for i in some:
        for kind, entry in _changes(value[i], rng):
            yield kind, [*value[:i], entry, *value[i + 1 :]]
    pairs = [(i, j) for i in some for j in some if i < j]
    for i, j in rng.permutation(pairs)[:_ENTRIES].tolist() if pairs else []:
        yield EXCHANGED, _exchanged(value, i, j)


def _exchanged(value: list[Json], i: int, j: int) -> list[Json]:
    """Two entries exchanged; of two rows, what comes last in each."""
    new = list(value)
    if isinstance(value[i], list | tuple) and isinstance(value[j], list | tuple):
        new[i], new[j] = [*value[i][:-1], value[j][-1]], [*value[j][:-1], value[i][-1]]
    else:
        new[i], new[j] = value[j], value[i]
    return new


def _by_input(node: Node, graph: Graph) -> Iterator[tuple[str, str, Node]]:
    """Inputs exchanged, or one of several left out."""
    inputs = node.inputs
    for i in range(len(inputs)):
        for j in range(i + 1, len(inputs)):
            if inputs[i] != inputs[j] and graph[inputs[i]].type == graph[inputs[j]].type:
                changed = list(inputs)
                changed[i], changed[j] = inputs[j], inputs[i]
                yield EXCHANGED, f"inputs {inputs[i]} and {inputs[j]}", replace(node, inputs=tuple(changed))
    roles = SPECS[node.op].inputs
    if roles[-1].endswith("*") and len(inputs) > 1 and "gives" not in node.attrs:
        for i in range(len(inputs)):
            yield DROPPED, f"input {inputs[i]}", replace(node, inputs=inputs[:i] + inputs[i + 1 :])
    if "gives" in node.attrs:  # conditions and what they give, dropped together
        first = len(inputs) - len(node.attrs["gives"])
        for i in range(len(node.attrs["gives"])):
            gives = [g for k, g in enumerate(node.attrs["gives"]) if k != i]
            left = inputs[: first + i] + inputs[first + i + 1 :]
            yield (
                DROPPED,
                f"condition {inputs[first + i]}",
                replace(node, inputs=left, attrs={**node.attrs, "gives": gives}),
            )


def _inserted(node: Node, graph: Graph) -> Iterator[tuple[str, str, Node]]:
    """One operation put behind a node: the category is one too many, the condition its opposite, the selection less."""
    added = Node(f"{node.id}'", node.op, (node.id,), node.type)
    if node.type.kind == "category":
        for by in (1, -1):
            yield OFFSET, f"shifted by {by}", replace(added, op="symbolic.shift", attrs={"by": by})
    if node.type.kind == "bool" and len(node.type.axes) == 2:
        yield SWAPPED, "negated", replace(added, op="symbolic.not")
    if node.type.kind == "selector":
        for which in ("latest", "first"):
            yield SWAPPED, f"only the {which}", replace(added, op="symbolic.nearest", attrs={"which": which})
        like = node.inputs[:1]
        if graph[like[0]].type.kind != "selector":
            for by in (0, 1, 2):
                what = f"replaced by {by} back"
                yield SWAPPED, what, replace(added, op="symbolic.back", inputs=like, attrs={"by": by})
            for causal in (True, False):
                what = f"replaced by everywhere{'' if causal else ', the future too'}"
                yield SWAPPED, what, replace(added, op="symbolic.everywhere", inputs=like, attrs={"causal": causal})


def _stand_ins(node: Node, graph: Graph) -> list[str]:
    """Inputs that could take the node's place: of the same kind, with the same axes."""
    return [i for i in dict.fromkeys(node.inputs) if _alike(graph[i].type, node.type)]


def _alike(a: Type, b: Type) -> bool:
    return a.kind == b.kind and a.axes == b.axes


def _short(value: Json) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
