"""Interrupted runs: what is kept, what a resumed run makes of it, and whose checkpoints it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from exegesis.behavior import Argmax, Behavior
from exegesis.ir import Axis, Graph, InputError, Node, Type, diff
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Pass, PassError, Record, Setting
from exegesis.pipeline import Program, decompile, resume
from exegesis.pipeline.presets import STANDARD
from exegesis.runtime import load
from exegesis.store import Checkpoints

Shown = Callable[[Path], dict[str, bytes]]


@dataclass(frozen=True)
class Between:
    """Does nothing between two passes, notes that it was there, and stands in for Ctrl-C where that is planted."""

    number: int

    name = "stand_by"
    stage = "canonicalise"
    guarantee = Guarantee.EXACT
    interrupts: ClassVar[list[int]] = []
    seen: ClassVar[list[int]] = []

    def requires(self, graph: Graph) -> str | None:
        if self.number in self.interrupts:
            raise KeyboardInterrupt
        self.seen.append(self.number)
        return "it has nothing to do"

    def ensures(self, graph: Graph) -> str | None:
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        raise AssertionError("a pass ran that said it would not")


@dataclass(frozen=True)
class Broken(Between):
    """Says after its work that it did not do it."""

    name = "break_promise"

    def requires(self, graph: Graph) -> str | None:
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        return Outcome(graph)

    def ensures(self, graph: Graph) -> str | None:
        return "nothing was done"


def passes() -> list[Pass]:
    return list(chain.from_iterable((Between(k), step) for k, step in enumerate(STANDARD)))


@pytest.fixture(autouse=True)
def undisturbed() -> None:
    Between.interrupts.clear()
    Between.seen.clear()


@pytest.fixture(scope="module")
def whole(network: Path, behavior: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted and that kept nothing."""
    out = tmp_path_factory.mktemp("whole") / "run"
    decompile(f"{network}:build", behavior, passes=passes()).save(out)
    return out


def interrupted(network: Path, behavior: Behavior, out: Path, after: int) -> None:
    Between.interrupts.append(after)
    with pytest.raises(KeyboardInterrupt):
        decompile(f"{network}:build", behavior, passes=passes(), checkpoint_at=out)
    Between.interrupts.clear()
    Between.seen.clear()


def resumed(network: Path, behavior: Behavior, out: Path) -> Program:
    return decompile(f"{network}:build", behavior, passes=passes(), checkpoint_at=out, resume=True)


@pytest.mark.parametrize("after", [0, 1, len(STANDARD) - 1])
def test_a_resumed_run_skips_what_is_done_and_ends_with_the_same_bytes(
    network: Path, behavior: Behavior, whole: Path, tmp_path: Path, shown: Shown, after: int
) -> None:
    out = tmp_path / "run"
    interrupted(network, behavior, out, after)
    assert not out.exists()
    assert len(Checkpoints(tmp_path / "run.partial").steps()) == 2 * after
    program = resumed(network, behavior, out)
    assert Between.seen == list(range(after, len(STANDARD)))
    assert [r.name for r in program.records] == [p.name for p in passes()]
    program.save(out)
    assert {p.name for p in tmp_path.iterdir()} == {"run"}, "a finished run keeps nothing else"
    assert shown(whole) == shown(out)


