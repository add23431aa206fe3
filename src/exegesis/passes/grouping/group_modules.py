"""Cuts a program over arrays into functions: its modules where it has any, its layers otherwise.

What: units of all layers are clustered by how much passes along their edges on the way to the answer (|weight| · mean
of |activation · gradient of the answer's margin|). Where the cut stands out from both nulls (weights shuffled; shuffled
while every unit stays as strongly tied), each module becomes functions, one per layer that it has units in: what it
computes there, and what it adds to the outputs. Modules are lesioned beside random ones, in the program and in the
network, and named after the classes that they cost where that holds on inputs that the name was not chosen on.

Why valid: nothing is computed differently; the units of a layer only come in another order.

Refuses when: nothing; where no module stands out, or layers cannot be read as a graph, functions are layers, and the
program says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Graph, InputError, Json
from exegesis.measure import Units
from exegesis.measure.lesions import Edit, Members, effects, outputs_with, unit_axis
from exegesis.measure.modularity import (
    CutTest,
    ModularityError,
    UnitGraph,
    attribution_graph,
    cut_test,
    wiring,
)
from exegesis.measure.modularity.names import Name, names
from exegesis.measure.modularity.roles import Module, Role, modules_of, roles
from exegesis.measure.units import Layer, Lesion
from exegesis.passes.compressing.maps import OPS
from exegesis.passes.compressing.sources import UnitSource
from exegesis.passes.grouping.pictures import Pictures
from exegesis.passes.grouping.splitting import Part, chains, layer_functions, split
from exegesis.passes.grouping.telling import Telling, tellings
from exegesis.passes.grouping.words import Card, InNetwork, layer_doc, part_doc
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

MOST_UNITS = 64  # of a layer, that are lesioned one by one
RESTARTS = 4


@dataclass(frozen=True)
class GroupModules:
    """Cuts a program over arrays into functions: its modules where it has any, its layers otherwise.

    Attributes:
        nulls: shuffled graphs for each test.
        randoms: random modules per module.
        rows: inputs that roles are measured on, and as many that names are checked on.
    """

    nulls: int = 50
    randoms: int = 40
    rows: int = 400
    name: str = "group_modules"
    stage: str = "group"
    guarantee: Guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """Two maps at least, one of which gives hidden units."""
        return None if len(_of(graph, OPS)) > 1 else "nothing lies between inputs and outputs that could be a function"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The program with its functions, and what is known of them in `meta["modules"]`."""
        graph = _with_inputs_named(graph)
        try:
            found = self._modules(graph, setting)
        except (ModularityError, InputError) as error:
            return self._layers(graph, setting, f"Modules were not looked for: {error}", str(error))
        if found.modular:
            return self._split(graph, setting, found)
        return self._layers(graph, setting, f"Not modular: {found.says()}", "not modular")

    def _modules(self, graph: Graph, setting: Setting) -> _Found:
        if not isinstance(setting.fit.split, ArraySplit) or not isinstance(setting.readout, Argmax):
            raise InputError("modules are read by class, which needs a behaviour over arrays with an argmax readout.")
        first, second = (
            Units.of(graph, setting.readout, _some(b.split, self.rows)) for b in (setting.fit, setting.held)
        )
        wired = wiring(graph, first.layers)
        edges = attribution_graph(first, wired)
        drawn = {"nulls": self.nulls, "restarts": RESTARTS, "seed": setting.seed}
        tests = tuple(cut_test(edges, null=null, **drawn) for null in ("degree", "shuffle"))  # type: ignore[arg-type]
        return _Found(first, second, edges, tests)

    def _split(self, graph: Graph, setting: Setting, found: _Found) -> Outcome:
        labels = np.maximum(found.tests[0].best.partition.labels, 0)  # units without edges go with the first module
        modules = [m for m in modules_of(found.edges, labels) if m.hidden]
        measured = roles(found.first, modules, randoms=self.randoms, pair_randoms=0, seed=setting.seed)
        called = names(
            measured, found.first, found.second, _labels(graph, setting), randoms=self.randoms, seed=setting.seed
        )
        kept = Pictures.of(found.first)
        cards = _cards(graph, setting, found, modules, measured.roles, called, kept)
        made = graph
        for node, source in chains(graph).items():
            layer = next((k for k in found.first.layers if k.node in source.between), None)
            if layer is not None and any(layer.index in m.hidden for m in modules):
                made = _with_parts(made, chains(made)[node], layer.index, modules, cards, len(found.first.layers))
        if len(made.functions) == len(graph.functions):
            return self._layers(graph, setting, f"{found.says()} Its layers cannot be computed in parts.", "modular")
        says = f"Modular: {found.says()}"
        made = _with_layer_functions(made, {})
        record = {
            "modular": True,
            "says": says,
            "modules": [
                card.record(_functions_of(made, card), kept.of_members(module.hidden, card.strength))
                for card, module in zip(cards, modules, strict=True)
            ],
            "pictures": kept.whole(),
        }
        attempts = [Attempt(c.title, c.why, True) for c in cards]
        return Outcome(replace(made, meta={**made.meta, "modules": record}), tuple(attempts))

    def _layers(self, graph: Graph, setting: Setting, says: str, why: str) -> Outcome:
        docs: dict[str, str] = {}
        records: list[Json] = []
        if isinstance(setting.fit.split, ArraySplit) and isinstance(setting.readout, Argmax):
            docs, records = self._units_of_layers(graph, setting)
        made = _with_layer_functions(graph, docs)
        for layer in records:
            layer["functions"] = [f.name for f in made.functions if layer["layer"] in f.nodes]
        record = {"modular": False, "says": says, "modules": records}
        attempts = tuple(Attempt(f.name, f"a function of {len(f.nodes)} nodes; {why}", True) for f in made.functions)
        attempts = attempts or (Attempt("layers", f"no layer is worth a function; {why}", False),)
        return Outcome(replace(made, meta={**made.meta, "modules": record}), attempts)

    def _units_of_layers(self, graph: Graph, setting: Setting) -> tuple[dict[str, str], list[Json]]:
        """What single units of each layer cost, by the node that carries it."""
        try:
            units = Units.of(graph, setting.readout, _some(setting.fit.split, self.rows))
            kept = Pictures.of(units)
            docs, records = {}, []
            layers = [layer for layer in units.layers if len(layer.nodes) == 1]
            strongest = [np.sort(np.argsort(-kept.strength(k.index))[:MOST_UNITS]) for k in layers]
            singles = [[{k.index: np.array([u])} for u in c] for k, c in zip(layers, strongest, strict=True)]
            said = _told(graph, setting, singles)
            for layer, chosen, told in zip(layers, strongest, said, strict=True):
                lost = effects(units, [Lesion({layer.index: [int(u)]}, "zero") for u in chosen])
                docs[layer.node] = layer_doc(layer, lost, chosen, _labels(graph, setting), told)
                order = chosen[np.argsort(-lost.lost, kind="stable")]
                records.append(
                    {
                        "name": layer.node,
                        "layer": layer.node,
                        "doc": docs[layer.node],
                        "pictures": kept.of_units(layer.index, order),
                    }
                )
            return docs, records
        except InputError:
            return {}, []


