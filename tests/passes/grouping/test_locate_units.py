"""What a compressed layer keeps is in its units and in those that repeat them, and the judge follows there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Graph, check
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.passes.compressing.sources import EntrySource, UnitSource, sources_of, without
from exegesis.passes.grouping.locate_units import LocateUnits
from exegesis.passes.manager import Setting
from exegesis.runtime import Executor

CHANNELS, COPIES = 3, 2


class Repeats(nn.Module):
    """Three filters, each in three channels of some size, and a map over all their places."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv, self.out = nn.Conv2d(1, CHANNELS * (1 + COPIES), 3), nn.Linear(CHANNELS * (1 + COPIES) * 4, 4)
        with torch.no_grad():
            own = torch.randn(CHANNELS, 1, 3, 3, generator=generator)
            self.conv.weight.copy_(torch.cat([own, 2 * own, 0.5 * own]))
            self.conv.bias.zero_()
            self.out.weight.copy_(torch.randn(self.out.weight.shape, generator=generator))
            self.out.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.conv(x)).flatten(1))
        return out


def case() -> tuple[Graph, Graph, Setting]:
    """The network, a program with its first three channels and 8 of their 12 places, and the setting."""
    graph = lift(Repeats(), (torch.zeros(3, 1, 4, 4),)).graph
    x = default_rng(1).random((256, 1, 4, 4), dtype=np.float32)
    first, second = (ArraySplit(name, part) for name, part in (("fit", x[:128]), ("held", x[128:])))
    fit, held = (Bench(graph, Argmax(), s, max_tokens=64) for s in (first, second))
    setting = Setting(fit, held, Argmax(), 0, network=graph)
    channels = next(s for s in sources_of(graph) if isinstance(s, UnitSource))
    made = without(graph, channels, np.arange(9) < CHANNELS)
    flat = next(s for s in sources_of(made) if isinstance(s, EntrySource) and s.value != graph.inputs[0].id)
    made = without(made, flat, np.arange(12) % 3 != 1)
    return graph, made, setting


def test_echoes_say_how_what_was_dropped_follows_what_was_kept() -> None:
    graph, made, setting = case()
    out = LocateUnits().run(made, setting)
    check(out.graph)
    x = {graph.inputs[0].id: torch.from_numpy(default_rng(2).random((8, 1, 4, 4), dtype=np.float32))}
    of_channels = [n for n in out.graph.nodes if n.sites and n.sites[0].echo and n.op != "component.keep"]
    assert of_channels
    for node in of_channels:
        (site,) = node.sites
        value = Executor(graph).run(x, [node.id])[node.id].numpy()
        echo = out.graph.tensors[site.echo or ""]
        assert [k for _, k in site.index] == [0, 1, 2]
        again = np.einsum("bkhw,kc->bchw", value[:, :3], echo)
        assert np.abs(again - value).max() < 0.05 * np.abs(value).max()  # damped, or it would be exact


def test_entries_that_are_kept_of_a_flattened_picture_are_those_of_the_network() -> None:
    graph, made, setting = case()
    out = LocateUnits().run(made, setting).graph
    (keep,) = (n for n in out.nodes if n.op == "component.keep")
    (site,) = keep.sites
    assert [k for _, k in site.index] == [k for k in range(12) if k % 3 != 1]  # channels 0-2 have places 0-11
    assert site.value == graph[keep.inputs[0]].sites[0].value


def test_nothing_is_computed_differently_and_nothing_is_lost() -> None:
    graph, made, setting = case()
    out = LocateUnits().run(made, setting).graph
    x = {graph.inputs[0].id: torch.rand(5, 1, 4, 4)}
    assert torch.equal(*(Executor(g).run(x, [g.outputs[0]])[g.outputs[0]] for g in (made, out)))
    assert set(out.pruned().tensors) == set(out.tensors)


def test_an_echo_that_does_not_help_is_refused() -> None:
    """A network that reads its first channels alone follows them without the others."""
    _, made, setting = case()
    network = Repeats()
    with torch.no_grad():
        network.out.weight.reshape(4, 9, 4)[:, CHANNELS:] = 0
    graph = lift(network, (torch.zeros(3, 1, 4, 4),)).graph
    names = {n.id for n in graph.nodes}
    assert {n.id for n in made.nodes if n.op != "component.keep"} <= names
    read = made.tensors[next(n for n in made.nodes if n.id == graph.outputs[0]).tensors["weight"]]
    assert len(read) == 8
    out = LocateUnits().run(made, replace(setting, network=graph))
    assert not any(s.echo for n in out.graph.nodes for s in n.sites if n.op != "component.keep")
    refused = [dict(a.figures) for a in out.attempts if a.where != "flatten_kept"]
    assert refused
    assert all(f["alone"] == f["with echo"] for f in refused)


def test_a_program_that_kept_everything_is_left_alone() -> None:
    graph = lift(Repeats(), (torch.zeros(3, 1, 4, 4),)).graph
    assert LocateUnits().requires(graph) == "no layer has lost units"


def test_without_the_network_nothing_is_said() -> None:
    _, made, setting = case()
    out = LocateUnits().run(made, replace(setting, network=None))
    assert out.graph is made
    assert not out.attempts[0].applied


@pytest.mark.parametrize("wide", [True, False])
def test_layers_that_are_too_wide_have_none(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    _, made, setting = case()
    if wide:
        monkeypatch.setattr("exegesis.passes.grouping.locate_units.WIDEST", 5)
    out = LocateUnits().run(made, setting)
    assert any(s.echo for n in out.graph.nodes for s in n.sites) is not wide
