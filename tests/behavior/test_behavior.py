"""Behaviours as a whole: made in Python, saved, loaded, compared with what a network can take."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exegesis.behavior import (
    Argmax,
    Behavior,
    ProductDomain,
    Readout,
    SamplerDomain,
    SequenceRow,
    Sign,
    StringsDomain,
    Value,
    Vocabulary,
    task_accuracy,
)
from exegesis.ir import InputError

READOUTS: list[Readout] = [Argmax(), Argmax((2, 1)), Sign(), Value(0.5)]
VOCABULARIES = [Vocabulary(("a", "é", "<bos>"), bos=2, declared_special=s) for s in (None, frozenset(), frozenset({1}))]
DOMAINS = [None, ProductDomain(((2,), (0, 1))), StringsDomain((0, 1), 0, 2, (2,), (2,)), StringsDomain((0,), 1, 1)]
WORDS = Vocabulary(("a", "b", "<bos>"), bos=2)
ENTRIES: dict[type, st.SearchStrategy[Any]] = {
    Argmax: st.integers(1, 2),
    Sign: st.lists(st.integers(0, 2), unique=True).map(sorted),
    Value: st.floats(-5, 5),
}


@st.composite
def behaviors(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a behaviour: checking types at run time draws random numbers, which strategies must not."""
    readout: Readout = draw(st.sampled_from(READOUTS))
    labelled, placed = draw(st.booleans()), draw(st.booleans())
    splits = {}
    for name in draw(st.lists(st.sampled_from(["train", "test", "long"]), min_size=1, unique=True)):
        rows = []
        for length in draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)):
            scored = sorted(draw(st.sets(st.integers(0, length - 1), min_size=1)))
            ids = draw(st.lists(st.integers(0, 2), min_size=length, max_size=length))
            expected = [draw(ENTRIES[type(readout)]) for _ in scored] if labelled else None
            fields = {"input_ids": ids, "scored": scored, "position_ids": list(range(length)) if placed else None}
            rows.append({**fields, "expected": expected})
        splits[name] = rows
    return {
        "splits": splits,
        "readout": readout,
        "vocabulary": draw(st.sampled_from(VOCABULARIES)),
        "output_names": None if isinstance(readout, Value) else draw(st.sampled_from([None, ("x", "y", "z")])),
        "domain": draw(st.sampled_from(DOMAINS)),
    }


def described(behavior: Behavior) -> Any:
    """All that makes up a behaviour over sequences, in plain Python."""
    rows = {name: list(behavior.sequences(name)) for name in behavior.splits}
    named = (behavior.name, behavior.task, behavior.readout, behavior.vocabulary, behavior.output_names)
    domain = behavior.domain
    return named, rows, domain if isinstance(domain, ProductDomain | StringsDomain) else type(domain)


@given(behaviors())
@settings(max_examples=40)
def test_saving_and_loading_changes_nothing(tmp_path_factory: pytest.TempPathFactory, given_as: dict[str, Any]) -> None:
    behavior = Behavior.from_sequences(name="made", task="t", **given_as)
    path = behavior.save(tmp_path_factory.mktemp("saved"))
    loaded = Behavior.load(path)
    assert described(loaded) == described(behavior)
    assert loaded.fingerprint() == behavior.fingerprint()
    assert Behavior.load(path.parent).fingerprint() == behavior.fingerprint()
    first = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    loaded.save(path.parent)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == first


@pytest.mark.parametrize(
    ("readout", "y"),
    [
        (Argmax(), np.array([0, 1, 1])),
        (Argmax(), None),
        (Sign(), np.eye(3, dtype=np.bool_)),
        (Value(0.5), np.array([0.5, 1.0, -2.0])),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "bool"])
def test_arrays_are_saved_and_loaded(tmp_path: Path, readout: Readout, y: Any, dtype: str) -> None:
    x = np.arange(12).reshape(3, 2, 2).astype(dtype)
    behavior = Behavior.from_arrays("made", {"train": (x, y), "test": (x[:1], None)}, readout, scale=4.0)
    loaded = Behavior.load(behavior.save(tmp_path))
    assert loaded.fingerprint() == behavior.fingerprint()
    assert (loaded.layout, loaded.output_names) == (behavior.layout, None)
    assert loaded.arrays("train").stored.dtype == dtype
    np.testing.assert_array_equal(loaded.arrays("train").x, x.astype(np.float32) / 4)
    bytes_before = (tmp_path / "train.npz").read_bytes()
    loaded.save(tmp_path)
    assert (tmp_path / "train.npz").read_bytes() == bytes_before


