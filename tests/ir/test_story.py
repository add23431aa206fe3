"""What happened between two programs, in words: each kind of change is told, and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np

from exegesis.ir import Axis, Graph, Node, Site, Type
from exegesis.ir.story import head_shares, story, variables

AXES = {a.name: a for a in (Axis("batch"), Axis("pos"), Axis("key"), Axis("token", 3, ("a", "b", "<sep>")))}
TOKEN = Type("category", ("batch", "pos"), "token")
SELECTOR = Type("selector", ("batch", "pos", "key"))


def copied(selector: str, **more: Any) -> Node:
    return Node("copied", "symbolic.copy", (selector, "ids"), TOKEN, name="previous", sites=(at("L0H0"),), **more)


def at(label: str) -> Site:
    return Site("v", ("batch", "head", "pos"), label=label)


def program(*nodes: Node, by: int = 1, to: int = 0, **more: Any) -> Graph:
    back = Node("back", "symbolic.back", ("ids",), SELECTOR, {"by": by})
    made = nodes or (back, copied("back"))
    answer = Node("answer", "symbolic.relabel", ("copied",), TOKEN, {"table": [[2, to]]})
    tokens = Node("ids", "input.tokens", (), TOKEN)
    return Graph((tokens, *made, answer), ("answer",), axes=AXES, **more)


def test_nothing_happened_between_equal_programs() -> None:
    assert story(program(), program()) == ()


def test_variables_are_told_as_calls_with_the_names_of_tokens() -> None:
    assert [str(v) for v in variables(program())] == [
        "previous (L0H0) = copy(back(tokens, 1), tokens)",
        "the answer = relabel(previous, table {<sep> → a})",
    ]


def test_a_changed_selector_and_a_changed_readout() -> None:
    assert story(program(), program(by=2)) == (
        "previous (L0H0) changes: copy(back(tokens, 1), tokens) → copy(back(tokens, 2), tokens)",
    )
    assert story(program(), program(to=1)) == (
        "the answer changes: relabel(previous, table {<sep> → a}) → relabel(previous, table {<sep> → b})",
    )


def renamed(graph: Graph, **changes: Any) -> Graph:
    return replace(graph, nodes=tuple(replace(n, **changes) if n.id == "copied" else n for n in graph.nodes))


def test_another_name_or_place_is_no_other_variable() -> None:
    assert story(program(), renamed(program(), name="before")) == ("previous is now called before",)
    assert story(program(), renamed(program(), sites=(at("L0H3"),))) == ("previous now lives in L0H3, before in L0H0",)


def test_what_appears_and_vanishes() -> None:
    more = Node("more", "symbolic.mod", ("ids",), TOKEN, {"period": 2}, name="parity")
    plain = program()
    wider = replace(plain, nodes=(*plain.nodes[:-1], more, plain.nodes[-1]))
    assert story(plain, wider) == ("appears: parity = mod(tokens, period 2)",)
    assert story(wider, plain) == ("vanishes: parity = mod(tokens, period 2)",)


def opaque(**heads: Any) -> Graph:
    table = Node(
        "answer", "component.embed", ("ids",), Type("real", ("batch", "pos", "token")), tensors={"weight": "w"}
    )
    tokens = Node("ids", "input.tokens", (), TOKEN)
    weights = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    return Graph((tokens, table), ("answer",), {"w": weights}, AXES, meta={"heads": heads})


def test_what_stops_being_opaque_is_told_with_its_heads() -> None:
    looks = {"looks at": "the position before", "share": 0.9}
    before = opaque(L0H0={**looks, "replaced": False})
    after = program(meta={"heads": {"L0H0": {**looks, "replaced": True}}})
    told = story(before, after)
    assert told[0].startswith("opaque: ")
    assert told[0].endswith("→ 0 bits (L0H0 became legible; what is answered became legible)")
    assert "L0H0 is replaced by that" in told
    assert story(after, before)[0].endswith("(L0H0 became opaque; what is answered became opaque)")
    assert head_shares(after) == {"L0H0": ("the position before", 0.9, True)}
