"""Run folders: whole or absent, never in the place of something else, and read with care."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exegesis.evidence import Verdict
from exegesis.ir import InputError
from exegesis.store import RunDraft, RunFolder

SOURCE = "def run(input_ids, position_ids=None):\n    return list(input_ids)\n"


@pytest.fixture
def write(verdict: Verdict) -> Callable[..., RunDraft]:
    """Begins a run and writes every file of it."""

    def begin(out: Path, *, force: bool = False, source: str = SOURCE) -> RunDraft:
        draft = RunFolder.create(out, force=force)
        draft.write_text("program.py", source)
        draft.write_text("program.json", '{"schema": 1}')
        draft.write_tensors({"w": np.arange(3.0)})
        draft.write_text("verdict.json", verdict.to_json())
        draft.write_text("report.html", "<!doctype html>")
        return draft

    return begin


Write = Callable[..., RunDraft]


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_committed_run_opens(tmp_path: Path, write: Write, verdict: Verdict) -> None:
    with write(tmp_path / "runs" / "one") as draft:
        assert not (tmp_path / "runs" / "one").exists()
        made = draft.commit()
    run = RunFolder.open(tmp_path / "runs" / "one")
    assert run.path == made.path.resolve()
    assert run.source() == SOURCE
    assert run.graph_record() == {"schema": 1}
    assert run.verdict() == verdict
    assert run.report() == "<!doctype html>"
    np.testing.assert_array_equal(run.tensors()["w"], np.arange(3.0))
    assert names_in(tmp_path / "runs") == ["one"]


def test_a_run_is_as_readable_as_any_folder(tmp_path: Path, write: Write) -> None:
    (tmp_path / "plain").mkdir()
    with write(tmp_path / "one") as draft:
        draft.commit()
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_run_without_opaque_parts_needs_no_tensors(tmp_path: Path, verdict: Verdict) -> None:
    with RunFolder.create(tmp_path / "one") as draft:
        draft.write_text("program.py", SOURCE)
        draft.write_text("program.json", "{}")
        draft.write_text("verdict.json", verdict.to_json())
        run = draft.commit()
    assert run.tensors() == {}
    assert not run.has("report.html")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, write: Write, error: type[BaseException]) -> None:
    with pytest.raises(error), write(tmp_path / "one"):
        raise error
    assert names_in(tmp_path) == []


def test_a_run_is_not_replaced_unasked(tmp_path: Path, write: Write) -> None:
    with write(tmp_path / "one") as draft:
        draft.commit()
    with pytest.raises(InputError, match=r"is not empty; .*--force"):
        RunFolder.create(tmp_path / "one")
    assert names_in(tmp_path) == ["one"]


def test_an_empty_folder_is_taken(tmp_path: Path, write: Write) -> None:
    (tmp_path / "one").mkdir()
    with write(tmp_path / "one") as draft:
        draft.commit()
    assert RunFolder.open(tmp_path / "one").source() == SOURCE


def test_force_replaces_a_run_and_what_running_it_left(tmp_path: Path, write: Write) -> None:
    with write(tmp_path / "one") as draft:
        draft.commit()
    (tmp_path / "one" / "__pycache__").mkdir()
    with write(tmp_path / "one", force=True, source="x = 1\n") as draft:
        assert RunFolder.open(tmp_path / "one").source() == SOURCE
        draft.commit()
    assert RunFolder.open(tmp_path / "one").source() == "x = 1\n"
    assert names_in(tmp_path) == ["one"]
    assert "__pycache__" not in names_in(tmp_path / "one")


def test_force_does_not_replace_what_is_no_run(tmp_path: Path) -> None:
    thesis = tmp_path / "one" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years")
    with pytest.raises(InputError, match=r"not part of a run \(thesis\.tex\)"):
        RunFolder.create(tmp_path / "one", force=True)
    assert thesis.read_text() == "years"


def test_what_came_into_the_way_meanwhile_stays(tmp_path: Path, write: Write) -> None:
    with write(tmp_path / "one") as draft:
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "thesis.tex").write_text("years")
        with pytest.raises(InputError, match="is not empty"):
            draft.commit()
    assert names_in(tmp_path) == ["one"]
    assert names_in(tmp_path / "one") == ["thesis.tex"]


def test_the_old_run_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    with write(tmp_path / "one") as draft:
        draft.commit()
    rename = os.rename

    with write(tmp_path / "one", force=True, source="x = 1\n") as draft:

        def refuse_the_new(source: Path, target: Path) -> None:
            if Path(source) == draft.work:
                raise OSError(5, "Input/output error")
            rename(source, target)

        monkeypatch.setattr(os, "rename", refuse_the_new)
        with pytest.raises(InputError, match="Input/output error"):
            draft.commit()
    assert RunFolder.open(tmp_path / "one").source() == SOURCE
    assert names_in(tmp_path) == ["one"]


def test_a_link_to_a_folder_keeps_pointing_there(tmp_path: Path, write: Write) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with write(tmp_path / "link") as draft:
        draft.commit()
    assert (tmp_path / "link").is_symlink()
    assert RunFolder.open(tmp_path / "real").source() == SOURCE


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    with pytest.raises(InputError, match="is a file; a run needs a folder"):
        RunFolder.create(tmp_path / "one", force=True)
    with pytest.raises(InputError, match=r"^Cannot write a run to .*two: .*\.$"):
        RunFolder.create(tmp_path / "one" / "two")


def test_an_unwritable_place_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"^Cannot write a run to /proc/"):
        RunFolder.create(Path("/proc/nothing/can/be/written/here"))


def test_only_the_files_of_a_run_are_written(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "one") as draft, pytest.raises(ValueError, match=r"no file named '\.\./x'"):
        draft.write_text("../x", "")
    with pytest.raises(ValueError, match="closed"):
        draft.write_text("program.py", "")


def test_a_half_written_run_is_not_committed(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "one") as draft:
        draft.write_text("program.py", SOURCE)
        with pytest.raises(InputError, match=r"program\.json and verdict\.json missing"):
            draft.commit()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("program.py", b"def run(:\n", "is not Python"),
        ("program.py", b"x = 1\x00", "is not Python"),
        ("program.py", b"\xff", "is not text in UTF-8"),
        ("program.json", b"{", "is not valid JSON"),
        ("program.json", b"[]", "does not hold a JSON object"),
        ("tensors.safetensors", b"\x00" * 9, "is not a whole safetensors file"),
        ("verdict.json", b"{}", "has no schema version"),
        ("verdict.json", b"", "is not valid JSON"),
    ],
)
def test_planted_damage_is_one_sentence(tmp_path: Path, write: Write, name: str, content: bytes, sentence: str) -> None:
    with write(tmp_path / "one") as draft:
        draft.commit()
    (tmp_path / "one" / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as refusal:
        RunFolder.open(tmp_path / "one")
    assert str(tmp_path / "one" / name) in str(refusal.value)


def test_what_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is there"):
        RunFolder.open(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is not a folder\.$"):
        RunFolder.open(tmp_path / "file")
    with pytest.raises(InputError, match=r"program\.py and program\.json and verdict\.json missing"):
        RunFolder.open(tmp_path)