def made(rows: list[Any] | None = None, readout: Readout | None = None, **more: Any) -> Behavior:
    default = [SequenceRow([2, 0, 1], [1, 2], [4, 5, 6], [0, 1])]
    return Behavior.from_sequences("made", WORDS, {"train": rows or default}, readout or Argmax(), **more)


def test_fingerprints_tell_behaviours_apart() -> None:
    row = SequenceRow([2, 0, 1], [1, 2], [4, 5, 6], [0, 1])
    different = [
        made(),
        made(task="other"),
        made(readout=Argmax((0, 1))),
        made(output_names=["x", "y"]),
        made(domain=StringsDomain((0, 1), 1, 2)),
        made(domain=StringsDomain((1, 0), 1, 2)),
        made([SequenceRow([2, 1, 1], row.scored, row.position_ids, row.expected)]),
        made([SequenceRow(row.input_ids, [0, 2], row.position_ids, row.expected)]),
        made([SequenceRow(row.input_ids, row.scored, [4, 5, 7], row.expected)]),
        made([SequenceRow(row.input_ids, row.scored, None, row.expected)]),
        made([SequenceRow(row.input_ids, row.scored, row.position_ids, [1, 1])]),
        made([SequenceRow(row.input_ids, row.scored, row.position_ids, None)]),
        made([row, row]),
        made([SequenceRow([2, 0], [1], [4, 5], [0]), SequenceRow([1], [0], [6], [1])]),
        Behavior.from_sequences("made", WORDS, {"test": [row]}, Argmax()),
        Behavior.from_sequences("other", WORDS, {"train": [row]}, Argmax()),
        Behavior.from_sequences("made", Vocabulary(("a", "c", "<bos>"), bos=2), {"train": [row]}, Argmax()),
    ]
    assert len({behavior.fingerprint() for behavior in different}) == len(different)
    assert made().fingerprint() == made().fingerprint()


def test_splits_are_read_when_asked_for_and_once(folder: Any) -> None:
    behavior = Behavior.load(folder.path)
    (folder.path / "test.jsonl").write_text("broken\n")
    assert list(behavior.splits) == ["train", "test"]
    train = behavior.split("train")
    (folder.path / "train.jsonl").unlink()
    assert behavior.split("train") is train
    with pytest.raises(InputError, match=r"test\.jsonl line 1"):
        behavior.check()


def test_splits_come_in_the_order_train_test_others(folder: Any) -> None:
    for split in ("long", "abc"):
        folder.rows({"input_ids": [0], "scored": [0]}, split=split)
    assert list(Behavior.load(folder.path / "behavior.json").splits) == ["train", "test", "abc", "long"]


