"""Relations recovered from what a head looks at: they look exactly there, and are called what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.ir.levels import SPECS
from exegesis.ir.spec import check_node
from exegesis.passes.draft import Draft
from exegesis.passes.raising.columns import Column
from exegesis.passes.raising.hard_heads import Pairs
from exegesis.passes.raising.selectors.relation import Relation, Site, relation
from exegesis.runtime import Executor

ROWS, LENGTH, LETTERS = 30, 7, 5
BP = ("batch", "pos")
TYPES = {
    "tokens": Type("category", BP, "letter"),
    "place": Type("int", BP),
    "count": Type("int", BP),
    "flag": Type("bool", BP),
}
RNG = np.random.default_rng(5)
VALUES = {
    "tokens": RNG.integers(0, LETTERS, (ROWS, LENGTH)),
    "place": np.tile(np.arange(LENGTH), (ROWS, 1)),
    "count": RNG.integers(0, LENGTH, (ROWS, LENGTH)),
    "flag": RNG.integers(0, 2, (ROWS, LENGTH)),
}
COLUMNS = [Column(n, None, t.kind, VALUES[n].reshape(-1), t.of) for n, t in TYPES.items()]  # type: ignore[arg-type]
SITE = Site("tokens", "place", False, frozenset(TYPES), frozenset(TYPES))
Rule = Callable[[dict[str, int], dict[str, int]], bool]


def looked_at(rule: Rule, causal: bool = False) -> tuple[Pairs, np.ndarray]:
    """Every pair that can be seen, and the whole selector."""
    looks = np.zeros((ROWS, LENGTH, LENGTH), bool)
    for b in range(ROWS):
        at = [{n: int(v[b, s]) for n, v in VALUES.items()} for s in range(LENGTH)]
        for q in range(LENGTH):
            for k in range(LENGTH):
                looks[b, q, k] = rule(at[q], at[k]) and (k <= q or not causal)
    row, query, key = np.nonzero(np.broadcast_to(np.tri(LENGTH, dtype=bool) if causal else True, looks.shape))
    return Pairs(row * LENGTH + query, row * LENGTH + key, looks[row, query, key]), looks


def written(found: Relation) -> tuple[Any, set[str]]:
    """The selector that a relation drafts, and the operations it is made of."""
    axes = {a.name: a for a in (Axis("batch"), Axis("pos"), Axis("query"), Axis("key"), Axis("letter", LETTERS))}
    draft = Draft(Graph(tuple(Node(n, "input.array", (), t) for n, t in TYPES.items()), ("tokens",), axes=axes), "test")
    node = found.write(draft)
    graph = draft.whole()
    assert all(check_node(n, graph, SPECS) is None for n in draft.nodes.values())
    given = {n: torch.from_numpy(v) for n, v in VALUES.items()}
    value = Executor(graph).run(given | {"flag": given["flag"].bool()}, [node])[node]
    return value.numpy() > 0, {n.op.removeprefix("symbolic.") for n in draft.nodes.values()}


WINS = {(0, 2), (2, 1), (1, 0), (3, 0), (4, 4), (4, 1)}
RULES: dict[str, tuple[Rule, set[str]]] = {
    "everything": (lambda q, k: True, {"everywhere"}),
    "the same token": (lambda q, k: q["tokens"] == k["tokens"], {"match"}),
    "a smaller token": (lambda q, k: k["tokens"] < q["tokens"], {"ordered"}),
    "a token at least as large": (lambda q, k: k["tokens"] >= q["tokens"], {"ordered"}),
    "some tokens": (lambda q, k: k["tokens"] in (1, 3), {"everywhere", "where"}),
    "all but one token": (lambda q, k: k["tokens"] != 2, {"everywhere", "where"}),
    "flagged": (lambda q, k: k["flag"] == 1, {"everywhere", "where"}),
    "itself": (lambda q, k: q["place"] == k["place"], {"back"}),
    "two back": (lambda q, k: k["place"] == q["place"] - 2, {"back"}),
    "the next": (lambda q, k: k["place"] == q["place"] + 1, {"form", "match"}),
    "so far": (lambda q, k: k["place"] <= q["place"], {"everywhere"}),
    "before": (lambda q, k: k["place"] < q["place"], {"ordered"}),
    "the place that was counted": (lambda q, k: k["place"] == q["count"], {"match"}),
    "the place after it": (lambda q, k: k["place"] == q["count"] + 1, {"form", "match"}),
    "neighbours": (lambda q, k: abs(k["place"] - q["place"]) <= 1, {"form", "ordered", "both"}),
    "every other place": (lambda q, k: (k["place"] - q["place"]) % 2 == 0, {"mod", "match"}),
    "the same kind": (lambda q, k: (q["tokens"] in (0, 3)) == (k["tokens"] in (0, 3)), {"lookup", "match"}),
    "who wins": (lambda q, k: (q["tokens"], k["tokens"]) in WINS, {"related"}),
}


@pytest.mark.parametrize("name", RULES)
def test_a_relation_is_recovered(name: str) -> None:
    rule, operations = RULES[name]
    pairs, looks = looked_at(rule)
    found = relation(pairs, COLUMNS, SITE)
    assert found is not None
    selector, used = written(found)
    assert (selector == looks).all()
    assert used == operations


def test_under_a_mask_only_what_can_be_seen_counts() -> None:
    pairs, looks = looked_at(lambda q, k: q["tokens"] == k["tokens"], causal=True)
    found = relation(pairs, COLUMNS, Site("tokens", "place", True, SITE.asks, SITE.shows))
    assert found is not None
    selector, used = written(found)
    assert (selector == looks).all()
    assert used == {"match"}


def test_what_no_two_variables_decide_is_refused() -> None:
    pairs, _ = looked_at(lambda q, k: True)
    noise = Pairs(pairs.query, pairs.key, RNG.random(len(pairs.query)) < 0.5)
    assert relation(noise, COLUMNS, SITE) is None


def test_of_two_readings_the_one_that_the_head_can_see_wins() -> None:
    """A variable that is another one mirrored gives the same pairs either way round."""
    mirrored = Column("count", None, "int", LENGTH - 1 - VALUES["place"].reshape(-1))
    columns = [COLUMNS[0], COLUMNS[1], mirrored]
    row, query, key = np.indices((ROWS, LENGTH, LENGTH)).reshape(3, -1)
    pairs = Pairs(row * LENGTH + query, row * LENGTH + key, query + key == LENGTH - 1)
    for asks, shows in (("count", "place"), ("place", "count")):
        found = relation(pairs, columns, Site("tokens", "place", False, frozenset({asks}), frozenset({shows})))
        assert found is not None
        assert found.ends is not None
        assert [e.node for e in found.ends] == [asks, shows]
