"""Heads, neurons and directions that are planted as redundant go; answers stay; the basis of a stream is free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from redundant_networks import USED, WIDTH, redundant

from exegesis.ir import Graph, check, price
from exegesis.passes.compressing.drop_parts import parts_of, without_units
from exegesis.passes.compressing.stream import Stream, centred, narrowed, stream_of
from exegesis.passes.compressing.thin_sequence import Thinner


def outputs(graph: Graph, thinner: Thinner) -> np.ndarray:
    found: np.ndarray = thinner.setting.held.at_scored(graph, [graph.outputs[0]])[graph.outputs[0]]
    return found


@pytest.mark.parametrize("norm", [True, False])
def test_planted_redundancy_goes_and_nothing_changes(norm: bool) -> None:
    graph, setting = redundant(norm)
    thinner = Thinner.of(graph, setting)
    assert setting.held.agreement(thinner.network) == 1.0
    tolerances = {"heads": 0.01, "neurons": 0.0013}  # copies cost what the damping of least squares costs
    kept = {p.kind: thinner.masks(tolerances[p.kind])[p.writer] for p in thinner.parts}
    assert kept["heads"].sum() == 1  # a silent pair goes, and one of two that say the same
    assert not kept["heads"][2:].any()
    assert kept["neurons"].sum() <= 8  # dead ones, and one of each pair of copies
    assert not kept["neurons"][16:].any()
    thin = thinner.at(0.001)
    check(thin)
    assert setting.held.agreement(thin) > 0.99
    narrow = thinner.at(0.001, USED + 1)
    check(narrow)
    assert isinstance(thinner.stream, Stream)
    assert narrow.axes[thinner.stream.axis].size == USED + 1 < WIDTH
    assert setting.held.agreement(narrow) > 0.98
    assert price(narrow).opaque_bits < 0.6 * price(thin).opaque_bits < 0.6 * price(graph).opaque_bits
    assert setting.held.agreement(thinner.at(0.001, 1)) < 0.7  # planted directions are needed
    again = Thinner.of(graph, setting).at(0.001, USED + 1)
    assert all(np.array_equal(again.tensors[k], v) for k, v in narrow.tensors.items())


def test_another_basis_of_the_stream_is_the_same_network() -> None:
    graph, setting = redundant()
    thinner = Thinner.of(graph, setting)
    assert isinstance(thinner.stream, Stream)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0]
    turned = narrowed(thinner.network, thinner.stream, turn, dict.fromkeys(thinner.stream.norms, 0.0))
    for other in (turned, thinner.network):
        assert np.allclose(outputs(other, thinner), outputs(graph, thinner), atol=1e-4)
    assert all(thinner.network[n].attrs["kind"] == "rms" for n in thinner.stream.norms)
    assert all(graph[n].attrs["kind"] == "layer" for n in thinner.stream.norms)


def test_what_goes_whole_leaves_its_mean() -> None:
    graph, setting = redundant()
    thinner = Thinner.of(graph, setting)
    gone = thinner.at(10.0)
    check(gone)
    assert all(gone[p.writer].op == "component.constant" for p in thinner.parts if p.writer in gone.by_id)
    means = {p.writer: thinner.fit.at_scored(thinner.network, [p.writer])[p.writer].mean(0) for p in thinner.parts}
    for writer, mean in means.items():
        if writer in gone.by_id:
            assert np.allclose(gone.tensors[gone[writer].tensors["value"]], mean, atol=1e-4)


def test_streams_that_cannot_be_turned_say_why() -> None:
    graph, _ = redundant()
    assert "parameters that more than linear maps read" in str(stream_of(graph))  # before norms are folded
    graph, _ = redundant(norm=False)
    stream = stream_of(graph)
    assert isinstance(stream, Stream)
    assert centred(graph, stream) is graph
    mixed = replace(stream, norms={"a norm": stream.places[0]})
    add = graph[stream.places[0]]
    normed = replace(add, id="a norm", op="component.norm", attrs={"kind": "layer", "eps": 1e-5}, inputs=(add.id,))
    assert "with and without a layer norm" in str(centred(graph.with_nodes([*graph.nodes, normed]), mixed))
    output = replace(graph, outputs=(stream.places[0],))
    assert stream_of(output) == "an output is the residual stream itself"
    scaled = replace(add, id="scaled", op="component.scale", attrs={"by": 2.0}, inputs=(add.id,))
    assert "neither a writer nor a sum" in str(stream_of(graph.with_nodes([*graph.nodes, scaled])))


def test_heads_that_something_else_reads_are_left_alone() -> None:
    graph, _ = redundant()
    (heads, neurons) = parts_of(graph)
    assert (heads.kind, heads.units, neurons.kind, neurons.units) == ("heads", 4, "neurons", 24)
    mix = graph[graph[heads.writer].inputs[0]]
    other = replace(graph[heads.writer], id="other", inputs=(mix.id,), sites=())
    shared = graph.with_nodes([*graph.nodes, other], outputs=(*graph.outputs, "other"))
    assert [p.kind for p in parts_of(shared)] == ["neurons"]
    fewer = without_units(graph, heads, np.array([True, False, True, False]))
    check(fewer)
    assert fewer.tensors[fewer[heads.writer].tensors["weight"]].shape[0] == 2
    assert without_units(graph, heads, np.ones(4, dtype=bool)) is graph
