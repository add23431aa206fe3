"""Checkpoints: they come back as they were, or not at all."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from exegesis.ir import InputError
from exegesis.store import Checkpoints, Fingerprint, StepKey, digest_arrays, digest_json

RUN = Fingerprint(network="n", behavior="b", config="c", version="0.1.0", seed=0)
STEP = StepKey(3, "prune_edges")
RECORD = {"edges": [1, 2], "note": "π", "share": 0.5}
ARRAYS = {"w": np.arange(6.0).reshape(2, 3), "bias": np.array(1.5)}


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints.start(tmp_path / "run", RUN)
    checkpoints.save(STEP, RECORD, ARRAYS)
    return checkpoints


def test_a_step_comes_back_as_it_was(tmp_path: Path, kept: Checkpoints) -> None:
    again = Checkpoints.resume(tmp_path / "run", RUN).load(STEP)
    assert again is not None
    assert (again.step, again.record) == (STEP, RECORD)
    assert again.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(again.arrays[name], array)
        assert again.arrays[name].shape == array.shape


def test_steps_come_in_order(tmp_path: Path, kept: Checkpoints) -> None:
    for step in (StepKey(10, "name"), StepKey(0, "lift")):
        kept.save(step, None, {})
    assert Checkpoints.resume(tmp_path / "run", RUN).steps() == (StepKey(0, "lift"), STEP, StepKey(10, "name"))


def test_a_step_not_kept_is_none(kept: Checkpoints) -> None:
    assert kept.load(StepKey(3, "prune_heads")) is None
    assert kept.load(StepKey(4, "prune_edges")) is None


def test_the_folder_stands_beside_the_run_and_goes(tmp_path: Path, kept: Checkpoints) -> None:
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.partial"]
    kept.clear()
    kept.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_new_start_drops_the_old(tmp_path: Path, kept: Checkpoints) -> None:
    assert Checkpoints.start(tmp_path / "run", RUN).steps() == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"network": "other"}, "differs in its network;"),
        ({"seed": 1}, "differs in its seed;"),
        ({"behavior": "x", "config": "y"}, "differs in its behavior and config;"),
        ({"version": "0.2.0"}, "differs in its version;"),
    ],
)
def test_the_checkpoints_of_another_run_are_refused(
    tmp_path: Path, kept: Checkpoints, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        Checkpoints.resume(tmp_path / "run", RUN.model_copy(update=changes))
    assert kept.steps() == (STEP,)


def test_nothing_to_resume_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no interrupted run to resume"):
        Checkpoints.resume(tmp_path / "run", RUN)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not valid JSON"),
        ('{"schema": 2}', "written by another version"),
        ('{"schema": 1}', "is damaged"),
        ('{"schema": 1, "fingerprint": {"seed": "0"}}', "is damaged"),
    ],
)
def test_a_damaged_fingerprint_is_one_sentence(tmp_path: Path, kept: Checkpoints, content: str, sentence: str) -> None:
    (kept.folder / "fingerprint.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        Checkpoints.resume(tmp_path / "run", RUN)


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "swap"])
def test_planted_damage_is_found(kept: Checkpoints, kind: str, damage: str) -> None:
    path = kept.folder / f"0003-prune_edges.{kind}"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-3])
    elif damage == "flip":
        # In the arrays this is the last bit of the last number; in the JSON, a character of the stored digest.
        place = content.index(b'"arrays_sha256": "') + 20 if kind == "json" else len(content) - 1
        content[place] ^= 1
        path.write_bytes(content)
    elif damage == "swap":
        other = StepKey(4, "name")
        kept.save(other, {"edges": []}, {"w": np.zeros(2)})
        path.write_bytes((kept.folder / f"0004-name.{kind}").read_bytes())
    else:
        path.unlink()
    if (kind, damage) == ("json", "gone"):
        assert kept.load(STEP) is None
        return
    with pytest.raises(InputError, match=r"The checkpoint of step 3 \(prune_edges\) is damaged"):
        kept.load(STEP)


@pytest.mark.parametrize("planted", [{"schema": 2}, {"step": 3}])
def test_a_checkpoint_of_another_form_is_refused(kept: Checkpoints, planted: dict[str, int]) -> None:
    path = kept.folder / "0003-prune_edges.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **planted}))
    with pytest.raises(InputError, match="is damaged"):
        kept.load(STEP)


@pytest.mark.parametrize("writes", [0, 1])
def test_ctrl_c_while_saving_never_leaves_a_mixed_step(
    kept: Checkpoints, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The second save of a step is interrupted before its arrays, or between arrays and JSON."""
    done = 0
    replace = os.replace

    def interrupted(temporary: str, path: Path) -> None:
        nonlocal done
        if done == writes:
            raise KeyboardInterrupt
        done += 1
        replace(temporary, path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept.save(STEP, {"edges": []}, {"w": np.zeros(2)})
    assert kept.load(STEP) is None
    kept.save(STEP, RECORD, ARRAYS)
    assert kept.load(STEP) is not None


def test_what_is_no_checkpoint_is_not_removed(tmp_path: Path, kept: Checkpoints) -> None:
    thesis = kept.folder / "thesis.tex"
    thesis.write_text("years")
    for attempt in (kept.clear, lambda: Checkpoints.start(tmp_path / "run", RUN)):
        with pytest.raises(InputError, match=r"no checkpoint \(thesis\.tex\)"):
            attempt()
    assert thesis.read_text() == "years"


def test_a_finished_run_drops_its_checkpoints_and_nothing_else(tmp_path: Path, kept: Checkpoints) -> None:
    assert Checkpoints.are_at(tmp_path / "run")
    thesis = kept.folder / "thesis.tex"
    thesis.write_text("years")
    Checkpoints.drop(tmp_path / "run")
    assert kept.steps() == (STEP,)
    thesis.unlink()
    Checkpoints.drop(tmp_path / "run")
    assert not kept.folder.exists()
    assert not Checkpoints.are_at(tmp_path / "run")
    Checkpoints.drop(tmp_path / "run")


def test_a_place_that_cannot_hold_checkpoints_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.partial").write_text("x")
    with pytest.raises(InputError, match="is a file where a folder"):
        Checkpoints.start(tmp_path / "run", RUN)
    with pytest.raises(InputError, match="Cannot keep checkpoints"):
        Checkpoints.start(Path("/proc/nothing/here"), RUN)


@pytest.mark.parametrize("step", [StepKey(-1, "lift"), StepKey(10_000, "lift"), StepKey(0, "../lift"), StepKey(0, "")])
def test_a_step_that_names_no_file_is_refused(kept: Checkpoints, step: StepKey) -> None:
    with pytest.raises(ValueError, match="no checkpoint can be named"):
        kept.save(step, None, {})


def test_a_record_that_is_not_finite_is_refused(kept: Checkpoints) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        kept.save(StepKey(4, "name"), {"loss": float("nan")}, {})
    assert kept.load(StepKey(4, "name")) is None


def test_digests_see_values_names_and_shapes_but_no_order() -> None:
    a, b = np.arange(4.0), np.arange(4)
    assert digest_arrays({"a": a, "b": b}) == digest_arrays({"b": b, "a": a})
    different = [{"a": a}, {"b": a}, {"a": a + 1}, {"a": a.reshape(2, 2)}, {"a": a.astype(np.float32)}]
    assert len({digest_arrays(arrays) for arrays in different}) == len(different)
    assert digest_json({"a": 1, "b": [2]}) == digest_json({"b": [2], "a": 1})
    assert digest_json({"a": 1}) != digest_json({"a": 2})
