"""`exegesis show`, `verify`, `lift`, `diff`, `zoo`, and the way all of them speak."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exegesis.evidence import Verdict
from exegesis.ir import InputError, load_graph
from exegesis.pipeline import Program
from exegesis.store import RunFolder

Command = Callable[..., Any]
Made = Callable[..., Program]
Judged = Callable[..., Verdict]

COMMANDS = ("decompile", "show", "verify", "lift", "compress", "diff", "zoo")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(exegesis: Command, command: str) -> None:
    result = exegesis(command, "--help")
    assert result.code == 0
    assert f"exegesis {command}" in result.out.partition("Usage:")[2].partition("\n")[2]


def test_help_lists_every_command(exegesis: Command) -> None:
    out = exegesis("--help").out
    assert all(command in out for command in COMMANDS)
    assert exegesis().out.strip() == out.strip()


def test_a_mistyped_command_line_exits_with_2(exegesis: Command) -> None:
    for arguments in (("decompile", "n"), ("nonsense",), ("show",), ("show", "run", "--nonsense")):
        result = exegesis(*arguments)
        assert result.code == 2
        assert result.err
        assert not result.out


def test_python_m(repository: Path) -> None:
    result = subprocess.run([sys.executable, "-m", "exegesis", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("exegesis ")


def test_show_prints_program_modules_and_figures(exegesis: Command, saved: Path) -> None:
    result = exegesis("show", saved)
    assert result.code == 0
    source = (saved / "program.py").read_text()
    assert result.out.startswith(source)
    assert "How often each letter was seen." in result.out[len(source) :]
    assert "agreement, test" in result.out
    assert "not decided" in result.out


def test_show_as_json(exegesis: Command, saved: Path) -> None:
    record = json.loads(exegesis("show", saved, "--json").out)
    assert record["program"] == (saved / "program.py").read_text()
    assert [m["name"] for m in record["modules"]] == ["counts", "run"]
    assert record["verdict"] == json.loads((saved / "verdict.json").read_text())


@pytest.mark.parametrize("arguments", [("show",), ("diff", "{run}")])
def test_looking_at_a_run_does_not_load_torch(arguments: tuple[str, ...], saved: Path) -> None:
    plain = [a.format(run=saved) for a in arguments]
    code = (
        "import sys; from exegesis.cli import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    print(left.code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *plain, str(saved)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 False"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "program.json").unlink(), "program.json missing"),
        (lambda run: (run / "program.json").write_text("{"), "not valid JSON"),
        (lambda run: (run / "program.json").write_text('{"schema": 99}'), "program.json"),
        (lambda run: (run / "verdict.json").write_text('{"schema": 99}'), "schema version 99"),
        (lambda run: (run / "program.py").write_text("def"), "is not Python"),
    ],
    ids=["missing", "not json", "other schema", "other verdict", "not python"],
)
def test_a_damaged_run_is_one_sentence(
    damage: Callable[[Path], object], said: str, exegesis: Command, saved: Path
) -> None:
    damage(saved)
    result = exegesis("show", saved)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert said in result.err
    assert result.out == ""


def test_diff_tells_programs_apart(exegesis: Command, saved: Path, made: Made, tmp_path: Path) -> None:
    same = exegesis("diff", saved, saved)
    assert (same.code, same.out) == (0, "no difference\n")
    made(at_most=3).save(tmp_path / "other")
    other = exegesis("diff", saved, tmp_path / "other")
    assert other.code == 1
    assert "shallow" in other.out
    assert exegesis("diff", saved, tmp_path / "nowhere").code == 2


@pytest.mark.parametrize(("right", "code"), [(1000, 2), (500, 1)])
def test_verify_exits_as_it_judges(
    right: int,
    code: int,
    exegesis: Command,
    saved: Path,
    behavior: Path,
    network: str,
    judged: Judged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}

    def judge(run: RunFolder, loaded: Any, signal: Any, **kwargs: Any) -> Verdict:
        asked.update(run=run, network=loaded, behavior=signal, **kwargs)
        return judged(load_graph(run.path), run.source(), right=right)

    monkeypatch.setattr("exegesis.verify.verify", judge)
    options = ("--network", network, "--behavior", behavior, "--budget", "7s", "--seed", "3", "--save", "--json")
    before = json.loads((saved / "verdict.json").read_text())
    result = exegesis("verify", saved, *options)
    assert result.code == code
    assert json.loads(result.out)["holds"] is {1: False, 2: None}[code]
    assert (asked["run"].path, asked["budget"], asked["seed"], asked["decompile"]) == (saved, "7s", 3, None)
    assert type(asked["network"].module).__name__ == "Tiny"
    after = json.loads((saved / "verdict.json").read_text())
    assert after["holds"] is {1: False, 2: None}[code]
    assert after["figures"]["agreement"]["test"]["value"] == right / 1000
    assert before["schema"] == after["schema"]


def test_verify_judges_by_the_network_it_is_given(exegesis: Command, saved: Path, behavior: Path, network: str) -> None:
    """An untrained network does not know brackets, and the verdict says so."""
    result = exegesis("verify", saved, "--network", network, "--behavior", behavior, "--budget", "5s")
    assert result.code == 1
    assert "agreement, test" in result.out


def test_verify_decompiles_again_where_stability_is_asked_for(
    exegesis: Command, saved: Path, behavior: Path, network: str, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def again(network: Any, behavior: Any, *, seed: int) -> Program:
        seeds.append(seed)
        raise InputError("it was asked for")

    monkeypatch.setattr("exegesis.pipeline.decompile", again)
    monkeypatch.setattr("exegesis.verify.verify", lambda *args, decompile, **kwargs: decompile(4))
    result = exegesis("verify", saved, "--network", network, "--behavior", behavior, "--stability")
    assert (result.code, seeds) == (2, [4])
    assert "it was asked for" in result.err


def test_lift_prints_its_certificate(exegesis: Command, behavior: Path, network: str) -> None:
    result = exegesis("lift", network, "--behavior", behavior, "--listing")
    assert result.code == 0, result
    assert "component.embed" in result.out
    assert "float64" in result.out
    assert "recognised" in result.out


def test_the_zoo_has_a_card_for_each_network(exegesis: Command) -> None:
    from exegesis.zoo import names

    out = exegesis("zoo").out
    assert all(f"zoo:{name}" in out for name in names())
    assert [card["name"] for card in json.loads(exegesis("zoo", "--json").out)] == list(names())