@dataclass(frozen=True, eq=False)
class _Found:
    """The graph of a program's units on two halves of the inputs, and its cuts against both nulls."""

    first: Units
    second: Units
    edges: UnitGraph
    tests: tuple[CutTest, ...]

    @property
    def modular(self) -> bool:
        return all(t.modular for t in self.tests)

    def says(self) -> str:
        """The tests in a sentence."""
        best = self.tests[0].best
        kinds = {"degree": "shuffles that keep how strongly units are tied", "shuffle": "plain shuffles"}
        against = " and ".join(
            f"{next(a.z for a in t.at if a.k == best.k):.1f} against {kinds[t.null]}" for t in self.tests
        )
        p = max(t.p for t in self.tests)
        return f"n-cut {best.partition.ncut:.2f} of its units into {best.k}, z = {against}, p = {p:.3f}."


def _some(split: object, rows: int) -> ArraySplit:
    assert isinstance(split, ArraySplit)
    return split.take(rows, 0)


def _labels(graph: Graph, setting: Setting) -> tuple[str, ...]:
    axis = graph[graph.outputs[0]].type.axes[-1]
    known = graph.axes.get(axis)
    if known is not None and known.labels:
        return known.labels
    size = known.size if known is not None else int(axis.removeprefix("="))
    return tuple(str(i) for i in range(size or 0))


