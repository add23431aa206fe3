"""Symbolic level: variables over named axes, and the small set of primitives a person would write programs with.

A *variable* is a value per position: a `category` (which token, which position …), a `bool`, or a `real`, possibly with
a class axis (`share[..., letter]`). A *selector* says, for every query position, which key positions are looked at; it
may carry weights, and a position is looked at where its weight is positive. Everything is causal where `causal` says
so: a query sees itself and what came before.

Values of a category are integers; -1 stands for "none" (nothing was selected): no class holds it, nothing matches it,
and shifting it or taking its remainder leaves it none. Booleans count as the categories 0 and 1. Of equals, the
smallest category wins.
"""

from __future__ import annotations

from exegesis.ir.graph import Graph, Json, Kind, Node
from exegesis.ir.periodic import PERIODIC
from exegesis.ir.permutations import PERMUTATIONS
from exegesis.ir.spec import OpSpec, axis_size, flag, number, one_of, positive, whole, wholes


def _table(value: Json) -> bool:
    """Pairs [from, to] of integers, sorted and without repetition."""
    if not isinstance(value, list | tuple) or not all(wholes(p) and len(p) == 2 for p in value):
        return False
    keys = [p[0] for p in value]
    return keys == sorted(set(keys))


def _pairs(value: Json) -> bool:
    """Pairs of integers, sorted and without repetition."""
    if not isinstance(value, list | tuple) or not all(wholes(p) and len(p) == 2 for p in value):
        return False
    pairs = [(p[0], p[1]) for p in value]
    return pairs == sorted(set(pairs))


