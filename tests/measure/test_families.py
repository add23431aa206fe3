"""How many parts of a kind are needed: planted answers; an edge's lesion and the sensitivities by other means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from redundant_networks import HEADS, NEURONS, WIDTH, redundant
from torch import nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Node
from exegesis.lift import lift
from exegesis.measure import Bench, Units
from exegesis.measure.dimensions import dimensions
from exegesis.measure.families import Edges, families
from exegesis.measure.redundancy import importance
from exegesis.measure.sensitivity import sensitivities, spread
from exegesis.runtime import Executor


def test_planted_parts_are_counted() -> None:
    graph, setting = redundant()
    units = Units.of(graph, setting.readout, setting.held.split)
    found = {f.kind: f for f in families(units, importance(units), seeds=3)}
    assert list(found) == ["heads", "neurons", "edges"]
    assert (found["heads"].parts, found["neurons"].parts, found["edges"].parts) == (HEADS, NEURONS, 3 * 2 + 3 + 4)
    for how in ("resample", "mean", "zero"):
        assert getattr(found["heads"], how) <= 2  # two heads write nothing
        assert getattr(found["neurons"], how) <= 16  # eight neurons are dead
    assert 0 < found["edges"].resample <= 13
    assert 0 < found["edges"].mean <= 13
    for family in found.values():
        least, most = family.random[1], family.random[2]
        assert 0 <= least <= family.random[0] <= most <= family.parts


def test_a_lesioned_edge_is_a_graph_without_it() -> None:
    graph, setting = redundant()
    bench = setting.held
    edges = Edges.of(graph, bench)
    assert edges.kept([], "zero") == 1.0 == bench.agreement(edges.graph)
    writer, name = next(e for e in edges.edges if e[1].endswith("→ logits"))
    norm = graph[graph["logits"].inputs[0]]
    stream = graph[norm.inputs[0]]
    less = replace(stream, id="less", inputs=tuple(i for i in stream.inputs if i != writer), sites=())
    normed = replace(norm, id="less normed", inputs=("less",), sites=())
    reader = replace(graph["logits"], inputs=("less normed",))
    without = graph.with_nodes([*(reader if n.id == "logits" else n for n in graph.nodes), less, normed])
    assert edges.kept([edges.edges.index((writer, name))], "zero") == bench.agreement(without)
    kept = [edges.kept(range(len(edges.edges)), how) for how in ("zero", "mean", "resample")]
    assert max(kept) < 0.5


def test_nothing_has_edges_where_nothing_is_summed() -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    network = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 3))
    with torch.no_grad():
        network[2].weight[:, 4:] = 0  # type: ignore[operator,index]
    graph = lift(network, (torch.from_numpy(x[:3]),)).graph
    units = Units.of(graph, Argmax(), ArraySplit("test", x))
    (found,) = families(units, importance(units), seeds=2)
    assert (found.kind, found.parts) == ("neurons", 20)
    assert found.mean <= 4
    assert Edges.of(graph, Bench(graph, Argmax(), ArraySplit("test", x))).edges == ()


def test_sensitivities_are_those_of_the_jacobian() -> None:
    graph, setting = redundant(rows=8)
    bench = setting.fit
    place = next(d.node for d in dimensions(graph, bench) if d.kind == "stream")
    found = sensitivities(graph, bench, [place], probes=400)[place]
    run, expected = Executor(graph), np.zeros((WIDTH, WIDTH))
    for seen in bench.batches:
        value = run.run(seen.inputs, [place])[place]

        def outputs(v: torch.Tensor, inputs: object = seen.inputs) -> torch.Tensor:
            out = run.run(inputs, [graph.outputs[0]], given={place: v}, gradients=True)[graph.outputs[0]]  # type: ignore[arg-type]
            centred: torch.Tensor = out - out.mean(-1, keepdim=True)
            return centred

        jacobian = torch.autograd.functional.jacobian(outputs, value).reshape(-1, value[..., 0].numel(), WIDTH)
        expected += torch.einsum("oid,oie->de", jacobian, jacobian).numpy()
    expected /= bench.n
    assert np.abs(found - expected).max() < 0.15 * np.abs(expected).max()
    moved = [v[graph.outputs[0]] for _, v in bench.each(graph, [graph.outputs[0]])]
    said = torch.cat([m.flatten(0, -2) for m in moved]).numpy()
    said = said - said.mean(1, keepdims=True)
    assert np.isclose(spread(graph, bench), said.var(0).sum(), rtol=1e-4)
    dead = Node("dead", "component.scale", (place,), graph[place].type, {"by": 2.0})
    unread = graph.with_nodes([*graph.nodes, dead])
    assert not sensitivities(unread, bench, ["dead"])["dead"].any()


def test_places_of_a_stream_have_a_dimension() -> None:
    graph, setting = redundant()
    found = [d for d in dimensions(graph, setting.held) if d.kind == "stream"]
    assert [d.units for d in found] == [WIDTH] * 3
    assert all(0 < d.ablation <= 7 for d in found)  # six directions are used at all, and the mean
