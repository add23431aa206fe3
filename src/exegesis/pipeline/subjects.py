"""What modules, concepts and lesions are looked for in: a network, or the program of a run, and rows of a behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from exegesis.behavior import ArraySplit, Behavior, Split
from exegesis.ir import Graph, InputError
from exegesis.ir.archive import load_graph
from exegesis.lift import lift
from exegesis.measure import Units
from exegesis.measure.units import Layers
from exegesis.passes.grouping.splitting import Merged, merged
from exegesis.pipeline.decompile import example_of
from exegesis.pipeline.rows import check_arrays_fit
from exegesis.runtime import Network, load


@dataclass(frozen=True, eq=False)
class Subject:
    """A program that still has the network's layers, and the behaviour it is looked at for.

    Attributes:
        name: how to call the network.
        graph: the lifted network, or the program of a run.
        behavior: where inputs and classes come from.
        split: the name of the split that is looked at.
        parts: of a run, what its program calls its modules and functions: for each name the units of each layer, by the
            node that carries it.
    """

    name: str
    graph: Graph
    behavior: Behavior
    split: str
    parts: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the outputs are called."""
        if self.behavior.output_names is not None:
            return self.behavior.output_names
        axis = self.graph[self.graph.outputs[0]].type.axes[-1]
        size = self.graph.axes[axis].size if axis in self.graph.axes else None
        return tuple(str(i) for i in range(size or 0))

    def rows(self, count: int, seed: int) -> Split:
        """At most so many rows of the split."""
        return self.behavior.split(self.split).take(count, seed)

    def arrays(self, count: int, seed: int) -> ArraySplit:
        """The same, of a behaviour over arrays. Raises InputError where it is over sequences."""
        return self.behavior.arrays(self.split).take(count, seed)

    def units(self, split: Split) -> Units:
        """The network's layers on some rows."""
        return Units.of(self.graph, self.behavior.readout, split)

    def halves(self, count: int, seed: int) -> tuple[Units, Units]:
        """The network on twice so many rows (as far as there are), in two halves without a row in common.

        Raises:
            InputError: fewer rows than classes.
        """
        rows = self.rows(2 * count, seed)
        if len(rows) < 2 * max(2, len(self.labels)):
            raise InputError(
                f"Split {self.split} has {len(rows)} rows, too few to see each of {len(self.labels)} classes twice."
            )
        order = np.random.default_rng([seed, 11]).permutation(len(rows))
        first, second = np.sort(order[::2]), np.sort(order[1::2])
        return self.units(rows.select(first)), self.units(rows.select(second))


def subject(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    split: str | None = None,
    seed: int = 0,
) -> Subject:
    """Loads a network and lifts it, or opens the program of a run.

    Args:
        network: a module, what `exegesis.load` takes, or the folder of a run.
        behavior: the behaviour, or the path of its file.
        split: which split; None for `test` where there is one, else the first.
        seed: of the comparison that certifies the lift.

    Raises:
        InputError: either cannot be used, or they do not fit each other.
        LiftError: a network that cannot be lifted exactly.
    """
    signal = behavior if isinstance(behavior, Behavior) else Behavior.load(behavior)
    name = split or ("test" if "test" in signal.splits else next(iter(signal.splits)))
    rows = signal.split(name)
    if isinstance(network, str | Path) and (Path(network) / "program.json").is_file():
        graph = load_graph(Path(network))
        whole = merged(graph)
        return Subject(Path(network).name, whole.graph, signal, name, _parts(graph, whole))
    net = network if isinstance(network, Network) else load(network)
    if isinstance(rows, ArraySplit):
        check_arrays_fit(net, signal, rows)
    graph = lift(net.module, example_of(net, rows), seed=seed).graph
    return Subject(net.name, graph, signal, name)


def _parts(graph: Graph, whole: Merged) -> dict[str, Mapping[str, Sequence[int]]]:
    """The functions of a program by their names, and its modules by their names: units by layer."""
    found: dict[str, Mapping[str, Sequence[int]]] = {
        name: {layer: units.tolist()} for name, (layer, units) in whole.members.items()
    }
    if graph.functions and any(f.name not in found for f in graph.functions):
        layers = Layers.of(whole.graph)
        for function in graph.functions:
            inside = [k for k in layers if set(k.nodes) & set(function.nodes)]
            if function.name not in found and inside:
                found[function.name] = {k.node: range(k.units) for k in inside}
    for module in (graph.meta.get("modules") or {}).get("modules") or ():
        own = [found[f] for f in module.get("functions") or () if f in found]
        if own and "slug" in module:
            found[module["name"]] = found[module["slug"]] = {k: u for part in own for k, u in part.items()}
    return found
