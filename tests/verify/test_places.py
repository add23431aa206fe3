"""Units that a program dropped repeat those it kept: a variable lives in its units and in what follows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, Sign
from exegesis.evidence import Status
from exegesis.ir import Graph, GraphError, InputError, Node, Site, check
from exegesis.ir.progress import Silent
from exegesis.lift import lift
from exegesis.runtime import Network
from exegesis.verify.ablation import BREAKS, REST, SURVIVES, Ablations
from exegesis.verify.budget import Budget
from exegesis.verify.interchange import ASKED, Exchange
from exegesis.verify.margins import doubt
from exegesis.verify.network import Reference
from exegesis.verify.picks import pools
from exegesis.verify.places import Place, Rest, distinct, overlap
from exegesis.verify.program import Judged

KEPT, COPIES = 4, 8
SIDES = torch.tensor([1.0, 2.0, 0.5, 1.5, 3.0, 1.0, 2.0, 0.7])


class Repeats(nn.Module):
    """Four sums of the input, each in three units of some size; which is the largest?"""

    def __init__(self) -> None:
        super().__init__()
        self.sums, self.out = nn.Linear(8, KEPT + COPIES), nn.Linear(KEPT + COPIES, KEPT)
        own = torch.arange(KEPT + COPIES) % KEPT
        with torch.no_grad():
            scale = torch.cat([torch.ones(KEPT), SIDES])
            self.sums.weight.copy_(scale[:, None] * (torch.arange(8) // 2 == own[:, None]))
            self.out.weight.copy_((own == torch.arange(KEPT)[:, None]) / scale)
            self.sums.bias.zero_()
            self.out.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.sums(x)))
        return out


@pytest.fixture(scope="module")
def reference() -> Reference:
    x = default_rng(0).random((600, 8), dtype=np.float32)
    answers = Repeats()(torch.from_numpy(x)).argmax(1).numpy()
    splits = {"train": (x[:300], answers[:300]), "test": (x[300:], answers[300:])}
    return Reference(Network(Repeats(), "repeats"), Behavior.from_arrays("repeats", splits, Argmax(), task="which?"))


def program(kept: list[int], echo: np.ndarray | None = None) -> Graph:
    """The network with some units of the layer, which stand in for all that repeat them."""
    graph = lift(Repeats(), (torch.zeros(3, 8),)).graph
    first, active, out = (n for n in graph.nodes if n.op.startswith("component."))
    weight, back = (graph.tensors[n.tensors["weight"]] for n in (first, out))
    units = np.ascontiguousarray(weight[:, kept])
    fitted = np.linalg.lstsq(units, weight @ back, rcond=None)[0].astype(np.float32)
    return _narrow(graph, (first, active, out), units, fitted, kept, echo)


def _narrow(
    graph: Graph, nodes: tuple[Node, Node, Node], units: np.ndarray, back: np.ndarray, kept: list[int], echo: Any
) -> Graph:
    first, active, out = nodes
    width = f"={len(kept)}"
    narrow = [replace(n, type=replace(n.type, axes=(n.type.axes[0], width)), sites=()) for n in (first, active)]
    (site,) = active.sites
    at = replace(site, index=tuple((site.axes[-1], k) for k in kept), echo=None if echo is None else "echo")
    narrow[1] = replace(narrow[1], sites=(at,))
    tensors = {first.tensors["weight"]: units, first.tensors["bias"]: np.zeros(len(kept), np.float32)}
    tensors |= {out.tensors["weight"]: back} | ({} if echo is None else {"echo": echo})
    return graph.with_nodes([*(n for n in graph.nodes if n not in nodes), *narrow, out], tensors=tensors)


def follows(kept: list[int], wrong: bool = False) -> np.ndarray:
    """How every unit follows the kept ones, exactly; or the sums of the others in its place."""
    scale, own = np.concatenate([np.ones(KEPT), SIDES.numpy()]), np.arange(KEPT + COPIES) % KEPT
    echo = np.zeros((len(kept), KEPT + COPIES), np.float32)
    for i, k in enumerate(kept):
        echo[i] = scale * (own == ((own[k] + 1) % KEPT if wrong else own[k]))
        echo[:, k] = 0
    echo[np.arange(len(kept)), kept] = 1
    return echo


def _of_layer(found: Any) -> Any:
    return next(c for c in found.claims if "of hidden]" in c.statement or "[4 of" in c.statement)


def swapped(graph: Graph, reference: Reference) -> Any:
    exchange = Exchange(Judged(graph), reference, "test", ASKED)
    exchange.run(Budget(60).part(1.0), Silent())
    return exchange


ALL = list(range(KEPT))


def test_units_alone_do_not_carry_what_others_repeat_and_with_their_echo_they_do(reference: Reference) -> None:
    for echo, status, share in ((None, Status.REFUTED, 0.8), (follows(ALL), Status.TESTED, 1.0)):
        graph = program(ALL, echo)
        check(graph)
        found = swapped(graph, reference).concluded()
        of_layer = _of_layer(found)
        assert of_layer.status is status
        measured = of_layer.evidence[0].value
        assert measured == 1.0 if echo is not None else measured < share
    assert "without what follows them: 0." in of_layer.evidence[0].note


def test_an_echo_that_follows_the_wrong_units_is_refuted(reference: Reference) -> None:
    found = swapped(program(ALL, follows(ALL, wrong=True)), reference).concluded()
    assert _of_layer(found).status is Status.REFUTED


@pytest.mark.parametrize(("kept", "survives"), [(ALL, True), ([0, 1, 2], False)], ids=["enough", "one too few"])
def test_what_no_variable_says_can_go_where_it_repeats_them(
    reference: Reference, kept: list[int], survives: bool
) -> None:
    """Without the units of the fourth sum, the rest still holds it, and to resample it shows in the answer."""
    ablations = Ablations(Judged(program(kept, follows(kept))), reference, "test", SURVIVES, BREAKS)
    ablations.run(Budget(60).part(1.0), Silent())
    found = ablations.concluded()
    measured = found.sufficiency[REST]
    assert (measured.value == 1.0) is survives
    claim = next(c for c in found.claims if "survives" in c.statement)
    assert claim.status is (Status.TESTED if survives else Status.REFUTED)
    assert measured.null_value is not None
    assert measured.null_value < 0.9


def place(entries: list[int], echo: Tensor | None) -> Place:
    selected = torch.zeros(1, 6, dtype=torch.bool)
    selected[0, entries] = True
    return Place("v", "v", 0, None, selected, None, len(entries), echo=echo, along=1)


def test_entries_move_with_what_follows_them_and_the_rest_is_what_is_left() -> None:
    echo = torch.zeros(2, 6)
    echo[0, 1], echo[1, 4], echo[0, 5], echo[1, 5] = 1.0, 1.0, 0.5, -2.0
    own = place([1, 4], echo)
    value, source = torch.randn(3, 6), torch.randn(3, 6)
    where = torch.tensor([[True], [False], [True]])
    mixed = own.mixed(value, source, where)
    by_hand = value + where * ((source - value)[:, [1, 4]] @ echo)
    assert torch.allclose(mixed, by_hand)
    assert torch.allclose(mixed[where[:, 0]][:, [1, 4]], source[where[:, 0]][:, [1, 4]])
    rest = Rest("v", "rest", 0, None, None, None, 0, places=(own,)).mixed(value, source, where)
    assert torch.allclose(rest[:, [1, 4]], value[:, [1, 4]])
    both = value + (mixed - value) + (rest - value)
    assert torch.allclose(both, torch.where(where, source, value), atol=1e-6)


def test_places_with_echoes_overlap_where_one_changes_what_the_other_reads() -> None:
    a, b = torch.zeros(1, 6), torch.zeros(1, 6)
    a[0, 0], a[0, 5], b[0, 1], b[0, 5] = 1.0, 1.0, 1.0, 1.0
    assert not overlap(place([0], a), place([1], b))  # both add to what follows; neither reads it
    assert overlap(place([0], a), place([5], None))
    assert len(distinct([place([0], a), place([0], a), place([1], b)])) == 2


def test_an_echo_that_does_not_fit_is_refused(reference: Reference) -> None:
    wrong = follows(ALL)[:, :7]
    with pytest.raises(InputError, match="with 7 entries that follow, but the network has 12 there"):
        swapped(program(ALL, wrong), reference)


@pytest.mark.parametrize(
    ("echo", "message"),
    [
        (np.zeros((4, 12), np.float32), "which changes the entries themselves"),
        (np.eye(3, 12, dtype=np.float32), r"which is \[3, 12\] for 4 entries"),
    ],
)
def test_the_language_checks_echoes(echo: np.ndarray, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check(program(ALL, echo))
    lost = program(ALL, follows(ALL))
    with pytest.raises(GraphError, match="a tensor that the graph does not hold"):
        check(replace(lost, tensors={k: v for k, v in lost.tensors.items() if k != "echo"}))


def test_an_echo_of_two_axes_is_refused() -> None:
    graph = program(ALL, follows(ALL))
    node = next(n for n in graph.nodes if n.sites and n.sites[0].echo)
    site: Site = node.sites[0]
    both = replace(site, index=(*site.index, (site.axes[0], 0)))
    with pytest.raises(GraphError, match="picks none along one axis alone"):
        check(graph.with_nodes([*(n for n in graph.nodes if n.id != node.id), replace(node, sites=(both,))]))


def with_output(graph: Graph, change: Any) -> Graph:
    """The program with another last weight."""
    out = graph[graph.outputs[0]]
    name = out.tensors["weight"]
    return graph.with_nodes(graph.nodes, tensors={name: change(graph.tensors[name]).astype(np.float32)})


def test_answers_that_a_program_is_in_doubt_of_are_no_cases(reference: Reference) -> None:
    """Outputs that are off by much: nothing that it says after a swap is certain, so that nothing is decided."""
    noise = default_rng(0).normal(size=(KEPT, KEPT))
    doubtful = with_output(program(ALL, follows(ALL)), lambda w: w + 3 * np.abs(w).max() * noise)
    (pool,) = swapped(doubtful, reference).pools
    (clear,) = swapped(program(ALL, follows(ALL)), reference).pools
    assert clear.doubt < 1e-5 < pool.doubt
    found = swapped(doubtful, reference).concluded()
    assert _of_layer(found).status is not Status.TESTED


def test_a_swap_that_hardly_changes_the_programs_answers_is_judged_by_what_stays(reference: Reference) -> None:
    """A unit that says next to nothing; in a network that reads it strongly, and takes that back, it is refuted."""
    for weak, status in ((True, Status.TESTED), (False, Status.REFUTED)):
        graph = program(ALL, None)
        _, layer, _ = (n for n in graph.nodes if n.op.startswith("component."))
        place = layer.sites[0]
        scale = np.where(np.arange(KEPT) == 0, 0.01, 1.0)[:, None]
        network = Repeats()
        with torch.no_grad():
            network.out.weight[:, KEPT:] = 0.0
            network.out.weight[0, 0] = 0.01 if weak else 3.01
            network.out.weight[0, KEPT] = 0.0 if weak else -3.0  # its copy takes back what the unit says
        judged = _first_unit_alone(with_output(graph, lambda w, scale=scale: scale * np.eye(KEPT)), layer, place)
        there = Reference(Network(network, "weak"), reference.behavior)
        exchange = swapped(judged, there)
        (experiment,) = (e for e in exchange.experiments if e.group >= 0 and exchange.groups[e.group].name == "first")
        assert experiment.is_rare
        assert not experiment.decides_by_changes
        claim = next(c for c in exchange.concluded().claims if c.statement.startswith("Swapping first"))
        assert claim.status is status
        assert ("swaps only of which it is certain" in claim.evidence[0].note) or not experiment.changed.asked


def _first_unit_alone(graph: Graph, layer: Node, place: Site) -> Graph:
    """The program with the first unit a variable of its own, and the others nowhere in particular."""
    batch = layer.type.axes[0]
    nodes = {n.id: n for n in graph.nodes}
    of = nodes[layer.inputs[0]]
    names = (of.tensors["weight"], of.tensors["bias"])
    parts, tensors, ends = [], {}, []
    for name, rows in (("first", [0]), ("others", [1, 2, 3])):
        width = f"={len(rows)}"
        roles = {"weight": f"{name}.weight", "bias": f"{name}.bias"}
        tensors[roles["weight"]] = np.ascontiguousarray(graph.tensors[names[0]][:, rows])
        tensors[roles["bias"]] = np.ascontiguousarray(graph.tensors[names[1]][rows])
        kind = replace(layer.type, axes=(batch, width))
        site = replace(place, index=tuple((place.axes[-1], r) for r in rows))
        sites = (site,) if name == "first" else ()
        parts += [
            replace(of, id=f"{name}_sums", type=kind, tensors=roles),
            replace(layer, id=name, inputs=(f"{name}_sums",), type=kind, sites=sites),
        ]
        ends.append(name)
    joined = replace(layer, op="component.join", inputs=tuple(ends), attrs={"axis": 1}, tensors={}, sites=())
    kept = [n for n in graph.nodes if n.id not in (of.id, layer.id)]
    return graph.with_nodes([*kept, *parts, joined], tensors=tensors).pruned()


def test_the_doubt_of_a_program_does_not_hang_on_the_size_of_its_outputs() -> None:
    theirs = torch.randn(200, 5, dtype=torch.float64)
    off = theirs + 0.1 * torch.randn(200, 5, dtype=torch.float64)
    own = doubt(off, theirs, Argmax())
    assert 0.15 < own < 0.4  # two errors of 0.1 each, 95 times in 100
    assert np.isclose(doubt(10 * off, theirs, Argmax()), 10 * own)
    assert doubt(theirs, theirs, Argmax()) < 1e-9
    assert doubt(off[:, :2], theirs, Argmax()) == 0.0
    assert doubt(off, theirs, Sign()) == 0.0


def test_arrays_have_one_pool_as_large_as_memory_allows(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Judged(program(ALL, follows(ALL)))
    (pool,) = pools(judged, reference, (), "test", count=4, size=48)
    assert pool.size == 4 * 48
    monkeypatch.setattr("exegesis.verify.picks._MAX_ENTRIES", 0)
    (small,) = pools(judged, reference, (), "test", count=4, size=48)
    assert small.size == 48
