"""The residual stream of a network as one space: who writes into it, who reads it, and the network in another basis.

Where every value of the stream is a sum of linear writers, and every reader is linear, directly or behind a norm that
has no parameters, the basis is nobody's business: writers and readers can be turned together (Ashkboos et al. 2024,
"SliceGPT", arXiv:2401.15024). Layer norms are RMS norms once writers are centred. Directions that are left out then
take part in norms with their mean energy, which joins the norm's epsilon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from exegesis.ir import Array, Axis, Graph, Node

WRITERS = ("component.embed", "component.write", "component.linear", "component.constant")
READERS = ("component.heads", "component.linear")


@dataclass(frozen=True)
class Stream:
    """A residual stream.

    Attributes:
        axis: the name of its axis.
        size: how many numbers it has.
        writers: ids of nodes that write into it.
        places: ids of nodes that hold what is read: sums, or writers that are read directly.
        norms: by id, the place that each norm reads.
        readers: by id, the place or norm that each reads.
    """

    axis: str
    size: int
    writers: tuple[str, ...]
    places: tuple[str, ...]
    norms: Mapping[str, str]
    readers: Mapping[str, str]

    def place_of(self, reader: str) -> str:
        """The place that a reader reads, through a norm or directly."""
        source = self.readers[reader]
        return self.norms.get(source, source)


def stream_of(graph: Graph) -> Stream | str:
    """The residual stream of a network, or why there is none whose basis could be changed."""
    axis = next((n.type.axes[-1] for n in graph.nodes if n.op == "component.embed"), None)
    size = None if axis is None or axis not in graph.axes else graph.axes[axis].size
    if axis is None or size is None:
        return "the network has no residual stream of a known width"
    inside = {n.id: n for n in graph.nodes if n.type.axes and n.type.axes[-1] == axis}
    for node in graph.nodes:
        if why := _stranger(node, inside, graph):
            return why
    norms = {n.id: n.inputs[0] for n in inside.values() if n.op == "component.norm"}
    outside = [n for n in graph.nodes if n.id not in inside and any(i in inside for i in n.inputs)]
    readers = {n.id: n.inputs[0] for n in outside}
    writers = tuple(n.id for n in inside.values() if n.op in WRITERS)
    own = [t for name in (*writers, *readers) for t in graph[name].tensors.values()]
    if len(set(own)) < len(own):
        return "writers or readers share a weight"
    places = dict.fromkeys(norms.get(source, source) for source in readers.values())
    return Stream(axis, size, writers, tuple(places), norms, readers)


def _stranger(node: Node, inside: Mapping[str, Node], graph: Graph) -> str | None:
    """Why a node does not go with a stream whose basis is nobody's business."""
    reads = [inside[i] for i in node.inputs if i in inside]
    if node.id not in inside:
        return f"{node.id} reads the residual stream and is not linear" if reads and node.op not in READERS else None
    if node.id in graph.outputs:
        return "an output is the residual stream itself"
    if node.op == "component.norm":
        return f"the norm {node.id} has parameters that more than linear maps read" if node.tensors else None
    if node.op not in (*WRITERS, "component.add") or (node.op == "component.linear" and reads):
        return f"{node.id} is neither a writer nor a sum nor a norm"
    if node.op == "component.add" and any(s.op == "component.norm" for s in reads):
        return "what a norm gives is added to the stream"
    return None


def centred(graph: Graph, stream: Stream) -> Graph | str:
    """The same network with RMS norms in the place of layer norms, or why that cannot be."""
    layer = [n for n in stream.norms if graph[n].attrs["kind"] == "layer"]
    if not layer:
        return graph
    if len(layer) < len(stream.norms) or any(s not in stream.norms for s in stream.readers.values()):
        return "the stream is read both with and without a layer norm"
    tensors = {}
    for name in stream.writers:
        for tensor in _written(graph[name]):
            value = graph.tensors[tensor].astype(np.float64)
            tensors[tensor] = (value - value.mean(-1, keepdims=True)).astype(np.float32)
    nodes = [replace(n, attrs={**n.attrs, "kind": "rms"}) if n.id in layer else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors=tensors)


def narrowed(graph: Graph, stream: Stream, basis: Float[np.ndarray, "d r"], left_out: Mapping[str, float]) -> Graph:
    """The network with only some directions of its stream.

    Args:
        graph: the network, its norms without parameters and none a layer norm.
        stream: its stream.
        basis: [d, r], orthonormal columns: the directions that stay.
        left_out: per norm, the mean squared length of what is left out of what it reads.
    """
    d, r = basis.shape
    tensors: dict[str, Array] = {}
    for name in stream.writers:
        for tensor in _written(graph[name]):
            tensors[tensor] = (graph.tensors[tensor].astype(np.float64) @ basis).astype(np.float32)
    for name, source in stream.readers.items():
        by = np.sqrt(d / r) if source in stream.norms else 1.0
        tensor = graph[name].tensors["weight"]
        weight = np.einsum("dr,...dm->...rm", by * basis, graph.tensors[tensor].astype(np.float64))
        tensors[tensor] = weight.astype(np.float32)
    nodes = []
    for node in graph.nodes:
        if node.type.axes and node.type.axes[-1] == stream.axis:
            node = replace(node, sites=())  # the network holds the values in its own basis
        if node.id in stream.norms:
            eps = (d * float(node.attrs["eps"]) + left_out[node.id]) / r
            node = replace(node, attrs={**node.attrs, "eps": float(f"{eps:.6g}")})
        nodes.append(node)
    return graph.with_nodes(nodes, tensors=tensors, axes={stream.axis: Axis(stream.axis, r)})


def _written(node: Node) -> tuple[str, ...]:
    """Names of the tensors whose last axis is the stream."""
    return tuple(t for role, t in node.tensors.items() if role in ("weight", "bias", "value"))