def test_a_run_may_be_interrupted_twice(network: Path, behavior: Behavior, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    interrupted(network, behavior, out, 2)
    Between.interrupts.append(5)
    with pytest.raises(KeyboardInterrupt):
        resumed(network, behavior, out)
    Between.interrupts.clear()
    assert Between.seen == [2, 3, 4]
    assert resumed(network, behavior, out).source == (whole / "program.py").read_text()
    assert Between.seen[3:] == list(range(5, len(STANDARD)))


@pytest.fixture
def kept(network: Path, behavior: Behavior, tmp_path: Path) -> Path:
    """Where an interrupted run would have gone."""
    interrupted(network, behavior, tmp_path / "run", 4)
    return tmp_path / "run"


def test_the_checkpoints_of_another_run_are_refused_in_one_sentence(
    network: Path, behavior: Behavior, kept: Path
) -> None:
    rows = behavior.sequences("train").rows
    other = Behavior.from_sequences("majority", ["a", "b", "bos"], {"train": rows[:100], "test": rows}, Argmax())
    ours, standard = f"{network}:build", passes()
    attempts: list[tuple[str, str, Behavior, int, Sequence[Pass]]] = [
        ("seed", ours, behavior, 1, standard),
        ("network", f"{network}:build_other", behavior, 0, standard),
        ("behavior", ours, other, 0, standard),
        ("config", ours, behavior, 0, standard[:-1]),
    ]
    for named, which, signal, seed, steps in attempts:
        with pytest.raises(InputError, match=f"differs in its {named}; start without --resume") as refusal:
            decompile(which, signal, seed=seed, passes=steps, checkpoint_at=kept, resume=True)
        assert "\n" not in str(refusal.value)
    assert Checkpoints.are_at(kept), "a refusal costs nothing"


@pytest.mark.parametrize("file", ["json", "safetensors"])
def test_a_damaged_checkpoint_is_refused(network: Path, behavior: Behavior, kept: Path, file: str) -> None:
    path = sorted(kept.with_name("run.partial").glob(f"*.{file}"))[-2 if file == "json" else -1]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="The checkpoint of step 8"):
        resumed(network, behavior, kept)


def test_starting_anew_drops_an_earlier_try(network: Path, behavior: Behavior, kept: Path) -> None:
    decompile(f"{network}:build", behavior, passes=passes(), checkpoint_at=kept)
    assert Between.seen == list(range(len(STANDARD)))


def test_there_must_be_something_to_resume(network: Path, behavior: Behavior, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no interrupted run to resume"):
        resumed(network, behavior, tmp_path / "run")
    with pytest.raises(InputError, match="say where that is"):
        decompile(f"{network}:build", behavior, resume=True)


def test_what_is_refused_keeps_nothing(network: Path, behavior: Behavior, tmp_path: Path) -> None:
    with pytest.raises(PassError, match=r"break_promise does not ensure .* \(after stand_by\): nothing was done"):
        decompile(f"{network}:build", behavior, passes=[Between(0), Broken(1)], checkpoint_at=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


KINDS = {a.name: a for a in (Axis("batch"), Axis("pos"), Axis("token", 3))}
PER_TOKEN = Type("category", ("batch", "pos"), "token")


def test_a_run_goes_on_with_what_a_resumed_run_would_find(tmp_path: Path, network: Path, behavior: Behavior) -> None:
    """Tuples, an array laid out backwards and an infinite figure are kept, and the same before and after."""
    nodes = (
        Node("tokens", "input.tokens", (), PER_TOKEN),
        Node("held", "component.constant", ("tokens",), Type("real", ("batch", "pos", "=3")), tensors={"value": "w"}),
        Node("answer", "symbolic.relabel", ("tokens",), PER_TOKEN, {"table": ((0, 1), (1, 0))}),
    )
    graph = Graph(nodes, ("answer", "held"), {"w": np.arange(3.0)[::-1]}, KINDS)
    attempts = (
        Attempt("L0H1", "stays", False, (("bits", float("inf")), ("agreement", 1 / 3))),
        Attempt("x", "y", True),
    )
    record = Record("raise_it", "raise", "exact", attempts, None, 1.0, 0.5, 3, 2, 0.25)
    key = resume.fingerprint(load(f"{network}:build"), behavior, graph, [], seed=0, version="")
    kept = resume.checkpoints(tmp_path / "run", key, resume=False)
    assert kept is not None
    assert resume.latest(kept) is None
    settled = resume.settle(resume.State(graph, (record,)), kept)
    restored = resume.latest(kept)
    assert restored is not None
    assert restored.records == settled.records == (record,)
    assert not diff(settled.graph, restored.graph)
    for state in (settled, restored):
        assert state.graph["answer"].attrs == {"table": [[0, 1], [1, 0]]}
        assert state.graph.tensors["w"].flags.c_contiguous
        np.testing.assert_array_equal(state.graph.tensors["w"], [2.0, 1.0, 0.0])