def _weights(value: Json) -> bool:
    """Pairs [category, weight], no category twice."""
    if not isinstance(value, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
        return False
    return all(whole(c) and number(w) for c, w in value) and len({c for c, _ in value}) == len(value)


def _pair_weights(value: Json) -> bool:
    """Triples [category of the query, category of the key, weight], no pair twice."""
    if not isinstance(value, list | tuple) or not all(isinstance(t, list | tuple) and len(t) == 3 for t in value):
        return False
    return all(wholes(t[:2]) and number(t[2]) for t in value) and len({(q, k) for q, k, _ in value}) == len(value)


def _terms(value: Json) -> bool:
    """Triples [coefficient, which input, class or null]."""
    return isinstance(value, list | tuple) and all(
        isinstance(t, list | tuple) and len(t) == 3 and number(t[0]) and whole(t[1]) and (t[2] is None or whole(t[2]))
        for t in value
    )


def _rows(value: Json) -> bool:
    """Rows [category of each input …, result] of integers."""
    return isinstance(value, list | tuple) and all(wholes(r) for r in value)


def _terms_fit(node: Node, graph: Graph) -> str | None:
    for _, source, cls in node.attrs["terms"]:
        if not 0 <= source < len(node.inputs):
            return f"has a term over input {source} of {len(node.inputs)}"
        read = graph[node.inputs[source]].type
        if cls is None and read.kind == "category":
            return f"has a term over category {node.inputs[source]!r} without saying which class"
        if cls is not None and read.kind == "real":
            size = axis_size(read.axes[-1], graph) if read.axes else None
            if size is None or not 0 <= cls < size:
                return f"has a term over class {cls} of {node.inputs[source]!r}, whose last axis has size {size}"
    return None


def _rows_fit(node: Node, graph: Graph) -> str | None:
    if any(len(r) != len(node.inputs) + 1 for r in node.attrs["rows"]):
        return f"has a row whose length is not {len(node.inputs)} inputs and a result"
    keys = [tuple(r[:-1]) for r in node.attrs["rows"]]
    if len(set(keys)) < len(keys):
        return f"has two rows for {list(next(k for k in keys if keys.count(k) > 1))}"
    return None


def _as_whole_as_its_inputs(node: Node, graph: Graph) -> str | None:
    parts = [graph[i].type.kind == "int" for i in node.inputs] + [whole(node.attrs.get("to", 0))]
    if node.type.kind == "int" and not all(parts):
        return "is typed int, but may be a number that is not whole"
    return None


def _one_per_condition(node: Node, graph: Graph) -> str | None:
    if len(node.attrs["gives"]) != len(node.inputs) - 1:
        return f"has {len(node.attrs['gives'])} results for {len(node.inputs) - 1} conditions"
    return None


def _one_per_input(node: Node, graph: Graph) -> str | None:
    if len(node.attrs["gives"]) != len(node.inputs):
        return f"has {len(node.attrs['gives'])} results for {len(node.inputs)} conditions"
    return None


_ANY: tuple[Kind, ...] = ("category", "bool", "int")

SELECTORS = (
    OpSpec(
        "symbolic.everywhere",
        "Looks at every position (every one so far, if causal).",
        ("like",),
        attrs={"causal": flag},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.back",
        "Looks `by` positions back (0: at itself).",
        ("like",),
        attrs={"by": whole},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.at",
        "Looks at the position with this index from the start.",
        ("like",),
        attrs={"index": whole, "causal": flag},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.match",
        "Looks where the key variable equals the query variable.",
        ("query", "key"),
        kinds={"query": _ANY, "key": _ANY},
        attrs={"causal": flag},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.ordered",
        "Looks where the key variable stands in this relation to the query variable: key `is` query. A key that is "
        "none is not looked at.",
        ("query", "key"),
        kinds={"query": _ANY, "key": _ANY},
        attrs={"is": one_of("<", "<=", ">", ">="), "causal": flag},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.extreme",
        "Keeps the positions whose key variable is the smallest (or largest) among those looked at; none never is.",
        ("selector", "key"),
        kinds={"selector": ("selector",), "key": _ANY},
        attrs={"which": one_of("smallest", "largest")},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.where",
        "Keeps the positions whose key variable is one of (or, negated, none of) `values`.",
        ("selector", "key"),
        kinds={"selector": ("selector",), "key": _ANY},
        attrs={"values": wholes, "negated": flag},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.when",
        "Looks where the selector does, from positions at which the condition holds; from others nowhere.",
        ("selector", "condition"),
        kinds={"selector": ("selector",), "condition": ("bool",)},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.both",
        "Positions that both selectors look at.",
        ("a", "b"),
        kinds={"a": ("selector",), "b": ("selector",)},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.either",
        "Positions that either selector looks at, with the larger of the two weights.",
        ("a", "b"),
        kinds={"a": ("selector",), "b": ("selector",)},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.otherwise",
        "Looks where the first selector does; where that is nowhere, looks where the second does.",
        ("a", "b"),
        kinds={"a": ("selector",), "b": ("selector",)},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.related",
        "Looks where the pair of query and key is one of `pairs`.",
        ("query", "key"),
        kinds={"query": _ANY, "key": _ANY},
        attrs={"pairs": _pairs, "causal": flag},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.nearest",
        "Keeps only the latest (or the first) of the positions looked at.",
        ("selector",),
        kinds={"selector": ("selector",)},
        attrs={"which": one_of("latest", "first")},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.weigh",
        "Gives every key a weight by the category it holds; `other` is the weight of categories not listed.",
        ("selector", "key"),
        kinds={"selector": ("selector",), "key": _ANY},
        attrs={"weights": _weights, "other": number},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.weigh_pairs",
        "Gives every key a weight by the categories that query and key hold; `other` is that of pairs not listed.",
        ("selector", "query", "key"),
        kinds={"selector": ("selector",), "query": _ANY, "key": _ANY},
        attrs={"weights": _pair_weights, "other": number},
        gives=("selector",),
    ),
    OpSpec(
        "symbolic.attend",
        "Softmax over keys of table[query, key]: a selector that nobody could name. Opaque.",
        ("query", "key"),
        kinds={"query": _ANY, "key": _ANY},
        attrs={"causal": flag},
        tensors={"table": 2},
        gives=("selector",),
    ),
)

VARIABLES = (
    OpSpec(
        "symbolic.share",
        "Of the positions looked at, which share holds each category: a distribution over the categories of `value`.",
        ("selector", "value"),
        kinds={"selector": ("selector",), "value": _ANY},
        gives=("real",),
    ),
    OpSpec(
        "symbolic.count",
        "How many of the positions looked at hold each category.",
        ("selector", "value"),
        kinds={"selector": ("selector",), "value": _ANY},
        gives=("real",),
    ),
    OpSpec(
        "symbolic.width",
        "How many positions are looked at.",
        ("selector",),
        kinds={"selector": ("selector",)},
        gives=("real", "int"),
    ),
    OpSpec(
        "symbolic.copy",
        "The category that most of the positions looked at hold (-1 when none is looked at).",
        ("selector", "value"),
        kinds={"selector": ("selector",), "value": _ANY},
        gives=("category",),
    ),
    OpSpec(
        "symbolic.relabel",
        "Renames categories by `table`; those not listed stay as they are.",
        ("value",),
        kinds={"value": _ANY},
        attrs={"table": _table},
        gives=("category",),
    ),
    OpSpec(
        "symbolic.lookup",
        "A finite function given by its rows; `other` is the result for rows not listed.",
        ("key", "key*"),
        kinds={"key": _ANY},
        attrs={"rows": _rows, "other": whole},
        gives=("category", "bool"),
        check=_rows_fit,
    ),
    OpSpec(
        "symbolic.mod",
        "The remainder of a category or number by `period`.",
        ("value",),
        attrs={"period": positive, "plus?": whole},
        gives=("category",),
    ),
    OpSpec("symbolic.shift", "The category plus a constant.", ("value",), attrs={"by": whole}, gives=("category",)),
    OpSpec(
        "symbolic.form",
        "A linear form: the sum of coefficient · input (of input[class] where a class is given; of “input is class” "
        "for categories), plus a constant.",
        ("term", "term*"),
        attrs={"terms": _terms, "plus": number},
        gives=("real", "int"),
        check=_terms_fit,
    ),
    OpSpec(
        "symbolic.compare",
        "Whether a number stands in this relation to `to`.",
        ("value",),
        kinds={"value": ("real", "int", "category")},
        attrs={"is": one_of(">", ">=", "<", "<=", "==", "!="), "to": number},
        gives=("bool",),
    ),
    OpSpec(
        "symbolic.equal",
        "Whether two variables hold the same category or number.",
        ("a", "b"),
        kinds={"a": _ANY, "b": _ANY},
        gives=("bool",),
    ),
    OpSpec(
        "symbolic.bound",
        "The smaller (or larger) of numbers: of several, or of one and `to`.",
        ("value", "value*"),
        kinds={"value": ("int", "real")},
        attrs={"which": one_of("smaller", "larger"), "to?": number},
        gives=("int", "real"),
        check=_as_whole_as_its_inputs,
    ),
    OpSpec(
        "symbolic.is_in",
        "Whether a category is one of `values`.",
        ("value",),
        kinds={"value": _ANY},
        attrs={"values": wholes},
        gives=("bool",),
    ),
    OpSpec("symbolic.not", "Logical not.", ("a",), kinds={"a": ("bool",)}, gives=("bool",)),
    OpSpec("symbolic.and", "Logical and.", ("a", "a*"), kinds={"a": ("bool",)}, gives=("bool",)),
    OpSpec("symbolic.or", "Logical or.", ("a", "a*"), kinds={"a": ("bool",)}, gives=("bool",)),
    OpSpec(
        "symbolic.largest",
        "The class with the largest entry, among `among` when given.",
        ("values",),
        kinds={"values": ("real",)},
        attrs={"among?": wholes},
        gives=("category",),
    ),
    OpSpec("symbolic.always", "One category, everywhere.", ("like",), attrs={"value": whole}, gives=("category",)),
)

ANSWERS = (
    OpSpec(
        "symbolic.choose",
        "The result `gives[k]` of the first condition k that holds, else `other`.",
        ("condition", "condition*"),
        kinds={"condition": ("bool",)},
        attrs={"gives": wholes, "other": whole},
        gives=("category",),
        check=_one_per_input,
    ),
    OpSpec(
        "symbolic.prefer",
        "`first` wherever the condition holds, else `second`.",
        ("condition", "first", "second"),
        kinds={"condition": ("bool",), "first": ("category",), "second": ("category",)},
        gives=("category",),
    ),
    OpSpec(
        "symbolic.allow",
        "The set of outputs allowed: `gives[k]` is allowed where condition k holds; `always` are allowed everywhere.",
        ("like", "condition*"),
        kinds={"condition": ("bool",)},
        attrs={"gives": wholes, "always": wholes},
        gives=("bool",),
        check=_one_per_condition,
    ),
)

SYMBOLIC_OPS = (*SELECTORS, *VARIABLES, *PERIODIC, *PERMUTATIONS, *ANSWERS)
