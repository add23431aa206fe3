"""Interchange on all pairs, against exchanges carried out by hand."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.measure.exchanges import Drawn, Part, Program, exchange
from exegesis.measure.harmonics import wave_matrix
from exegesis.measure.pairs import Pairs

N = 11
View = Callable[..., Pairs]


def program() -> Graph:
    """Addition of waves at frequency 2, over two tokens, the second taken twice where `twice`."""
    axes = {a.name: a for a in (*map(Axis, ("batch", "pos", "query", "key")), Axis("token", N), Axis("element", N))}
    tokens, wide = Type("category", ("batch", "pos"), "token"), Type("real", ("batch", "pos", "=2"))
    selector = Type("selector", ("batch", "query", "key"))
    nodes = [Node("tokens", "input.tokens", (), tokens)]
    for which in (0, 1):
        nodes += [
            Node(f"at_{which}", "symbolic.at", ("tokens",), selector, {"index": which, "causal": False}),
            Node(f"token_{which}", "symbolic.copy", (f"at_{which}", "tokens"), tokens),
            Node(f"wave_{which}", "symbolic.wave", (f"token_{which}",), wide, {"frequencies": [2], "period": N}),
        ]
    nodes += [
        Node("sum", "symbolic.add_angles", ("wave_0", "wave_1"), wide),
        Node(
            "fits",
            "symbolic.votes",
            ("sum",),
            Type("real", ("batch", "pos", "element")),
            {"weights": [[2, 1]], "period": N},
        ),
        Node("answer", "symbolic.largest", ("fits",), Type("category", ("batch", "pos"), "element")),
    ]
    return Graph(tuple(nodes), ("answer",), {}, axes)


@pytest.fixture
def pairs(networks: ModuleType, pairs_of: View) -> Pairs:
    return pairs_of(networks.clock(N, {2: 1.0}), 2, N)


def basis_of(pairs: Pairs, node: str, held: np.ndarray) -> np.ndarray:
    values = pairs.values(node).astype(float)
    return np.linalg.svd((held - held.mean(0)).T @ (values - values.mean(0)), full_matrices=False)[2]


def test_a_variable_in_its_place_does_what_the_program_says_and_elsewhere_it_does_not(pairs: Pairs) -> None:
    made, drawn = Program(program(), pairs), Drawn.of(pairs, 300, 0)
    total = wave_matrix(2, N)[(pairs.pair[0] + pairs.pair[1]) % N]
    node = pairs.graph["L0.mlp.act"]
    right = exchange(made, ["sum"], [Part(node, basis_of(pairs, node.id, total))], drawn, place=1, seed=0)
    assert right.accuracy > 0.97
    assert right.null < 0.1
    assert right.changed > 200
    difference = wave_matrix(2, N)[(pairs.pair[0] - pairs.pair[1]) % N]
    wrong = exchange(made, ["sum"], [Part(node, basis_of(pairs, node.id, difference))], drawn, place=1, seed=0)
    assert wrong.accuracy < 0.2
    of_first = wave_matrix(2, N)[pairs.pair[0]]
    first = Part(pairs.graph["embed"], basis_of(pairs, "embed", of_first))
    assert exchange(made, ["wave_0"], [first], drawn, place=None, seed=0).accuracy > 0.97
    assert exchange(made, ["wave_1"], [first], drawn, place=None, seed=0).accuracy < 0.2


def test_the_programs_side_of_an_exchange(pairs: Pairs) -> None:
    made = Program(program(), pairs)
    rows = np.array([3 * N + 4, 10 * N + 10])
    assert made.answers(rows).tolist() == [7, 9]
    other = made.value("wave_0", np.array([5 * N, 0]))
    assert made.answers(rows, {"wave_0": other}).tolist() == [9, 10]
    drawn = Drawn.of(pairs, 50, 1)
    assert (drawn.base != drawn.source).all()
