"""Answers over splits: the same however they are batched, in the order of the split, in the readout's form."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, Readout, Sign, Value
from exegesis.ir import Axis, Graph, GraphError, InputError, Node, Type
from exegesis.runtime import Executor, Network, answers, batch_inputs, load, outputs

VOCABULARY = ("a", "b", "c")
BP = ("batch", "position")
AXES = {a.name: a for a in (*map(Axis, (*BP, "query", "key")), Axis("token", 3))}


class Counter(nn.Module):
    """How often each token was seen so far, minus one half and a hundredth of the position."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3)[:, :width])

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1]).expand(input_ids.shape)
        seen = nn.functional.one_hot(input_ids, 3).cumsum(1).float()
        return seen @ self.weight - 0.5 - position_ids[..., None] / 100


def behavior(readout: Readout, positions: bool = False, rows: int = 9) -> Behavior:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(rows):
        ids = rng.integers(0, 3, rng.integers(1, 6)).tolist()
        row: dict[str, Any] = {
            "input_ids": ids,
            "scored": sorted(rng.choice(len(ids), 1 + len(ids) // 2, replace=False).tolist()),
        }
        made.append(row | ({"position_ids": [p + 7 for p in range(len(ids))]} if positions else {}))
    return Behavior.from_sequences("counting", VOCABULARY, {"test": made}, readout)


def one_by_one(network: Network, made: Behavior) -> np.ndarray:
    """The network's outputs at scored positions, each row on its own, in the order of the split."""
    found = []
    for row in made.sequences("test"):
        positions = None if row.position_ids is None else torch.tensor([row.position_ids])
        logits = network.logits(torch.tensor([row.input_ids]), positions)[0]
        found.append(logits[row.scored])
    return torch.cat(found).numpy()


@pytest.mark.parametrize("max_tokens", [1, 7, 10_000])
@pytest.mark.parametrize("positions", [True, False])
def test_a_network_answers_in_the_order_of_the_split(max_tokens: int, positions: bool) -> None:
    network = load(Counter())
    for readout, expected in (
        (Argmax(), lambda x: x.argmax(1)),
        (Argmax((2, 0)), lambda x: np.array([2, 0])[x[:, [2, 0]].argmax(1)]),
        (Sign(), lambda x: x > 0),
    ):
        made = behavior(readout, positions)
        found = answers(network, made.split("test"), readout, max_tokens=max_tokens)
        np.testing.assert_array_equal(found, expected(one_by_one(network, made)))


def test_values_of_a_single_output() -> None:
    network = load(Counter(width=1))
    made = behavior(Value(0.1))
    found = answers(network, made.split("test"), made.readout)
    np.testing.assert_allclose(found, one_by_one(network, made)[:, 0])


def test_positions_that_a_network_does_not_take() -> None:
    class Plain(Counter):
        def forward(self, input_ids: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(input_ids)

    network = load(Plain())
    with pytest.raises(InputError, match="position_ids that do not count from 0, but Plain takes none"):
        answers(network, behavior(Argmax(), positions=True).split("test"), Argmax())
    rows = [{"input_ids": [0, 1], "position_ids": [0, 1], "scored": [1]}]
    counted = Behavior.from_sequences("counted", VOCABULARY, {"test": rows}, Argmax())
    assert answers(network, counted.split("test"), Argmax()).tolist() == [0]


def test_an_empty_split_has_no_answers() -> None:
    split = behavior(Argmax()).sequences("test").select(np.array([], dtype=np.int64))
    with pytest.raises(GraphError, match="Split test is empty"):
        answers(load(Counter()), split, Argmax())


# Programs

TOKENS = Node("tokens", "input.tokens", (), Type("category", BP, "token"))
SEEN = Node("seen", "symbolic.everywhere", ("tokens",), Type("selector", ("batch", "query", "key")), {"causal": True})
COUNT = Node("count", "symbolic.count", ("seen", "tokens"), Type("real", (*BP, "token")))


def program(*nodes: Node) -> Executor:
    return Executor(Graph((TOKENS, SEEN, COUNT, *nodes), (nodes[-1].id if nodes else "count",), axes=AXES))


MOST = Node("most", "symbolic.largest", ("count",), Type("category", BP, "token"))
HAS_A = Node("has_a", "symbolic.is_in", ("tokens",), Type("bool", BP), {"values": [0]})
SETS = Node("sets", "symbolic.allow", ("tokens", "has_a"), Type("bool", (*BP, "token")), {"gives": [1], "always": [2]})
FORM = Node("value", "symbolic.form", ("count",), Type("real", BP), {"terms": [[2, 0, 1]], "plus": 1})


def counts(made: Behavior) -> list[np.ndarray]:
    """How often each token was seen at every scored position, counted in Python."""
    return [
        np.array([row.input_ids[: s + 1].count(t) for t in range(3)])
        for row in made.sequences("test")
        for s in row.scored
    ]


def test_programs_that_give_logits_are_read_like_networks() -> None:
    made = behavior(Argmax())
    expected = [int(c.argmax()) for c in counts(made)]
    assert answers(program(), made.split("test"), made.readout).tolist() == expected
    signs = answers(program(), made.split("test"), Sign())
    np.testing.assert_array_equal(signs, np.array(counts(made)) > 0)


def test_programs_may_answer_themselves() -> None:
    made = behavior(Argmax())
    split = made.split("test")
    assert answers(program(MOST), split, Argmax(), max_tokens=4).tolist() == [int(c.argmax()) for c in counts(made)]
    assert answers(program(FORM), split, Value(0.0)).tolist() == [2 * c[1] + 1 for c in counts(made)]
    last = [row.input_ids[s] for row in made.sequences("test") for s in row.scored]
    sets = answers(program(HAS_A, SETS), split, Sign())
    assert sets.tolist() == [[False, t == 0, True] for t in last]


def test_positions_are_an_input_of_programs() -> None:
    source = Node("positions", "input.positions", (), Type("int", BP))
    made = Executor(Graph((source,), ("positions",), axes=AXES))
    for positions, first in ((True, 7), (False, 0)):
        (batch, *_) = behavior(Argmax(), positions).sequences("test").batches()
        assert batch_inputs(made, batch)["positions"][0, 0] == first
        assert outputs(made, batch)[0, 0] == first


@pytest.mark.parametrize(
    ("executor", "readout"), [(program(MOST), Sign()), (program(HAS_A, SETS), Argmax()), (program(MOST), Value(1.0))]
)
def test_answers_of_another_kind_than_the_readout_are_refused(executor: Executor, readout: Readout) -> None:
    with pytest.raises(GraphError, match="which a readout by"):
        answers(executor, behavior(readout).split("test"), readout)


# Arrays


def rows() -> Behavior:
    x = np.random.default_rng(0).normal(size=(20, 2, 3)).astype(np.float32)
    return Behavior.from_arrays("rows", {"test": (x, None)}, Argmax())


@pytest.mark.parametrize("max_tokens", [1, 1000])
def test_networks_over_arrays(max_tokens: int) -> None:
    network = load(nn.Sequential(nn.Flatten(), nn.Linear(6, 4)))
    made = rows()
    x = torch.from_numpy(made.arrays("test").x)
    expected = network.module(x).argmax(1).tolist()
    assert answers(network, made.split("test"), made.readout, max_tokens=max_tokens).tolist() == expected


def test_programs_over_arrays() -> None:
    source = Node("x", "input.array", (), Type("real", ("batch", "=2", "=3")))
    flat = Node("flat", "component.flatten", ("x",), Type("real", ("batch", "=6")))
    most = Node("most", "symbolic.largest", ("flat",), Type("category", ("batch",), "=6"))
    made = Executor(Graph((source, flat, most), ("most",), axes=AXES))
    expected = rows().arrays("test").x.reshape(20, 6).argmax(1)
    assert answers(made, rows().split("test"), Argmax()).tolist() == expected.tolist()


def test_inputs_of_the_wrong_sort_are_refused() -> None:
    with pytest.raises(GraphError, match=r"'tokens' is input\.tokens, but the behaviour gives arrays"):
        answers(program(MOST), rows().split("test"), Argmax())
    source = Node("x", "input.array", (), Type("real", ("batch",)))
    with pytest.raises(GraphError, match=r"'x' is input\.array, but the behaviour gives sequences of tokens"):
        answers(Executor(Graph((source,), ("x",), axes=AXES)), behavior(Argmax()).split("test"), Argmax())


# Networks of others


@pytest.mark.parametrize("name", ["drasp/majority", "drasp/D2", "algorithmic/brackets", "tracr/frac_prevs"])
def test_trained_networks_do_their_task(models: Any, name: str) -> None:
    """The networks of the benchmark were trained to be right; batching and position ids must not make them wrong."""
    folder = models / name
    made = Behavior.load(folder)
    network = load(folder if name.startswith("drasp") else f"{folder}/network.py:build")
    split = made.sequences("test")
    found = answers(network, split, made.readout)
    expected = split.expected if isinstance(split.expected, np.ndarray) else split.expected.dense(np.arange(len(found)))  # type: ignore[union-attr]
    assert made.readout.equal(found, expected).mean() > 0.99