def _cards(
    graph: Graph,
    setting: Setting,
    found: _Found,
    modules: Sequence[Module],
    measured: Sequence[Role],
    called: Sequence[Name],
    kept: Pictures,
) -> list[Card]:
    role = {r.module.name: r for r in measured}
    name = {n.module: n for n in called}
    labels = _labels(graph, setting)
    flows = _flows(found.edges, modules)
    there = _in_network(graph, setting, found.first, modules)
    taken: list[str] = []
    cards = []
    for i, module in enumerate(modules):
        card = Card.of(module, role.get(module.name), name.get(module.name), labels, taken)
        taken.append(card.slug)
        cards.append(replace(card, there=there[i] if there else None))
    said = _told(graph, setting, [[m.hidden] for m in modules])
    return [
        replace(
            c,
            concept="" if (told := said[i]) is None else told.says(),
            reads=_named(flows[i][0], cards, i),
            feeds=_named(flows[i][1], cards, i),
            answers=tuple((labels[k], s) for k, s in flows[i][2]),
            strength={k: kept.strength(k) for k in modules[i].hidden},
        )
        for i, c in enumerate(cards)
    ]


def _told(graph: Graph, setting: Setting, groups: Sequence[Sequence[Members]]) -> list[Telling | None]:
    """The concept that each group of units tells best, where it tells one."""
    assert isinstance(setting.fit.split, ArraySplit)
    return tellings(graph, setting.readout, setting.fit.split, _labels(graph, setting), groups, setting.seed)


def _named(shares: Float[np.ndarray, " m"], cards: Sequence[Card], own: int) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-shares, kind="stable")
    return tuple(("itself" if j == own else cards[j].title, float(shares[j])) for j in order if shares[j] >= 0.1)[:3]


Flow = tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], list[tuple[int, float]]]


def _flows(edges: UnitGraph, modules: Sequence[Module]) -> list[Flow]:
    """For each module: shares of what reaches it that come from each module, of what leaves it for each, and of what
    it gives to outputs, for those that get a tenth at least."""
    member = np.full(edges.n, -1)
    for i, module in enumerate(modules):
        member[module.labels] = i
    count = len(modules)
    between, one = np.zeros((count, count)), np.eye(count)
    given: Float[np.ndarray, "m o"] | None = None
    for block in edges.blocks:
        source, target = edges.layers[block.source], edges.layers[block.target]
        if source.hidden is None:
            continue
        froms = member[edges.offsets[block.source] : edges.offsets[block.source] + source.size]
        tos = member[edges.offsets[block.target] : edges.offsets[block.target] + target.size]
        rows = np.where(froms[:, None] >= 0, one[froms], 0)
        if target.hidden is None:
            given = rows.T @ block.weights + (0 if given is None else given)
        else:
            between += rows.T @ block.weights @ np.where(tos[:, None] >= 0, one[tos], 0)
    found = []
    for i in range(count):
        comes, goes = between[:, i], between[i]
        shares = np.zeros(0) if given is None else given[i] / max(float(given[i].sum()), 1e-12)
        found.append(
            (
                comes / max(float(comes.sum()), 1e-12),
                goes / max(float(goes.sum()), 1e-12),
                [(int(k), float(shares[k])) for k in np.argsort(-shares) if shares[k] >= 0.1][:4],
            )
        )
    return found


