"""Agreement against a loop over rows, and the emitted text against the graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Behavior, SequenceRow, Sign
from exegesis.evidence import Status, Threshold
from exegesis.ir import InputError
from exegesis.ir.progress import Silent
from exegesis.runtime import Network
from exegesis.verify.agreement import Agreements, measure_agreement, one_program, plain
from exegesis.verify.budget import Budget, Deadline
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged, Text

TEST = Threshold(split="test", at_least=0.99, lower_at_least=0.97)
COUNTS = """
def run(ids, positions=None):
    def said(part):
        return int(sum(t == 1 for t in part) > sum(t == 0 for t in part))

    return [said(ids[: s + 1]) for s in range(len(ids))]
"""


def later() -> Any:
    return Budget(60.0).whole


def by_hand(made: Any, reference: Reference, says: Callable[[list[int]], int]) -> float:
    right = []
    for row in reference.behavior.sequences("test"):
        logits = reference.network.module(torch.tensor([row.input_ids]))[0, row.scored[0]]
        right.append(says(row.input_ids) == int(logits.argmax()))
    return float(np.mean(right))


def test_the_share_is_that_of_a_loop_over_rows(made: Any, reference: Reference) -> None:
    graph = made.program(plus=1.5)  # 1 wins too early
    found = measure_agreement(Judged(graph), reference, "test", TEST, later())

    def says(ids: list[int]) -> int:
        return int(sum(t == 1 for t in ids) - sum(t == 0 for t in ids) + 1.5 > 0)

    assert found.over_answers.value == pytest.approx(by_hand(made, reference, says))
    assert 0.5 < found.over_answers.value < 0.9
    assert found.claim is not None
    assert found.claim.status is Status.REFUTED
    witness: Any = found.claim.witness
    assert says(witness["input_ids"]) == witness["program"] != witness["network"] == made.majority(witness["input_ids"])


def test_the_right_program_agrees_everywhere_and_more_than_chance(judged: Judged, reference: Reference) -> None:
    found = measure_agreement(judged, reference, "test", TEST, later())
    assert (found.over_answers.value, found.over_inputs.value, found.over_answers.n) == (1.0, 1.0, 200)
    assert found.claim is not None
    assert found.claim.status is Status.TESTED
    said = reference.answers("test")
    share = np.mean(said == 1)
    assert found.over_answers.null_value == pytest.approx(share**2 + (1 - share) ** 2, abs=0.1)
    assert found.text == (0, 0, None)
    assert one_program([found], 0) is None


def test_a_split_that_the_rule_does_not_ask_for_makes_no_claim(judged: Judged, reference: Reference) -> None:
    assert measure_agreement(judged, reference, "train", None, later()).claim is None


def test_few_rows_leave_the_claim_open(judged: Judged, made: Any) -> None:
    behavior = made.behavior()
    few = list(behavior.sequences("test"))[:20]
    small = Behavior.from_sequences("few", ["a", "b", "<s>"], {"test": few, "train": few}, Argmax())
    reference = Reference(Network(made.counting(), "n"), small)
    found = measure_agreement(judged, reference, "test", TEST, later())
    assert found.claim is not None
    assert (found.claim.status, found.over_answers.value) == (Status.CONJECTURED, 1.0)


def test_lengths_beyond_training_are_said_apart(judged: Judged, made: Any) -> None:
    def rows(length: int) -> list[SequenceRow]:
        return [SequenceRow(ids, [length], None, [made.majority(ids)]) for ids in made.strings(30, length, length)]

    splits = {"train": rows(5), "test": [*rows(5), *rows(8)]}
    behavior = Behavior.from_sequences("mixed", ["a", "b", "<s>"], splits, Argmax())
    found = measure_agreement(judged, Reference(Network(made.counting(), "n"), behavior), "test", TEST, later())
    assert found.beyond is not None
    assert (found.over_answers.n, found.beyond.n) == (60, 30)
    assert found.claim is not None
    assert "some outside the lengths of training" in found.claim.domain


def text(folder: Path, source: str) -> Text:
    path = folder / "program.py"
    path.write_text(source)
    return Text(path)


def test_the_emitted_text_is_what_is_judged(made: Any, reference: Reference, tmp_path: Path) -> None:
    program = Judged(made.program(), text(tmp_path, COUNTS))
    found = measure_agreement(program, reference, "test", TEST, later())
    assert found.over_answers.value == 1.0
    assert found.text == (200, 200, None)
    claim = one_program([found], 0)
    assert claim is not None
    assert claim.status is Status.TESTED
    assert not list(tmp_path.glob("__pycache__"))


def test_a_text_that_is_not_its_graph_is_refuted(made: Any, reference: Reference, tmp_path: Path) -> None:
    program = Judged(made.program(), text(tmp_path, COUNTS.replace("> sum", "> 2 + sum")))
    found = measure_agreement(program, reference, "test", TEST, later())
    assert found.over_answers.value < 1.0
    claim = one_program([found], 0)
    assert claim is not None
    assert claim.status is Status.REFUTED
    witness: Any = claim.witness
    assert witness["program.py"] != witness["program.json"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import nothing_of_the_kind\n", "cannot be imported: ModuleNotFoundError"),
        ("x = 1\n", "has no function run"),
        ("def run(ids, positions=None):\n    raise KeyError('gone')\n", "fails on row"),
        ("def run(ids, positions=None):\n    return []\n", "fails on row"),
        ("def run(ids, positions=None):\n    return ['a'] * len(ids)\n", "must return ints"),
    ],
)
def test_a_text_that_does_not_run_is_refused(
    made: Any, reference: Reference, tmp_path: Path, source: str, sentence: str
) -> None:
    with pytest.raises(InputError) as refusal:
        measure_agreement(Judged(made.program(), text(tmp_path, source)), reference, "test", TEST, later())
    assert sentence in str(refusal.value)


def test_a_text_is_asked_until_time_is_over(made: Any, reference: Reference, tmp_path: Path) -> None:
    now = [0.0]
    slow = Budget(3.0, lambda: now[0])
    program = Judged(made.program(), text(tmp_path, COUNTS))
    answers = Text.answers

    def ticking(self: Text, split: Any, rows: Any, readout: Any, deadline: Any) -> Any:
        now[0] = 10.0  # the deadline is over when the first row is done
        return answers(self, split, rows, readout, deadline)

    Text.answers = ticking  # type: ignore[method-assign]
    try:
        found = measure_agreement(program, reference, "test", TEST, slow.whole)
    finally:
        Text.answers = answers  # type: ignore[method-assign]
    assert found.over_answers.n == 1
    assert found.claim is not None
    assert found.claim.status is Status.CONJECTURED
    assert "1 of 200 inputs" in found.over_answers.note


def test_plain_answers() -> None:
    assert plain(np.int64(3)) == 3
    assert plain(np.float64(0.5)) == 0.5
    assert plain(Sign().answers(np.array([[1.0, -1.0, 2.0]]))[0]) == [0, 2]


def test_every_split_has_its_share_of_the_time_and_what_is_open_gets_more(
    made: Any, reference: Reference, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(COUNTS, encoding="utf-8")
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # every look at the clock takes a second, and there is one after every row
        return now[0]

    judged = Judged(made.program(), Text(path))
    asked = Agreements(judged, reference, [TEST, Threshold(split="train", at_least=0.99, lower_at_least=0.9)])
    asked.run(Deadline(40.0, clock), Silent())
    rows = {name: a.over_inputs.n for name, a in asked.found.items()}
    assert 10 < rows["test"] < 25  # about half of the time
    assert 10 < rows["train"] < 25
    assert asked.open == ("test", "train")
    assert [c.status for c in asked.claims()] == [Status.CONJECTURED, Status.CONJECTURED, Status.TESTED]
    assert "more cases would tell" in asked.claims()[0].missing
    needed = asked.seconds_to_decide()
    assert needed is not None
    assert needed > 0
    asked.run(Deadline(1e9, clock), Silent())
    assert asked.open == ()
    assert asked.seconds_to_decide() == 0.0
    assert {a.over_inputs.n for a in asked.found.values()} == {200, 80}
    assert {c.status for c in asked.claims()} == {Status.TESTED}


def test_a_split_that_is_not_there_is_refused(judged: Judged, reference: Reference) -> None:
    with pytest.raises(InputError, match="agreement on split 'long'"):
        Agreements(judged, reference, [Threshold(split="long", at_least=0.9, lower_at_least=0.8)])
