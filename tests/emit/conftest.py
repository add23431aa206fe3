"""Programs written by hand at the symbolic level, the way passes would leave them."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from exegesis.behavior import Argmax, Readout, Sign
from exegesis.emit import About, emit_program
from exegesis.ir import Axis, Function, Graph, Node, Site, Type, check

LETTERS = tuple(string.ascii_lowercase)
SPECIAL = ("<bos>", "<sep>", "<eos>", "<pad>")
S = ("batch", "position")
SELECTOR = Type("selector", ("batch", "query", "key"))
BOOL = Type("bool", S)
REAL = Type("real", S)
TOKEN = Type("category", S, "token")
COUNTS = Type("real", (*S, "token"))
TOKENS = Node("tokens", "input.tokens", (), TOKEN)


def axes(labels: tuple[str, ...], **more: Axis) -> dict[str, Axis]:
    """The axes of a sequence program over these tokens."""
    plain = {n: Axis(n) for n in ("batch", "position", "query", "key")}
    return {**plain, "token": Axis("token", len(labels), labels), **more}


def graph(labels: tuple[str, ...], *nodes: Node, functions: tuple[Function, ...] = ()) -> Graph:
    """A checked graph whose last node is the answer."""
    made = Graph((TOKENS, *nodes), (nodes[-1].id,), axes=axes(labels), functions=functions)
    check(made)
    return made


def so_far(node_id: str = "so_far") -> Node:
    return Node(node_id, "symbolic.everywhere", ("tokens",), SELECTOR, {"causal": True})


def majority() -> Graph:
    return graph(
        (*LETTERS, *SPECIAL),
        so_far(),
        Node("shares", "symbolic.share", ("so_far", "tokens"), COUNTS),
        Node("answer", "symbolic.largest", ("shares",), TOKEN, {"among": list(range(26))}),
    )


def unique_copy() -> Graph:
    labels = (*map(str, range(150)), *SPECIAL)
    head = Site("h0", ("batch", "head", "position", "d_head"), "transformer.h.0.attn", "inner", (("head", 0),))
    after = Site("h1", ("batch", "head", "position", "d_head"), "transformer.h.1.attn", "inner", (("head", 0),))
    return graph(
        labels,
        Node("one_back", "symbolic.back", ("tokens",), SELECTOR, {"by": 1}),
        Node("previous", "symbolic.copy", ("one_back", "tokens"), TOKEN, name="previous token", sites=(head,)),
        Node("same", "symbolic.match", ("tokens", "previous"), SELECTOR, {"causal": True}),
        Node("follower", "symbolic.copy", ("same", "tokens"), TOKEN, sites=(after,)),
        Node("answer", "symbolic.relabel", ("follower",), TOKEN, {"table": [[151, 152]]}),
        functions=(
            Function("previous_token", ("one_back", "previous"), "The token one position back."),
            Function("what_followed", ("same", "follower"), "What followed the last time this token was here."),
        ),
    )


def dyck() -> Graph:
    """Bracket strings of depth at most two (a opens, b closes)."""
    return graph(
        ("a", "b", *SPECIAL),
        so_far(),
        Node("seen", "symbolic.count", ("so_far", "tokens"), COUNTS),
        Node("depth", "symbolic.form", ("seen",), REAL, {"terms": [[1, 0, 0], [-1, 0, 1]], "plus": 0}, name="depth"),
        Node("shallow", "symbolic.compare", ("depth",), BOOL, {"is": "<", "to": 2}),
        Node("open", "symbolic.compare", ("depth",), BOOL, {"is": ">", "to": 0}),
        Node("closed", "symbolic.not", ("open",), BOOL),
        Node(
            "answer",
            "symbolic.allow",
            ("tokens", "shallow", "open", "closed"),
            Type("bool", (*S, "token")),
            {"gives": [0, 1, 4], "always": []},
        ),
    )


def abcde() -> Graph:
    """Strings of the form a+b+c+d+e+: what may follow depends on the last token alone."""
    after = {0: [5, 0], 1: [0, 1], 2: [1, 2], 3: [2, 3], 4: [3, 4], 7: [4]}
    members = [Node(f"may_{o}", "symbolic.is_in", ("tokens",), BOOL, {"values": sorted(v)}) for o, v in after.items()]
    answer = Node(
        "answer",
        "symbolic.allow",
        ("tokens", *(m.id for m in members)),
        Type("bool", (*S, "token")),
        {"gives": list(after), "always": []},
    )
    return graph((*"abcde", *SPECIAL), *members, answer)


def bin_majority() -> Graph:
    return graph(
        ("0", "1", *SPECIAL),
        so_far(),
        Node("seen", "symbolic.count", ("so_far", "tokens"), COUNTS),
        Node("balance", "symbolic.form", ("seen",), REAL, {"terms": [[1, 0, 1], [-1.0, 0, 0]], "plus": 0}),
        Node("more", "symbolic.compare", ("balance",), BOOL, {"is": ">", "to": 0}),
        Node("answer", "symbolic.choose", ("more",), TOKEN, {"gives": [1], "other": 0}),
    )


def mixed() -> Graph:
    """A readable head, and an MLP on top that nobody could explain."""
    rng = np.random.default_rng(0)
    tensors = {
        "embed.weight": rng.normal(size=(6, 8)).astype(np.float32),
        "head.weight": rng.normal(size=(6, 8)).astype(np.float32),
        "mlp.in": rng.normal(size=(8, 16)).astype(np.float32),
        "mlp.in.bias": rng.normal(size=16).astype(np.float32),
        "mlp.out": rng.normal(size=(16, 8)).astype(np.float32),
        "unembed": rng.normal(size=(8, 6)).astype(np.float32),
    }
    stream = Type("real", (*S, "d_model"))
    hidden = Type("real", (*S, "d_mlp"))

    def dense(name: str, source: str, kind: Type, role: str, **roles: str) -> Node:
        return Node(name, "component.linear", (source,), kind, {"role": role}, roles)

    nodes = (
        so_far(),
        Node("shares", "symbolic.share", ("so_far", "tokens"), COUNTS),
        Node("embedded", "component.embed", ("tokens",), stream, tensors={"weight": "embed.weight"}),
        Node("head", "component.linear", ("shares",), stream, tensors={"weight": "head.weight"}),
        Node("mid", "component.add", ("embedded", "head"), stream),
        Node("normed", "component.norm", ("mid",), stream, {"kind": "layer", "eps": 1e-5}),
        dense("up", "normed", hidden, "mlp_in", weight="mlp.in", bias="mlp.in.bias"),
        Node("act", "component.activation", ("up",), hidden, {"kind": "gelu_tanh"}),
        dense("down", "act", stream, "mlp_out", weight="mlp.out"),
        Node("post", "component.add", ("mid", "down"), stream),
        dense("logits", "post", COUNTS, "unembed", weight="unembed"),
    )
    more = {"d_model": Axis("d_model", 8), "d_mlp": Axis("d_mlp", 16)}
    functions = (Function("mlp", ("normed", "up", "act", "down"), "An MLP that no idiom fits."),)
    made = Graph((TOKENS, *nodes), ("logits",), tensors, axes(("a", "b", *SPECIAL), **more), functions)
    check(made)
    return made


WRITTEN: Mapping[str, Callable[[], Graph]] = {
    made.__name__: made for made in (majority, unique_copy, dyck, abcde, bin_majority, mixed)
}


ABOUT = About("program", "a person", "A program for the tests.", ("Not checked against any network.",))
READOUTS: Mapping[str, Readout] = {"dyck": Sign(), "abcde": Sign(), "mixed": Argmax((0, 1))}


def source_of(name: str, made: Graph) -> str:
    """The program as it is written."""
    about = replace(ABOUT, name=name)
    return emit_program(made, about=about, readout=READOUTS.get(name, Argmax()))


def imported(source: str, tensors: Mapping[str, np.ndarray], folder: Path) -> ModuleType:
    """A program as a module, with the tensors that lie beside it."""
    save_file(dict(tensors), folder / "tensors.safetensors")
    (folder / "program.py").write_text(source)
    spec = spec_from_file_location(f"program_in_{folder.name}", folder / "program.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def imports(tmp_path: Path) -> Callable[[str, Mapping[str, np.ndarray]], ModuleType]:
    """Makes a module of a program and its tensors."""
    return lambda source, tensors: imported(source, tensors, tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Callable[..., list[object]]]:
    """Writes one of the programs below and gives its `run`."""

    def make(name: str) -> Callable[..., list[object]]:
        made = WRITTEN[name]()
        function: Callable[..., list[object]] = imported(source_of(name, made), made.tensors, tmp_path).run
        return function

    return make


@pytest.fixture(params=sorted(WRITTEN))
def written(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each of the programs below: its name and its source."""
    return request.param, source_of(request.param, WRITTEN[request.param]())


@pytest.fixture
def programs() -> Mapping[str, Callable[[], Graph]]:
    """The graphs of all programs by name."""
    return WRITTEN