def _in_network(graph: Graph, setting: Setting, units: Units, modules: Sequence[Module]) -> list[InNetwork]:
    """What becomes of the network itself when the units of a module are silenced there, or swapped; nothing where its
    layers are not found."""
    if setting.network is None:
        return []
    there = Units.of(setting.network, setting.readout, units.bench.split)
    layers = {layer.node: layer for layer in there.layers}
    if any(layer.node not in layers for layer in units.layers):
        return []
    places = {k.index: layers[k.node].index for k in units.layers}
    numbers = {k.index: np.array(_numbers(graph, k)) for k in units.layers}
    members = [{places[k]: numbers[k][u] for k, u in m.hidden.items()} for m in modules]
    lost = [1 - row for row in effects(there, [Lesion(m, "zero") for m in members]).by_class]
    swaps = [_same_when_swapped(units, m.hidden, there, t) for m, t in zip(modules, members, strict=True)]
    return [InNetwork(row, share) for row, share in zip(lost, swaps, strict=True)]


def _numbers(graph: Graph, layer: Layer) -> list[int]:
    """Which of the network's units a layer of the program still has."""
    site = next(iter(graph[layer.node].sites), None)
    return [n for _, n in site.index] if site is not None and site.index else list(range(layer.units))


def _same_when_swapped(program: Units, own: Members, network: Units, theirs: Members) -> float:
    """How often program and network say the same when a module has the values of another input in both."""
    said = [u.bench.readout.answers(outputs_with(u, _swaps(u, m))) for u, m in ((program, own), (network, theirs))]
    return float(program.bench.readout.equal(*said).mean())


def _swaps(units: Units, members: Members) -> list[Edit]:
    """Units take their values of another input: the one that lies half of all inputs further on."""

    def edit(layer: int, chosen: Int[np.ndarray, " u"]) -> Edit:
        values = torch.from_numpy(units.activations(layer))
        values = values.roll(len(values) // 2, 0)
        seen = 0

        def change(value: torch.Tensor, at: Layer, node: str) -> torch.Tensor:
            nonlocal seen
            other = values[seen : seen + len(value)].index_select(1, torch.from_numpy(chosen))
            seen += len(value)
            return value.index_copy(unit_axis(value, at), torch.from_numpy(chosen), other)

        return Edit(layer, change)

    return [edit(k, np.asarray(u)) for k, u in members.items()]


def _with_parts(
    graph: Graph, source: UnitSource, layer: int, modules: Sequence[Module], cards: Sequence[Card], depth: int
) -> Graph:
    """The program with one layer computed module by module."""
    what, at = ("features", "") if depth == 1 else (f"features_{layer + 1}", f"_in_{layer + 1}")
    parts = [
        Part(f"{what}_of_{c.slug}", m.hidden[layer], f"by_{c.slug}{at}", part_doc(c, layer))
        for c, m in zip(cards, modules, strict=True)
        if layer in m.hidden
    ]
    return split(graph, source, parts, what)


def _functions_of(graph: Graph, card: Card) -> tuple[str, ...]:
    return tuple(f.name for f in graph.functions if f.name.endswith(f"_of_{card.slug}"))


def _with_layer_functions(graph: Graph, docs: Mapping[str, str]) -> Graph:
    """The program with a function for each layer that is in none yet."""
    made = [
        replace(f, doc=next((docs[n] for n in reversed(f.nodes) if n in docs), ""))
        for f in layer_functions(graph, _of(graph, OPS))
    ]
    return replace(graph, functions=(*graph.functions, *made))


def _with_inputs_named(graph: Graph) -> Graph:
    """What is left of the input has a name: pixels where it was a picture."""
    first = next((n for n in graph.nodes if n.op == "input.array"), None)
    if first is None:
        return graph
    word = "pixels" if len(first.type.axes) in (3, 4) else "entries"
    plain = ("component.flatten", "component.scale", "component.keep")
    own = [n for n in graph.nodes if n.op in plain and graph.upstream([n.id]) <= {first.id, *_of(graph, plain)}]
    last = {n.id for n in own if not any(u in own for u in graph.users(n.id))}
    return replace(graph, nodes=tuple(replace(n, name=word) if n.id in last else n for n in graph.nodes))


def _of(graph: Graph, ops: Sequence[str]) -> list[str]:
    return [n.id for n in graph.nodes if n.op in ops]
