"""Is a network modular, which are its modules, and what does each do?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.random import default_rng
from torch import nn

from exegesis.behavior import Behavior
from exegesis.ir import Graph
from exegesis.measure.modularity import (
    Communities,
    CutTest,
    ModularityError,
    UnitGraph,
    Wiring,
    attribution_graph,
    communities,
    compared,
    correlation_graph,
    cut_test,
    shuffled,
    wiring,
)
from exegesis.measure.modularity.hierarchy import Level, hierarchy
from exegesis.measure.modularity.names import Name, names
from exegesis.measure.modularity.roles import Module, Roles, modules_of, roles
from exegesis.measure.units import Ablation, Units
from exegesis.pipeline.subjects import Subject, subject
from exegesis.runtime import Network

GraphKind: TypeAlias = Literal["weights", "correlations", "attributions"]
KINDS: tuple[GraphKind, ...] = ("weights", "correlations", "attributions")
ROWS = 400
RESTARTS = 4
FEW_KS = (2, 4, 8, 12)
Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class GraphResult:
    """One graph of the network's units.

    Attributes:
        of: what its edges are.
        graph: the graph.
        tests: its n-cuts against each null.
        communities: what the Leiden algorithm finds; None where it was not run.
    """

    of: GraphKind
    graph: UnitGraph
    tests: tuple[CutTest, ...]
    communities: Communities | None


@dataclass(frozen=True, eq=False)
class ModuleReport:
    """What `find_modules` found.

    Attributes:
        network, behavior, split: what was looked at.
        labels: what the classes are called.
        graphs: each graph with its tests.
        layers: by pair of layers, the n-cut of their edges alone against shuffles.
        chosen: the graph that modules were taken from.
        modules: the clusters of that graph; none where it is not modular, unless they were asked for all the same.
        levels: how they come apart into modules of modules.
        roles: what their lesions cost; None where there are no modules.
        names: what they are called.
        dead: how many hidden units never change on the rows that were looked at.
        seconds, seed: how long it took, and the seed.
    """

    network: str
    behavior: str
    split: str
    labels: tuple[str, ...]
    graphs: tuple[GraphResult, ...]
    layers: tuple[tuple[str, CutTest], ...]
    chosen: GraphKind
    modules: tuple[Module, ...]
    levels: Level | None
    roles: Roles | None
    names: tuple[Name, ...]
    dead: int
    seconds: float
    seed: int

    @property
    def picked(self) -> GraphResult:
        """The graph that modules were taken from."""
        return next(g for g in self.graphs if g.of == self.chosen)

    @property
    def modular(self) -> bool:
        """Whether that graph stands out from its null."""
        return self.picked.tests[0].modular

    def says(self) -> str:
        """The outcome in one sentence."""
        return f"{self.network}, graph of {self.chosen}: {self.picked.tests[0].says()}"

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "network": self.network,
            "behavior": self.behavior,
            "split": self.split,
            "modular": self.modular,
            "says": self.says(),
            "chosen": self.chosen,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "dead_units": self.dead,
            "graphs": [_graph_record(g) for g in self.graphs],
            "layers": [{"edges": name, **_test_record(test)} for name, test in self.layers],
            "modules": list(self._module_records()),
            "pairs": [] if self.roles is None else [self._pair_record(i) for i in range(len(self.roles.pairs))],
            "hierarchy": None if self.levels is None else _level_record(self.levels),
        }

    def _module_records(self) -> Iterator[dict[str, Any]]:
        role = {} if self.roles is None else {r.module.name: r for r in self.roles.roles}
        called = {n.module: n for n in self.names}
        layers = {layer.hidden: layer.name for layer in self.picked.graph.layers if layer.hidden is not None}
        for module in self.modules:
            record: dict[str, Any] = {
                "module": module.name,
                "size": module.size,
                "units": {layers[k]: u.tolist() for k, u in module.hidden.items()},
                "layers": {str(k): u.tolist() for k, u in module.hidden.items()},
                "inputs": module.inputs.tolist(),
                "outputs": module.outputs.tolist(),
            }
            if module.name in role:
                r = role[module.name]
                record["active_units"] = r.units
                record["importance"] = {"lost": r.importance, "random": r.random_importance, "p": r.importance_p}
                record["coherence"] = {"range": r.coherence, "random": r.random_coherence, "p": r.coherence_p}
                record["lost_by_class"] = {
                    name: None if np.isnan(x) else float(x) for name, x in zip(self.labels, r.lost, strict=False)
                }
            if module.name in called:
                n = called[module.name]
                record["name"] = n.name
                record["name_check"] = {"p": n.p, "lost": n.lost, "others_lost": n.others_lost, "why": n.why}
                record["driven_by"] = {"class": self.labels[n.driven_by], "auc": n.auc, "auc_random": n.auc_random}
            yield record

    def _pair_record(self, at: int) -> dict[str, Any]:
        assert self.roles is not None
        pair = self.roles.pairs[at]
        return {
            "modules": [self.roles.roles[i].module.name for i in (pair.first, pair.second)],
            "joint": pair.joint,
            "beyond": pair.beyond,
            "beyond_p": pair.beyond_p,
            "likeness": pair.likeness,
            "likeness_p": pair.likeness_p,
            "copies": pair.copies,
            "redundant": pair.redundant,
        }


def find_modules(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    split: str | None = None,
    chosen: GraphKind = "weights",
    kinds: Sequence[GraphKind] = KINDS,
    ks: Sequence[int] | None = None,
    nulls: int = 50,
    randoms: int = 100,
    rows: int = ROWS,
    kind: Ablation = "zero",
    even_if_not: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> ModuleReport:
    """Looks for modules, against nulls, and lesions them.

    Args:
        network: a module, what `exegesis.load` takes, or the folder of a run.
        behavior: what the network is looked at for.
        split: where inputs come from; None for `test` where there is one.
        chosen: the graph that modules are taken from.
        kinds: the graphs that are tested; `chosen` always is.
        ks: numbers of clusters to try; None for 2 to 12.
        nulls: how many nulls each test draws.
        randoms: random modules of equal size per module.
        rows: how many inputs each half has: roles are measured on one, names checked on the other.
        kind: what takes the place of lesioned units.
        even_if_not: lesion the best clusters also where the graph is not modular.
        seed: of everything that is drawn.
        progress: told what is going on.

    Raises:
        InputError: network and behaviour cannot be used, too few rows, or a single class.
        ModularityError: a network whose layers are not tied by dense or convolutional maps, or with too few units.
    """
    began = time.perf_counter()
    told = progress or (lambda said: None)
    there = subject(network, behavior, split=split, seed=seed)
    there.behavior.arrays(there.split)  # sequences are refused here
    first, second = there.halves(rows, seed)
    wired = wiring(there.graph, first.layers)
    results = []
    for of in (k for k in KINDS if k == chosen or k in kinds):
        told(f"graph of {of}, {nulls} nulls")
        results.append(_graph_result(of, there, first, wired, ks or (None if of == chosen else FEW_KS), nulls, seed))
    picked = next(r for r in results if r.of == chosen)
    told("layer by layer")
    layers = tuple(_layer_tests(wired, ks or FEW_KS, nulls, seed))
    modules: tuple[Module, ...] = ()
    called: tuple[Name, ...] = ()
    levels, found = None, None
    best = picked.tests[0].best.partition.labels
    if picked.tests[0].modular or even_if_not:
        told("lesions")
        modules = modules_of(picked.graph, best)
        found = roles(first, modules, kind=kind, randoms=randoms, seed=seed)
        called = names(found, first, second, there.labels, randoms=randoms, seed=seed)
    if picked.tests[0].modular:
        told("modules of modules")
        levels = hierarchy(picked.graph, nulls=nulls, restarts=RESTARTS, seed=seed, whole=picked.tests[0])
    dead = sum(int((v.reshape(len(v), v.shape[1], -1).std((0, 2)) == 0).sum()) for v in _activations(first))
    return ModuleReport(
        network=there.name,
        behavior=there.behavior.name,
        split=there.split,
        labels=there.labels,
        graphs=tuple(results),
        layers=layers,
        chosen=chosen,
        modules=modules,
        levels=levels,
        roles=found,
        names=called,
        dead=dead,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _activations(units: Units) -> Iterator[Any]:
    return (units.activations(layer.index) for layer in units.layers)


def _graph_result(
    of: GraphKind, there: Subject, units: Units, wired: Wiring, ks: Sequence[int] | None, nulls: int, seed: int
) -> GraphResult:
    if of == "correlations":
        graph = correlation_graph(units, wired)
        others = (
            correlation_graph(_with(units, shuffled(there.graph, default_rng([seed, 5, i])), there), wired)
            for i in range(nulls)
        )
        test = compared(graph, others, nulls, ks=ks, null="shuffled network", restarts=RESTARTS, seed=seed)
        return GraphResult(of, graph, (test,), None)
    graph = wired.graph if of == "weights" else attribution_graph(units, wired)
    # The published null shuffles weights. Attributions are uneven by nature, so that strengths have to be kept.
    order: tuple[Literal["shuffle", "degree"], ...] = (
        ("shuffle", "degree") if of == "weights" else ("degree", "shuffle")
    )
    tests = tuple(
        cut_test(graph, ks=ks if i == 0 else ks or FEW_KS, null=null, nulls=nulls, restarts=RESTARTS, seed=seed)
        for i, null in enumerate(order)
    )
    return GraphResult(of, graph, tests, communities(graph, seed=seed) if of == "weights" else None)


def _with(units: Units, graph: Graph, there: Subject) -> Units:
    """Another program on the same rows."""
    return Units.of(graph, there.behavior.readout, units.bench.split)


def _layer_tests(wired: Wiring, ks: Sequence[int], nulls: int, seed: int) -> Iterator[tuple[str, CutTest]]:
    """Pairs of layers that are too small for modules are left out."""
    for i, block in enumerate(wired.graph.blocks):
        if block.fixed:
            continue
        name = f"{wired.graph.layers[block.source].name} → {wired.graph.layers[block.target].name}"
        try:
            yield name, cut_test(wired.graph.between(i), ks=ks, nulls=nulls, restarts=RESTARTS, seed=seed)
        except ModularityError:
            continue


def _graph_record(result: GraphResult) -> dict[str, Any]:
    found = result.communities
    return {
        "of": result.of,
        "layers": {layer.name: layer.size for layer in result.graph.layers},
        "tests": [_test_record(t) for t in result.tests],
        "communities": None
        if found is None
        else {
            "count": found.k,
            "modularity": found.modularity,
            "null_mean": float(found.null.mean()),
            "z": found.z,
            "p": found.p,
        },
    }


def _test_record(test: CutTest) -> dict[str, Any]:
    return {
        "null": test.null,
        "nulls": len(test.at[0].null),
        "modular": test.modular,
        "p": test.p,
        "k": test.best.k,
        "z": test.best.z,
        "percentile": test.best.percentile,
        "eigengap": test.eigengap,
        "components": test.components,
        "isolated": test.isolated,
        "at": [
            {
                "k": a.k,
                "ncut": a.partition.ncut,
                "null_mean": float(a.null.mean()),
                "z": a.z,
                "percentile": a.percentile,
            }
            for a in test.at
        ],
    }


def _level_record(level: Level) -> dict[str, Any]:
    return {
        "size": len(level.units),
        "says": None if level.test is None else level.test.says(),
        "parts": [_level_record(part) for part in level.parts],
    }
