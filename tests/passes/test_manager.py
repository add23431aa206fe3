"""The pass manager: every guard of it, tripped by a pass that breaks its word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Argmax, Behavior
from exegesis.ir import Axis, Graph, GraphError, Node, Origin, Site, Type
from exegesis.measure import Bench
from exegesis.passes.manager import Attempt, Guarantee, Manager, Outcome, Pass, PassError, Setting

EVERY = ("batch", "pos")
AXES = {a.name: a for a in (*map(Axis, EVERY), Axis("token", 4), Axis("output", 4))}
TOKENS = [[0, 1, 2, 3, 0, 1, 2, 3, 0, 0]]


def network(table: np.ndarray) -> Graph:
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", EVERY, "token")),
        Node("x", "component.embed", ("tokens",), Type("real", (*EVERY, "output")), tensors={"weight": "w"}),
        Node("logits", "component.scale", ("x",), Type("real", (*EVERY, "output")), {"by": 1}),
    )
    return Graph(nodes, ("logits",), {"w": table.astype(np.float32)}, AXES)


TRUE = network(4 * np.eye(4))


@pytest.fixture
def setting() -> Setting:
    rows = [{"input_ids": r, "scored": list(range(len(r)))} for r in TOKENS]
    split = Behavior.from_sequences("b", list("abcd"), {"train": rows}, Argmax()).sequences("train")
    return Setting(Bench(TRUE, Argmax(), split), Bench(TRUE, Argmax(), split), Argmax(), seed=0)


@dataclass(frozen=True)
class Step:
    """A pass that does what it is told."""

    does: Callable[[Graph], Graph]
    guarantee: Guarantee = Guarantee.STATISTICAL
    reason: str | None = None
    wrong: str | None = None
    attempts: tuple[Attempt, ...] = (Attempt("here", "done", True), Attempt("there", "refused", False))

    name = "do_it"
    stage = "raise"

    def requires(self, graph: Graph) -> str | None:
        return self.reason

    def ensures(self, graph: Graph) -> str | None:
        return self.wrong

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        return Outcome(self.does(graph), self.attempts)


def changed(**nodes: dict[str, Any]) -> Callable[[Graph], Graph]:
    """Replaces fields of nodes."""
    return lambda g: g.with_nodes([replace(n, **nodes.get(n.id, {})) for n in g.nodes])


def tables(table: np.ndarray) -> Callable[[Graph], Graph]:
    return lambda g: g.with_nodes(g.nodes, tensors={"w": table.astype(np.float32)})


def test_a_step_is_a_pass() -> None:
    assert isinstance(Step(changed()), Pass)


def test_what_a_pass_did_is_counted(setting: Setting) -> None:
    manager = Manager(setting)
    grown = manager.run(TRUE, Step(lambda g: g.with_nodes([*g.nodes, replace(g["logits"], id="more")])))
    record = manager.records[0]
    assert "more" in grown.by_id
    assert (record.name, record.stage, record.guarantee) == ("do_it", "raise", "statistical")
    assert (record.applied, len(record.attempts), record.skipped) == (1, 2, None)
    assert (record.nodes_before, record.nodes_after) == (3, 4)
    assert (record.before, record.after) == (1.0, 1.0)
    assert record.seconds >= 0


def test_what_a_pass_requires_decides_whether_it_runs(setting: Setting) -> None:
    def never(graph: Graph) -> Graph:
        raise AssertionError("it ran")

    manager = Manager(setting)
    assert manager.run(TRUE, Step(never, reason="there is no attention")) is TRUE
    assert manager.records[0].skipped == "there is no attention"
    assert manager.records[0].attempts == ()


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (changed(logits={"op": "component.magic"}), "component.magic"),
        (changed(logits={"attrs": {}}), "lacks attribute 'by'"),
        (changed(logits={"inputs": ("ghost",)}), "ghost"),
        (changed(x={"tensors": {"weight": "ghost"}}), "names tensor 'ghost'"),
        (lambda g: replace(g, outputs=("ghost",)), "gives 'ghost'"),
        (tables(np.full((4, 4), np.nan)), "not finite"),
        (changed(logits={"type": Type("selector", EVERY)}), "selector"),
    ],
)
@pytest.mark.parametrize("guarantee", list(Guarantee))
def test_a_broken_language_names_the_pass_and_those_before(
    setting: Setting, does: Callable[[Graph], Graph], said: str, guarantee: Guarantee
) -> None:
    manager = Manager(setting)
    with pytest.raises(PassError, match=r"Pass do_it broke the language \(first of all\)") as first:
        manager.run(TRUE, Step(does, guarantee))
    assert said in str(first.value)
    manager.run(TRUE, Step(changed(), reason="not now"))
    with pytest.raises(PassError, match=r"Pass do_it broke the language \(after do_it\)"):
        manager.run(TRUE, Step(does, guarantee))


def test_an_output_that_is_no_number_names_the_pass(setting: Setting) -> None:
    """No weight is wrong, but the program divides infinity by infinity."""
    with pytest.raises(PassError, match="Pass do_it broke the language"):
        Manager(setting).run(TRUE, Step(changed(logits={"attrs": {"by": 1e39, "plus": -1e39}}), Guarantee.EXACT))


def test_what_a_pass_promised_is_asked_for(setting: Setting) -> None:
    manager = Manager(setting)
    with pytest.raises(PassError, match=r"do_it does not ensure what it promises .*: two heads are left"):
        manager.run(TRUE, Step(changed(), wrong="two heads are left"))
    assert manager.records == []


def test_an_exact_pass_that_moves_an_output_is_undone(setting: Setting) -> None:
    """Every answer is as before, but the outputs are not."""
    manager = Manager(setting)
    moved = 4 * np.eye(4)
    moved[1, 2] += 4e-3
    assert manager.run(TRUE, Step(tables(moved), Guarantee.EXACT)) is TRUE
    record = manager.records[0]
    assert record.skipped == "undone: outputs moved by 1.00e-03, more than 1e-04"
    assert record.applied == 0
    assert len(record.attempts) == 2
    assert record.nodes_after == record.nodes_before
    assert manager.run(TRUE, Step(tables(moved))) is not TRUE, "a statistical pass may do so"


def test_an_exact_pass_may_move_outputs_by_rounding(setting: Setting) -> None:
    moved = 4 * np.eye(4)
    moved[1, 2] += 1e-5
    assert Manager(setting).run(TRUE, Step(tables(moved), Guarantee.EXACT)) is not TRUE


@pytest.mark.parametrize(("floor", "undone"), [(0.99, True), (0.8, False)])
def test_a_statistical_pass_below_the_floor_is_undone(setting: Setting, floor: float, undone: bool) -> None:
    """Two of ten answers change."""
    wrong = np.eye(4)[[0, 1, 2, 0]]
    manager = Manager(setting, floor=floor)
    assert (manager.run(TRUE, Step(tables(wrong))) is TRUE) is undone
    record = manager.records[0]
    assert record.applied == (0 if undone else 1)
    assert record.after == (1.0 if undone else 0.8)
    if undone:
        assert record.skipped == "undone: only 0.8000 of the held-out answers survived, 0.9900 are needed"


def test_no_pass_is_asked_for_more_than_it_was_given(setting: Setting) -> None:
    half = network(np.eye(4)[[0, 1, 2, 0]])
    manager = Manager(setting)
    assert manager.run(half, Step(changed(logits={"attrs": {"by": 2}}))) is not half
    assert manager.records[0].skipped is None


def test_nodes_say_who_made_them(setting: Setting) -> None:
    """A new node, and one that computes something else, are the pass's; a name, a sentence or a site is nothing."""

    def does(graph: Graph) -> Graph:
        nodes = [replace(n, name="inputs", doc="What is read.", sites=(Site("v", EVERY),)) for n in graph.nodes]
        nodes[2] = replace(nodes[2], attrs={"by": 2})
        made = Node("fresh", "component.scale", ("x",), graph["x"].type, {"by": 3}, origin=Origin("?", ("x",), "why"))
        return graph.with_nodes([*nodes, made])

    grown = Manager(setting).run(TRUE, Step(does))
    assert {n.id: n.origin.by for n in grown.nodes} == {
        "tokens": "hand",
        "x": "hand",
        "logits": "do_it",
        "fresh": "do_it",
    }
    assert grown["fresh"].origin == Origin("do_it", ("x",), "why")


