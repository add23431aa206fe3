"""Programs over angles and motions: what is written says what the graph computes."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax
from exegesis.emit import About, emit_program
from exegesis.ir import Axis, Graph, Node, Type, check
from exegesis.runtime import Executor

Imports = Callable[[str, Mapping[str, np.ndarray]], ModuleType]
S = ("batch", "position")
SELECTOR = Type("selector", ("batch", "query", "key"))
N = 7


def wide(size: int) -> Type:
    return Type("real", (*S, f"={size}"))


def program(order: int, *nodes: Node) -> Graph:
    """Tokens, selectors of the first two, these nodes, and the class with the most votes."""
    axes = {a.name: a for a in (*map(Axis, (*S, "query", "key")), Axis("token", order), Axis("element", order))}
    token = Type("category", S, "token")
    common = (
        Node("tokens", "input.tokens", (), token),
        Node("a", "symbolic.at", ("tokens",), SELECTOR, {"index": 0, "causal": False}),
        Node("b", "symbolic.at", ("tokens",), SELECTOR, {"index": 1, "causal": False}),
    )
    fits = nodes[-1].id
    answer = Node("answer", "symbolic.largest", (fits,), Type("category", S, "element"))
    graph = Graph((*common, *nodes, answer), ("answer",), {}, axes)
    check(graph)
    return graph


def clock() -> Graph:
    return program(
        N,
        Node("waves", "symbolic.wave", ("tokens",), wide(4), {"frequencies": [1, 3], "period": N}),
        Node("first", "symbolic.total", ("a", "waves"), wide(4)),
        Node("second", "symbolic.total", ("b", "waves"), wide(4)),
        Node("angles", "symbolic.add_angles", ("first", "second"), wide(4)),
        Node(
            "fits",
            "symbolic.votes",
            ("angles",),
            Type("real", (*S, "element")),
            {"weights": [[1, 2], [3, 0.5]], "period": N},
        ),
    )


def pizza(**less: Any) -> Graph:
    frequencies = [1, 3, 2, 6] if less else [1, 3]
    size = 2 * len(frequencies)
    return program(
        N,
        Node("waves", "symbolic.wave", ("tokens",), wide(size), {"frequencies": frequencies, "period": N}),
        Node("both", "symbolic.either", ("a", "b"), SELECTOR),
        Node("added", "symbolic.total", ("both", "waves"), wide(size)),
        Node("angles", "symbolic.double_angles", ("added",), wide(4), less),
        Node(
            "fits",
            "symbolic.votes",
            ("angles",),
            Type("real", (*S, "element")),
            {"weights": [[1, 2], [3, 1]], "period": N},
        ),
    )


def polygon(**kept: Any) -> Graph:
    return program(
        2 * N,
        Node("motions", "symbolic.motion", ("tokens",), wide(8), {"frequencies": [0, 2], "period": N}),
        Node("first", "symbolic.total", ("a", "motions"), wide(8)),
        Node("second", "symbolic.total", ("b", "motions"), wide(8)),
        Node("product", "symbolic.compose", ("first", "second"), wide(8), kept),
        Node(
            "fits",
            "symbolic.motion_votes",
            ("product",),
            Type("real", (*S, "element")),
            {"weights": [[0, 1], [2, 3]], "period": N},
        ),
    )


PROGRAMS = {
    "clock": (clock(), "{1: 2, 3: 0.5}, 7)"),
    "pizza": (pizza(), "double_angles(gathered), {1: 2, 3: 1}, 7)"),
    "companions": (pizza(less=0.4), "double_angles(gathered, less=0.4)"),
    "polygon": (polygon(), "compose(total(at(tokens, 0), motions), total(at(tokens, 1), motions))"),
    "directions": (polygon(between=[None, 30], left=[90, None]), "left=(90, None), between=(None, 30)"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_written_programs_say_what_their_graphs_compute(name: str, imports: Imports) -> None:
    graph, contains = PROGRAMS[name]
    source = emit_program(graph, about=About("A program."), readout=Argmax())
    assert contains in " ".join(source.split())
    run = imports(source, {}).run
    order = graph.axes["token"].size
    assert order is not None
    for a in range(order):
        ids = [[a, b, b] for b in range(order)]
        meant = Executor(graph, dtype=torch.float64).run({"tokens": torch.tensor(ids)})["answer"]
        assert [run(i) for i in ids] == meant.tolist()
