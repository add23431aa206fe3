"""Programs with exported operators that nobody recognised run on numpy too."""

from collections.abc import Callable, Mapping
from types import ModuleType

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Sign
from exegesis.emit import About, emit_program
from exegesis.ir import Axis, Graph, GraphError, Node, Type, check
from exegesis.runtime import Executor

Imports = Callable[[str, Mapping[str, np.ndarray]], ModuleType]

S = ("batch", "position")
STREAM, LOGITS = Type("real", (*S, "d_model")), Type("real", (*S, "token"))
NODE = {"node": 0}
DEVICE = {"device": {"device": "cpu"}}


def graph(*nodes: Node) -> Graph:
    """Embeddings, then the nodes, then logits of what the last of them gives."""
    rng = np.random.default_rng(0)
    tensors = {"embed": rng.normal(size=(5, 4)), "out": rng.normal(size=(4, 5)), "shift": rng.normal(size=(1, 1, 4))}
    first = (
        Node("tokens", "input.tokens", (), Type("category", S, "token")),
        Node("embedded", "component.embed", ("tokens",), STREAM, tensors={"weight": "embed"}),
    )
    last = Node("logits", "component.linear", (nodes[-1].id,), LOGITS, tensors={"weight": "out"})
    axes = {n: Axis(n) for n in S} | {"d_model": Axis("d_model", 4), "token": Axis("token", 5)}
    made = Graph((*first, *nodes, last), ("logits",), tensors, axes)
    check(made)
    return made


def aten(name: str, op: str, *inputs: str, kind: Type = STREAM, args: object = None, **kwargs: object) -> Node:
    attrs = {"args": args, "kwargs": kwargs} if args is not None else {}
    return Node(name, f"tensor.{op}", inputs, kind, attrs)


ROWS = aten("rows", "aten.sym_size.int", "embedded", kind=Type("symint"), args=[NODE, 1])
CASES = {
    "elementwise": (aten("wave", "aten.sin.default", "embedded", args=[NODE]),),
    "along positions": (
        aten("sums", "aten.cumsum.default", "embedded", args=[NODE, 1]),
        aten("half", "aten.mul.Tensor", "sums", args=[NODE, 0.5]),
    ),
    "constants": (
        Node("shift", "tensor.constant", (), Type("real", ("=1", "=1", "d_model")), tensors={"value": "shift"}),
        aten("moved", "aten.add.Tensor", "embedded", "shift", args=[NODE, {"node": 1}], alpha=2),
    ),
    "sizes": (
        ROWS,
        aten("twice", "builtin.mul", "rows", kind=Type("symint"), args=[NODE, 2]),
        aten("flat", "aten.view.default", "embedded", "twice", args=[NODE, [-1, {"node": 1}, 2]], kind=STREAM),
        aten("back", "aten.view.default", "flat", "rows", args=[NODE, [-1, {"node": 1}, 4]]),
    ),
    "several results": (
        aten("best", "aten.max.dim", "embedded", args=[NODE, 2, True], kind=Type("tuple")),
        aten("most", "builtin.getitem", "best", args=[NODE, 0], kind=Type("real", (*S, "=1"))),
        aten("less", "aten.sub.Tensor", "embedded", "most", args=[NODE, {"node": 1}]),
    ),
    "odd arguments": (
        aten(
            "cast",
            "aten._to_copy.default",
            "embedded",
            args=[NODE],
            dtype={"dtype": "float64"},
            device={"device": "cpu"},
        ),
        aten("high", "aten.clamp.default", "cast", args=[NODE, {"float": "-inf"}, 0.5]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_exported_operators(case: str, imports: Imports) -> None:
    made = graph(*CASES[case])
    run = imports(emit_program(made, about=About("a program"), readout=Sign()), made.tensors).run
    ids = [0, 3, 3, 1, 4]
    logits = Executor(made).run({"tokens": torch.tensor([ids])})["logits"][0]
    assert run(ids) == [row.nonzero()[:, 0].tolist() for row in logits > 0]


def test_an_exported_operator_may_give_the_answer(imports: Imports) -> None:
    made = graph(CASES["elementwise"][0])
    twice = aten("twice", "aten.mul.Tensor", "logits", kind=LOGITS, args=[NODE, 2])
    made = made.with_nodes([*made.nodes, twice], outputs=("twice",))
    run = imports(emit_program(made, about=About("a program"), readout=Argmax()), made.tensors).run
    logits = Executor(made).run({"tokens": torch.tensor([[2, 0, 1]])})["twice"][0]
    assert run([2, 0, 1]) == logits.argmax(-1).tolist()


@pytest.mark.parametrize("op", ["aten.fft_fft.default", "builtin.pow"])
def test_what_numpy_cannot_run_is_refused(op: str) -> None:
    with pytest.raises(GraphError, match=f"'odd' is still the exported operator {op}"):
        emit_program(graph(aten("odd", op, "embedded")), about=About("a program"), readout=Argmax())
