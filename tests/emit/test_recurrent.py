"""Recurrent layers as they are written: a step that is taken once per input, as ruff would have it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax
from exegesis.emit import About, emit_program
from exegesis.ir import Axis, Graph, Node, Type
from exegesis.ir.recurrent import GATES, roles
from exegesis.runtime import Executor

Imports = Callable[[str, dict[str, np.ndarray]], ModuleType]


def layers(kind: str, long: str = "", *, steps: bool = False) -> Graph:
    """Two layers in both directions over tokens, and an answer at every position."""
    rng = np.random.default_rng(3)
    stream, state = Type("real", ("batch", "pos", "=5")), Type("real", ("batch", "pos", "=4"))
    tensors: dict[str, np.ndarray] = {"embed": rng.normal(size=(6, 5)), "out": rng.normal(size=(4, 3))}
    nodes = [
        Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token")),
        Node("embedded", "component.embed", ("tokens",), stream, tensors={"weight": "embed"}),
    ]
    for k, source in enumerate(("embedded", f"layer{long}1")):
        name = f"layer{long}{k + 1}"
        held = {r: f"{name}.{r}" for r in roles(kind)}
        counted = {f"{GATES[kind][0]}_from_input": 0.125} if steps and k == 0 else {}
        for role, tensor in held.items():
            reads = (5, 4)[k] if role.endswith("_from_input") else 4
            shape = (reads, 4) if "_from_" in role else (4,)
            tensors[tensor] = rng.integers(-3, 4, shape).astype(np.int8) if role in counted else rng.normal(size=shape)
        attrs = {"kind": kind} | ({"reverse": True} if k else {}) | ({"steps": counted} if counted else {})
        nodes.append(Node(name, "component.recurrent", (source,), state, attrs, held))
    logits = Type("real", ("batch", "pos", "=3"))
    nodes.append(Node("logits", "component.linear", (f"layer{long}2",), logits, tensors={"weight": "out"}))
    axes = {"batch": Axis("batch"), "pos": Axis("pos"), "token": Axis("token", 6)}
    return Graph(tuple(nodes), ("logits",), tensors, axes)


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("kind", list(GATES))
def test_what_is_written_computes_what_torchs_layers_compute(kind: str, steps: bool, imports: Imports) -> None:
    graph = layers(kind, steps=steps)
    source = emit_program(graph, about=About("Layers."), readout=Argmax())
    assert source.count("def step") == 2
    program = imports(source, dict(graph.tensors))
    for seed in range(4):
        ids = np.random.default_rng(seed).integers(0, 6, 3 + seed)
        logits = Executor(graph, dtype=torch.float64).run({"tokens": torch.from_numpy(ids)[None]})["logits"][0]
        assert program.run(ids.tolist()) == logits.argmax(-1).tolist()


def test_a_wrong_gate_would_be_noticed(imports: Imports) -> None:
    graph = layers("gru")
    source = emit_program(graph, about=About("Layers."), readout=Argmax())
    wrong = source.replace("(1 - update) * candidate + update * state", "update * candidate + (1 - update) * state")
    assert wrong != source
    said = [imports(text, dict(graph.tensors)).run([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]) for text in (source, wrong)]
    assert said[0] != said[1]


def test_steps_are_formatted(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    for kind in GATES:
        for long in ("", "_of_a_network_with_names"):
            source = emit_program(layers(kind, long, steps=True), about=About("Layers."), readout=Argmax())
            (tmp_path / f"{kind}{long}.py").write_text(source)
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "--diff", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
