"""The listing of a program."""

from dataclasses import replace

import numpy as np
import pytest

from exegesis.ir import Axis, Function, Graph, Node, Origin, Site, Type, pretty

BP = ("batch", "position")
TOKEN = Type("category", BP, "letter")
LETTERS = Axis("letter", 10, tuple("abcdefghij"))
AXES = {a.name: a for a in (*map(Axis, (*BP, "query", "key")), LETTERS)}

PROGRAM = Graph(
    nodes=(
        Node("tokens", "input.tokens", (), TOKEN),
        Node("all", "symbolic.everywhere", ("tokens",), Type("selector", ("batch", "query", "key")), {"causal": True}),
        Node(
            "share",
            "symbolic.share",
            ("all", "tokens"),
            Type("real", (*BP, "letter")),
            name="letter_share",
            doc="How common each letter is so far.",
            origin=Origin("raise_heads", ("scores", "mix"), "uniform within 1e-3"),
            sites=(Site("add_1", BP, "blocks.0.attn", "output", (("head", 2),), "span"),),
        ),
        Node("logits", "component.linear", ("share",), Type("real", (*BP, "=2")), tensors={"weight": "W_U"}),
    ),
    outputs=("logits",),
    tensors={"W_U": np.zeros((10, 2), dtype=np.float32), "span": np.zeros((1, 3))},
    axes=AXES,
    functions=(Function("vote", ("share",), doc="Counts letters.", parent="main"), Function("main", ("logits", "all"))),
)

LISTING = """\
program of 4 nodes (1 component, 2 symbolic, 1 input), 23 numbers in 2 tensors
axes batch, position, query, key, letter=10 [a b c d e f g h …]

input:
  tokens: category of letter[batch, position] = input.tokens()

function main:
  all: selector[batch, query, key] = symbolic.everywhere(tokens, causal=True)
  logits: real[batch, position, =2] = component.linear(share, weight=@W_U: float32[10, 2])
  function vote:
    "Counts letters."
    share (letter_share): real[batch, position, letter] = symbolic.share(all, tokens)
      # How common each letter is so far.

return logits
"""


def test_a_listing_groups_by_function_and_level() -> None:
    assert pretty(PROGRAM) == LISTING


def test_provenance_is_shown_when_asked_for() -> None:
    shown = pretty(PROGRAM, provenance=True)
    assert "; by raise_heads out of scores, mix: uniform within 1e-3" in shown
    assert "; at add_1[head 2] (output of blocks.0.attn), in the subspace @span" in shown
    assert ";" not in pretty(PROGRAM)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_lines_keep_to_the_width_where_words_do(width: int) -> None:
    long = replace(PROGRAM.nodes[1], doc="Looks everywhere " * 20)
    shown = pretty(replace(PROGRAM, nodes=(PROGRAM.nodes[0], long, *PROGRAM.nodes[2:])), width, provenance=True)
    assert all(len(line) <= width or " " not in line.strip() for line in shown.splitlines())


def test_every_node_is_listed_once_in_the_order_of_the_program() -> None:
    shown = pretty(PROGRAM)
    for node in PROGRAM.nodes:
        assert sum(line.strip().startswith((f"{node.id}:", f"{node.id} (")) for line in shown.splitlines()) == 1
    assert shown.index("  all:") < shown.index("  logits:"), "nodes of a function stand in the order of the program"


def test_arguments_of_the_export_are_shown() -> None:
    attrs = {"args": [{"node": 0}, 1], "kwargs": {"dtype": {"dtype": "float32"}}}
    node = Node("n", "tensor.aten.sum.dim_IntList", ("tokens",), Type("real", BP), attrs)
    shown = pretty(Graph((PROGRAM.nodes[0], node), ("n",), axes=AXES))
    assert "(tokens, args=[{node: 0}, 1], kwargs={dtype: {dtype: 'float32'}})" in " ".join(shown.split())


def test_long_tables_are_cut() -> None:
    rows = [[i, i] for i in range(100)]
    node = Node("f", "symbolic.lookup", ("tokens",), TOKEN, {"rows": rows, "other": 0})
    shown = pretty(Graph((PROGRAM.nodes[0], node), ("f",), axes=AXES))
    assert "… 88 more" in " ".join(shown.split())
    assert len(shown) < 600
