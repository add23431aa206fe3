"""The pipeline from a network to a saved run: what it writes, and that one seed gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exegesis.behavior import Argmax, Behavior
from exegesis.evidence import Verdict, findings
from exegesis.ir import InputError
from exegesis.pipeline import decompile, load_program

Shown = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def behavior_file(behavior: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return behavior.save(tmp_path_factory.mktemp("behavior"))


def test_processes_that_order_sets_differently_write_the_same_bytes(tmp_path: Path, shown: Shown) -> None:
    """Two layers, seven writers and many readers: wherever a set of names is walked through, the order would show."""
    running = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "exegesis", "decompile", "zoo:copy", "--out", tmp_path / seed, "--quiet"]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    one, two = shown(tmp_path / "1"), shown(tmp_path / "2")
    assert set(one) == {"program.py", "program.json", "tensors.safetensors", "verdict.json", "report.html"}
    assert one == two


def test_timings_are_all_that_differs_between_two_verdicts(
    network: Path, behavior_file: Path, tmp_path: Path, shown: Shown
) -> None:
    programs = [decompile(f"{network}:build", behavior_file, seed=3) for _ in range(2)]
    for name, program in zip("ab", programs, strict=True):
        program.save(tmp_path / name)
    assert shown(tmp_path / "a") == shown(tmp_path / "b")
    plain = [json.loads((tmp_path / name / "verdict.json").read_text())["figures"] for name in "ab"]
    assert all(figures["seconds"] > 0 and figures["peak_memory_mb"] > 0 for figures in plain)


def test_what_is_saved_is_what_was_returned(network: Path, behavior: Behavior, tmp_path: Path, shown: Shown) -> None:
    program = decompile(f"{network}:build", behavior)
    program.save(tmp_path / "run")
    opened = load_program(tmp_path / "run")
    assert opened.source == program.source
    assert opened.verdict == program.verdict
    for row in behavior.sequences("test").rows[:20]:
        said = [opened.run(row.input_ids)[t] for t in row.scored]
        assert said == [program.run(row.input_ids)[t] for t in row.scored] == row.expected


def test_the_verdict_measures_the_text_against_the_module(network: Path, behavior: Behavior) -> None:
    """An independent count: the module is asked row by row, the emitted text too."""
    import torch

    from exegesis.runtime import load

    program = decompile(f"{network}:build", behavior)
    module = load(f"{network}:build").module
    same = total = whole = 0
    rows = behavior.sequences("test").rows
    for row in rows:
        with torch.no_grad():
            says = module(torch.tensor([row.input_ids]))[0].argmax(-1).tolist()
        text = program.run(row.input_ids)
        hits = [text[t] == says[t] for t in row.scored]
        same, total, whole = same + sum(hits), total + len(hits), whole + all(hits)
    figures = program.verdict.figures
    assert (figures.agreement["test"].value, figures.agreement["test"].n) == (same / total, total)
    assert figures.sequences_exact["test"].value == whole / len(rows)
    assert same == total


def test_the_seed_is_written_down(network: Path, behavior: Behavior) -> None:
    verdict: Verdict = decompile(f"{network}:build", behavior, seed=5).verdict
    assert verdict.figures.seed == 5
    assert {"python", "torch", "numpy"} <= set(verdict.figures.versions)


def test_a_network_that_does_nothing_is_not_held_to_be_explained(network: Path, behavior: Behavior) -> None:
    """It always answers a: the program says so, every word of it legible, and has explained nothing."""
    program = decompile(f"{network}:build_constant", behavior)
    figures = program.verdict.figures
    assert figures.agreement["test"].value == 1.0
    assert figures.legible_share > 0.9
    assert figures.answer_bits == 0.0
    judged = program.verify(f"{network}:build_constant", behavior, budget="5s")
    assert judged.holds is None
    told = [f.sentence for f in findings(judged.claims, judged.figures, judged.rule) if f.met is None]
    assert any("no more often than by chance" in sentence for sentence in told)
    sound = decompile(f"{network}:build", behavior).verdict
    assert (sound.figures.answer_bits or 0.0) > 0.5
    assert not any("chance" in f.sentence for f in findings(sound.claims, sound.figures, sound.rule))


def test_what_does_not_fit_is_one_sentence(network: Path, behavior: Behavior) -> None:
    rows = [{"input_ids": [3, 0], "scored": [1], "expected": [0]}]
    beyond = Behavior.from_sequences("other", ["a", "b", "bos", "c"], {"train": rows, "test": rows}, Argmax())
    with pytest.raises(InputError, match="token id 3"):
        decompile(f"{network}:build", beyond)


def test_a_program_that_keeps_tensors_runs_as_it_is_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads its tensors when it first needs them, which may be long after it was made."""
    import gc
    import tempfile

    import torch
    from torch import nn

    from exegesis.runtime import Network

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)).eval()
    x = torch.randn(300, 6)
    behavior = Behavior.from_arrays(
        "small", {"train": (x.numpy(), None), "test": (x.numpy(), None)}, Argmax(), output_names=["a", "b", "c"]
    )
    program = decompile(Network(module, "small"), behavior)
    assert "TENSORS" in program.source
    said = [program.run(row) for row in x[:40].numpy()]
    assert sum(int(a) == int(b) for a, b in zip(said, module(x[:40]).argmax(-1).tolist(), strict=True)) >= 38
    assert list(tmp_path.glob("exegesis-*"))
    del program
    gc.collect()
    assert not list(tmp_path.glob("exegesis-*"))