def test_rows_may_be_mappings_of_numpy_and_scored_in_any_order() -> None:
    row = {"input_ids": np.array([2, 0, 1]), "scored": [np.int64(2), 1], "expected": np.array([1, 0])}
    assert made([row]).sequences("train")[0] == SequenceRow([2, 0, 1], [1, 2], None, [0, 1])


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"input_ids": [3], "scored": [0]}, "split train row 0: token id 3 exceeds"),
        ({"input_ids": [0.5], "scored": [0]}, r"split train row 0: input_ids\[0\] is 0.5"),
        ({"input_ids": [object()], "scored": [0]}, "split train row 0 holds something"),
        ({"scored": [0]}, "split train row 0: field input_ids is missing"),
    ],
)
def test_rows_made_in_python_are_checked_like_files(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        made([row])


def test_empty_behaviours_are_refused() -> None:
    with pytest.raises(InputError, match="Split train is empty"):
        Behavior.from_sequences("made", WORDS, {"train": []}, Argmax())
    with pytest.raises(InputError, match="at least one split"):
        Behavior.from_sequences("made", WORDS, {}, Argmax())
    with pytest.raises(InputError, match="at least one split"):
        Behavior.from_arrays("made", {}, Argmax())
    with pytest.raises(InputError, match="different shapes or types"):
        Behavior.from_arrays("made", {"a": (np.zeros((1, 2)), None), "b": (np.zeros((1, 3)), None)}, Argmax())


def test_asking_for_what_is_not_there() -> None:
    arrays = Behavior.from_arrays("made", {"train": (np.zeros((1, 2)), None)}, Argmax())
    with pytest.raises(InputError, match="no split test; it has train"):
        made().split("test")
    with pytest.raises(InputError, match="over token sequences, not over arrays"):
        made().arrays("train")
    with pytest.raises(InputError, match="over arrays, not over token sequences"):
        arrays.sequences("train")
    assert made().is_sequence
    assert not arrays.is_sequence


def test_a_sampler_cannot_be_saved(tmp_path: Path) -> None:
    behavior = made(domain=SamplerDomain(lambda n, rng: [[0]] * n))
    with pytest.raises(InputError, match="sampler cannot be saved"):
        behavior.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_network_can_take() -> None:
    behavior = made()
    behavior.check_vocabulary(3)
    behavior.check_positions(7)
    behavior.check_outputs(2)
    with pytest.raises(InputError, match="split train uses token id 2, which exceeds the network's vocabulary of 2"):
        behavior.check_vocabulary(2)
    with pytest.raises(InputError, match="split train uses position 6, but the network has 6"):
        behavior.check_positions(6)
    with pytest.raises(InputError, match="needs 2 outputs, but the network has 1"):
        behavior.check_outputs(1)
    unused = Behavior.from_sequences("made", ("a", "b", "c"), {"train": [SequenceRow([0], [0])]}, Argmax())
    unused.check_positions(1)
    with pytest.raises(InputError, match="the alphabet uses token id 2"):
        unused.check_vocabulary(2)
    with pytest.raises(InputError, match="uses position 0"):
        unused.check_positions(0)


def test_outputs_that_readouts_need() -> None:
    made(readout=Argmax((0, 1))).check_outputs(2)
    with pytest.raises(InputError, match="needs 3 outputs"):
        made(rows=[SequenceRow([2], [0])], readout=Argmax((0, 2))).check_outputs(2)
    sets = made([SequenceRow([2, 0], [0, 1], None, [[], [2]])], readout=Sign())
    sets.check_outputs(3)
    with pytest.raises(InputError, match="needs 3 outputs"):
        sets.check_outputs(2)
    with pytest.raises(InputError, match="needs 1 outputs, but the network has 2"):
        made([SequenceRow([2], [0], None, [0.5])], readout=Value(0.1)).check_outputs(2)
    with pytest.raises(InputError, match="names 2 outputs, but the network has 3"):
        made(output_names=["x", "y"]).check_outputs(3)
    masks = Behavior.from_arrays("m", {"train": (np.zeros((1, 2)), np.ones((1, 4), dtype=np.bool_))}, Sign())
    with pytest.raises(InputError, match="needs 4 outputs"):
        masks.check_outputs(3)


def test_labels_of_outputs() -> None:
    assert made(output_names=["x", "y"]).output_labels(2) == ("x", "y")
    assert made().output_labels(3) == ("a", "b", "<bos>")
    assert made().output_labels(2) == ("0", "1")
    assert made(readout=Argmax((0, 1))).output_labels(2) == ("a", "b")
    assert made(readout=Argmax((0, 1))).output_labels(4) == ("a", "b", "<bos>", "3")


def test_task_accuracy_counts_scored_answers() -> None:
    rows = [SequenceRow([0, 1, 1], [0, 1, 2], None, [0, 0, 1]), SequenceRow([1], [0], None, [1])]
    behavior = made(rows)
    # A network that answers with the token it sees is right at three of the four scored positions.
    assert task_accuracy(behavior, "train", lambda batch: np.eye(3)[batch.input_ids]) == 0.75
    with pytest.raises(InputError, match="does not say what answers are expected"):
        task_accuracy(made([SequenceRow([0], [0])]), "train", lambda batch: np.eye(3)[batch.input_ids])


def test_task_accuracy_of_arrays() -> None:
    x, y = np.eye(4)[[0, 1, 2, 3]], np.array([0, 1, 2, 2])
    behavior = Behavior.from_arrays("made", {"train": (x, y)}, Argmax(), output_names=list("abcd"))
    assert task_accuracy(behavior, "train", lambda batch: batch.x) == 0.75