class Counting(Bench):
    """Counts how often agreement is measured."""

    asked = 0

    def agreement(self, graph: Graph) -> float:
        self.asked += 1
        return super().agreement(graph)


def test_what_is_known_is_not_measured_again(setting: Setting) -> None:
    held = Counting(TRUE, Argmax(), setting.held.split)
    manager = Manager(replace(setting, held=held))
    graph = manager.run(TRUE, Step(changed(logits={"attrs": {"by": 2}})))
    assert held.asked == 2
    graph = manager.run(graph, Step(changed(), reason="not now"))
    graph = manager.run(graph, Step(lambda g: g))
    assert held.asked == 2
    copied = replace(graph)
    manager.carry_on(copied)
    manager.run(copied, Step(lambda g: g))
    assert held.asked == 2
    manager.run(replace(graph), Step(lambda g: g))
    assert held.asked == 3


def test_a_pass_that_undoes_itself_leaves_no_trace(setting: Setting) -> None:
    manager = Manager(setting)
    assert manager.run(TRUE, Step(lambda g: g, Guarantee.EXACT)) is TRUE
    assert manager.records[0].skipped is None


def test_a_fault_in_a_pass_itself_names_it(setting: Setting) -> None:
    def fault(graph: Graph) -> Graph:
        raise GraphError("the graph has no node 'ghost'")

    with pytest.raises(PassError, match="Pass do_it"):
        Manager(setting).run(TRUE, Step(fault))
