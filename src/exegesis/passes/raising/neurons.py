"""MLPs as a component graph holds them, and the groups of neurons that write one thing each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from exegesis.ir import Graph

Real = NDArray[np.floating]

_SILENT = 1e-5
_APART = 1e-4


@dataclass(frozen=True)
class Mlp:
    """One MLP: the node of its activations [b, s, m], and of what it writes [b, s, d]."""

    active: str
    out: str

    @property
    def layer(self) -> str:
        """The layer, as node ids begin with it: `L0`."""
        return self.out.split(".", 1)[0]


def mlps(graph: Graph) -> Iterator[Mlp]:
    """Every MLP with one elementwise nonlinearity between two linear maps, in order of computation."""
    for out in graph.nodes:
        if out.op != "component.linear" or out.attrs.get("role") != "mlp_out":
            continue
        active = graph[out.inputs[0]]
        if active.op == "component.activation" and graph[active.inputs[0]].op == "component.linear":
            yield Mlp(active.id, out.id)


def out_weight(graph: Graph, mlp: Mlp) -> Real:
    """What each neuron writes, [m, d]."""
    weight: Real = graph.tensors[graph[mlp.out].tensors["weight"]]
    return weight


def groups(active: Real, weight: Real) -> list[NDArray[np.int64]]:
    """Neurons that ever do something, grouped so that different groups write at right angles to each other.

    Args:
        active: [n, m] activations.
        weight: [m, d] what each neuron writes.

    Returns:
        Ascending indices per group; groups in the order of their first neuron. A network whose neurons all overlap has
        one group.
    """
    reach = np.ptp(active, axis=0) * np.linalg.norm(weight, axis=1)
    alive = np.flatnonzero(reach > _SILENT * max(float(reach.max(initial=0.0)), 1e-12))
    if not len(alive) or reach.max() <= 1e-9:
        return []
    directions = weight[alive] / np.linalg.norm(weight[alive], axis=1, keepdims=True)
    count, label = connected_components(np.abs(directions @ directions.T) > _APART, directed=False)
    found = [alive[label == k] for k in range(count)]
    return sorted(found, key=lambda g: int(g[0]))
