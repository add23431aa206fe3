"""The command line called in this process, and small runs for it to work on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from exegesis.behavior import Sign
from exegesis.cli import main
from exegesis.emit import About, count_code_lines, emit_program
from exegesis.evidence import Claim, Figures, Measurement, Status, Verdict, VerdictRule
from exegesis.ir import Axis, Function, Graph, Node, Type, check, price
from exegesis.pipeline import Program


class Result(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def exegesis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `exegesis` with arguments."""
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["exegesis", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return Result(int(left.value.code or 0), captured.out, captured.err)

    return call


def program(at_most: int = 2) -> Program:
    """Bracket strings up to some depth, as a decompiled program."""
    kinds = {name: Axis(name) for name in ("batch", "position", "query", "key")}
    kinds["token"] = Axis("token", 4, ("a", "b", "<bos>", "<eos>"))
    every = ("batch", "position")
    tokens, counts = Type("category", every, "token"), Type("real", (*every, "token"))
    selector, allowed = Type("selector", ("batch", "query", "key")), Type("bool", (*every, "token"))
    nodes = (
        Node("tokens", "input.tokens", (), tokens),
        Node("so_far", "symbolic.everywhere", ("tokens",), selector, {"causal": True}),
        Node("seen", "symbolic.count", ("so_far", "tokens"), counts),
        Node("depth", "symbolic.form", ("seen",), Type("real", every), {"terms": [[1, 0, 0], [-1, 0, 1]], "plus": 0}),
        Node("shallow", "symbolic.compare", ("depth",), Type("bool", every), {"is": "<", "to": at_most}),
        Node("answer", "symbolic.allow", ("tokens", "shallow"), allowed, {"gives": [0], "always": []}),
    )
    functions = (Function("counts", ("so_far", "seen"), "How often each letter was seen."),)
    graph = Graph(nodes, ("answer",), axes=kinds, functions=functions)
    check(graph)
    graph = replace(graph, meta={"lifted_bits": 2 * price(graph).total_bits})
    source = emit_program(graph, about=About("brackets", "a net"), readout=Sign())
    return Program(graph, source, verdict_of(graph, source))


def verdict_of(graph: Graph, source: str, *, right: int = 1000) -> Verdict:
    """A verdict with agreement only: it says no where that is low, and cannot tell otherwise."""
    agreement = {"test": Measurement.proportion("agreement", right, 1000)}
    figures = Figures(
        agreement=agreement,
        sequences_exact=agreement,
        legible_share=1.0,
        opaque_bits=0.0,
        unread_bits=0.0,
        lifted_bits=float(graph.meta["lifted_bits"]),
        code_lines=count_code_lines(source),
        numbers_in_code=3,
        numbers_in_tensors=0,
        seconds=1.0,
        seed=0,
        versions={"python": "3.11"},
    )
    claim = Claim(
        statement="It says what the network says.", domain="test", status=Status.TESTED, evidence=(agreement["test"],)
    )
    return Verdict.of((claim,), figures, VerdictRule())


@pytest.fixture
def made() -> Callable[..., Program]:
    """Makes a decompiled program."""
    return program


@pytest.fixture
def judged() -> Callable[..., Verdict]:
    """Makes a verdict."""
    return verdict_of


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a finished run."""
    program().save(tmp_path / "run")
    return tmp_path / "run"


def write_behavior(folder: Path, rows: Sequence[object] = (), **fields: object) -> Path:
    """A behaviour over two letters, with one row unless others are given as objects or as raw lines."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"name": "brackets", "task": "", "tokens": ["a", "b", "<bos>", "<eos>"], "readout": "sign", **fields}
    (folder / "behavior.json").write_text(json.dumps(header))
    plain = rows or [{"input_ids": [2, 0, 1, 3], "scored": [0, 1, 2], "expected": [[0], [0, 1], [0, 3]]}] * 4
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in plain) + "\n"
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(text)
    return folder / "behavior.json"


@pytest.fixture
def behavior(tmp_path: Path) -> Path:
    """A behaviour that makes sense."""
    return write_behavior(tmp_path / "task")


@pytest.fixture
def writes(tmp_path: Path) -> Callable[..., Path]:
    """Writes a behaviour in a folder of its own."""
    return lambda *rows, **fields: write_behavior(tmp_path / "written", rows, **fields)


NETWORK = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.unembed = nn.Embedding(4, 8), nn.Linear(8, 4)

    def forward(self, input_ids):
        return self.unembed(torch.relu(self.embed(input_ids)))


def build():
    return Tiny()
"""


@pytest.fixture
def network(tmp_path: Path) -> str:
    """A network of four tokens, as its owner would bring it."""
    (tmp_path / "network.py").write_text(NETWORK)
    return f"{tmp_path / 'network.py'}:build"
