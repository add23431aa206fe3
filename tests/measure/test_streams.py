"""Chained sums carry an intervention on; sums of writers forget it."""

import numpy as np
import torch

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.measure.streams import chained, streams
from exegesis.runtime import Executor

STREAM = Type("real", ("batch", "pos", "d"))


def network() -> Graph:
    """Three writers; the second sum holds the first, the third holds the second."""
    rng = np.random.default_rng(0)
    tables = {k: rng.normal(size=(3, 2)).astype(np.float32) for k in "abc"}
    nodes = [Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token"))]
    nodes += [Node(k, "component.embed", ("tokens",), STREAM, tensors={"weight": k}) for k in tables]
    nodes += [Node(f"to_{k}", "component.add", tuple("abc"[: i + 2]), STREAM) for i, k in enumerate("bc")]
    axes = {"token": Axis("token", 3), "d": Axis("d", 2), "batch": Axis("batch"), "pos": Axis("pos")}
    return Graph(tuple(nodes), ("to_c",), tables, axes)


def test_chained_sums_are_equal_and_carry_on() -> None:
    graph = network()
    chain = chained(graph)
    assert chain["to_c"].inputs == ("to_b", "c")
    ids = {"tokens": torch.tensor([[0, 1, 2]])}
    plain, same = (Executor(g).run(ids)["to_c"] for g in (graph, chain))
    torch.testing.assert_close(plain, same)
    other = torch.ones(1, 3, 2)
    moved = Executor(chain).run(ids, given={"to_b": other})["to_c"]
    torch.testing.assert_close(moved, other + Executor(graph).run(ids, ["c"])["c"])
    torch.testing.assert_close(Executor(graph).run(ids, given={"to_b": other})["to_c"], plain)


def test_streams_have_places() -> None:
    assert streams(network()) == []
