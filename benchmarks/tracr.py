"""Decompiles compiled RASP programs; prints how exact each program is, and which variables are where they were put.

    python -m benchmarks.tracr [MODELS] [--strings N]

MODELS is a folder of compiled networks, each with the `about.json` that says which heads and neurons carry what
(by default `../shared/models/tracr` beside the checkout). That file is read after decompiling, to compare with.

Columns: share of the domain's strings on which the program says what the network says (all strings where there are at
most N, else N of them: the shortest, and others at random); heads and groups of neurons found, of those that are there;
the largest difference that zero and resample ablation make between what was found and what is there, in answers kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from exegesis.behavior import Behavior, StringsDomain, domain_split
from exegesis.emit import measure_source
from exegesis.ir import Graph
from exegesis.ir.progress import Silent
from exegesis.measure import Bench
from exegesis.passes.raising.neurons import mlps, out_weight
from exegesis.passes.raising.raise_layers import RaiseLayers
from exegesis.pipeline.decompile import Start, decompile, prepare
from exegesis.runtime import Ablate, Executor
from exegesis.runtime.answers import batch_answers, read_answers

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models" / "tracr"
Part = tuple[str, frozenset[int]]  # the node that carries it (a block's mix, an MLP's activations), and which entries


@dataclass(frozen=True)
class Structure:
    """Where variables are: single heads, and groups of neurons."""

    heads: frozenset[Part]
    neurons: frozenset[Part]

    def covered_by(self, found: Structure) -> Structure:
        """The parts that were found: as they are, or several of them that were found to hold one variable together."""
        return Structure(_covered(self.heads, found.heads), _covered(self.neurons, found.neurons))


def _covered(there: frozenset[Part], found: frozenset[Part]) -> frozenset[Part]:
    covered: set[Part] = set()
    for node, entries in found:
        inside = [p for p in there if p[0] == node and p[1] <= entries]
        if frozenset().union(*(p[1] for p in inside)) == entries:
            covered |= set(inside)
    return frozenset(covered)


def main(models: Path, strings: int) -> None:
    """Prints the table, row by row as networks are decompiled."""
    table = Table("network", "exact", "strings", "lines", "tensors", "heads", "neurons", "zero", "resample", "seconds")
    console = Console(width=120)
    for folder in sorted(models.glob("*/behavior.json")):
        table.add_row(folder.parent.name, *_row(folder.parent, strings))
        console.clear(home=False) if console.is_terminal else None
    console.print(table)


def _row(folder: Path, strings: int) -> list[str]:
    start = time.perf_counter()
    program = decompile(f"{folder / 'network.py'}:build", folder)
    seconds = time.perf_counter() - start
    ready = prepare(f"{folder / 'network.py'}:build", folder, seed=0, progress=Silent())
    exact, checked = exactness(program.graph, ready, strings)
    found = found_in(ready)
    there = written_down(json.loads((folder / "about.json").read_text()), ready)
    both = there.covered_by(found)
    changed = {kind: _disagreement(ready, found, there, kind) for kind in ("zero", "resample")}
    return [
        f"{exact:.4%}",
        f"{checked:,}",
        str(measure_source(program.source).lines),
        str(
            sum(t.size for n in program.graph.nodes for t in map(program.graph.tensors.__getitem__, n.tensors.values()))
        ),
        f"{len(both.heads)}/{len(there.heads)}",
        f"{len(both.neurons)}/{len(there.neurons)}",
        f"{changed['zero']:.3f}",
        f"{changed['resample']:.3f}",
        f"{seconds:.1f}",
    ]


def exactness(graph: Graph, ready: Start, most: int) -> tuple[float, int]:
    """Share of strings of the domain without any difference, and how many were run."""
    run, same, total = Executor(graph), 0, 0
    for ids in _strings(ready.behavior, most):
        for batch in domain_split(ready.behavior, ids).batches(max_tokens=65536):
            told = batch_answers(ready.network, batch, ready.behavior.readout)
            agree = ready.behavior.readout.equal(batch_answers(run, batch, ready.behavior.readout), told)
            rows = np.nonzero(batch.scored)[0]
            same += len(ids) - len(np.unique(rows[~agree]))
            total += len(ids)
    return same / total, total


def _strings(behavior: Behavior, most: int) -> Iterator[NDArray[np.int64]]:
    domain = behavior.domain
    assert isinstance(domain, StringsDomain)
    if domain.size() <= most:
        yield from domain.enumerate(4096)
        return
    yield from islice(domain.enumerate(4096), most // 4096 // 2)
    yield from (
        part
        for ids in domain.sample(most // 2, np.random.default_rng(0))
        for part in np.split(ids, range(4096, len(ids), 4096))
    )


def found_in(ready: Start) -> Structure:
    """Where variables were found."""
    graph = ready.lifted.graph
    work = RaiseLayers().read(graph, ready.setting)
    at = {site.value: node.id for node in graph.nodes for site in node.sites}
    heads, neurons = set(), set()
    for node in work.graph.nodes:
        for site in node.sites:
            if site.basis is not None:
                neurons.add((at[site.value], frozenset(np.flatnonzero(work.graph.tensors[site.basis].any(0)).tolist())))
            elif site.index and node.op.startswith("symbolic."):
                heads.add((at[site.value], frozenset({site.index[0][1]})))
    return Structure(frozenset(heads), frozenset(neurons))


def written_down(about: Mapping[str, Any], ready: Start) -> Structure:
    """Where variables are, by the file of the compiler: of its neurons, those that do anything at scored positions."""
    graph, heads, neurons = ready.lifted.graph, set(), set()
    found = {m.layer: m for m in mlps(graph)}
    mixes = {n.id.split(".", 1)[0]: n.id for n in graph.nodes if n.op == "component.mix"}
    for part in about["components"]:
        layer = f"L{part['layer']}"
        if part["implements"] is None:
            continue
        if part["kind"] == "attn_head":
            heads.add((mixes[layer], frozenset({part["head"]})))
        elif alive := frozenset(part["neurons"]) & _alive(ready.setting.fit, graph, found[layer]):
            neurons.add((found[layer].active, alive))
    return Structure(frozenset(heads), frozenset(neurons))


def _alive(bench: Bench, graph: Graph, mlp: Any) -> frozenset[int]:
    active = np.asarray(bench.at_scored(graph, [mlp.active])[mlp.active])
    reach = np.ptp(active, axis=0) * np.linalg.norm(out_weight(graph, mlp), axis=1)
    return frozenset(np.flatnonzero(reach > 1e-5 * reach.max(initial=1e-9)).tolist())


def _disagreement(ready: Start, found: Structure, there: Structure, kind: Any) -> float:
    """The largest difference in answers kept between ablating what was found and what is there, part by part.

    Parts are matched by the entries that they share, which are ablated; what has no match counts as ablating nothing.
    """
    worst = 0.0
    for mine, theirs in ((found.heads, there.heads), (found.neurons, there.neurons)):
        for part in theirs:
            match = max(mine, key=lambda m: (m[0] == part[0]) * len(m[1] & part[1]), default=("", frozenset[int]()))
            shares = match[0] == part[0] and match[1] & part[1]
            kept = _kept(ready, (part[0], match[1] & part[1]), kind) if shares else 1.0
            worst = max(worst, abs(kept - _kept(ready, part, kind)))
    return worst


def _kept(ready: Start, part: Part, kind: Any) -> float:
    """Share of answers that survive the ablation of a part."""
    graph, bench = ready.lifted.graph, ready.setting.held
    node, entries = part
    axis = "head" if graph[node].op == "component.mix" else graph[node].type.axes[-1]
    change = Ablate(node, kind=kind, index={axis: tuple(sorted(entries))})
    run, same, total = Executor(graph), 0, 0
    for seen in bench.batches:
        if kind == "resample" and len(seen.batch.input_ids) < 2:
            continue
        out = run.run(seen.inputs, [graph.outputs[0]], [change])[graph.outputs[0]]
        said = read_answers(run, out.numpy(), seen.batch, ready.behavior.readout)
        same += int(ready.behavior.readout.equal(said, seen.answers).sum())
        total += len(seen.answers)
    return same / total


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--strings", type=int, default=100_000)
    given = parser.parse_args()
    if not any(given.models.glob("*/behavior.json")):
        sys.exit(f"{given.models} holds no compiled networks.")
    main(given.models, given.strings)
