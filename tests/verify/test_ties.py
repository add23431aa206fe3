"""Breaking ties the other way, against the program on a language with its categories in reverse."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.runtime import Executor
from exegesis.verify.ties import may_tie, run_with_last

BP = ("batch", "position")
AXES = {a.name: a for a in (Axis("batch"), Axis("position"), Axis("key"), Axis("token", 4))}


def program(op: str, among: list[int] | None = None) -> Graph:
    tokens = Node("tokens", "input.tokens", (), Type("category", BP, "token"))
    all_ = Node("all", "symbolic.everywhere", ("tokens",), Type("selector", (*BP, "key")), {"causal": True})
    if op == "copy":
        answer = Node("answer", "symbolic.copy", ("all", "tokens"), Type("category", BP, "token"))
        return Graph((tokens, all_, answer), ("answer",), {}, AXES)
    count = Node("count", "symbolic.count", ("all", "tokens"), Type("real", (*BP, "token")))
    attrs = {} if among is None else {"among": among}
    answer = Node("answer", "symbolic.largest", ("count",), Type("category", BP, "token"), attrs)
    return Graph((tokens, all_, count, answer), ("answer",), {}, AXES)


def last_most_frequent(ids: list[int], order: list[int]) -> int:
    counts = [ids.count(c) for c in order]
    return max(zip(counts, range(len(order)), strict=True))[1]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_the_last_of_equals_wins(ids: list[int]) -> None:
    inputs = {"tokens": torch.tensor([ids])}
    for graph, order in (
        (program("copy"), [0, 1, 2, 3]),
        (program("largest"), [0, 1, 2, 3]),
        (program("largest", [2, 0, 3]), [2, 0, 3]),
    ):
        found = run_with_last(Executor(graph), inputs)[0]
        for s in range(len(ids)):
            assert int(found[s]) == order[last_most_frequent(ids[: s + 1], order)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_without_a_tie_nothing_changes(ids: list[int]) -> None:
    inputs = {"tokens": torch.tensor([ids])}
    graph = program("largest")
    executor = Executor(graph)
    own, other = executor.run(inputs)["answer"][0], run_with_last(executor, inputs)[0]
    for s in range(len(ids)):
        counts = np.bincount(ids[: s + 1], minlength=4)
        tied = (counts == counts.max()).sum() > 1
        assert (int(own[s]) != int(other[s])) == tied
    assert [n.id for n in may_tie(graph)] == ["answer"]
