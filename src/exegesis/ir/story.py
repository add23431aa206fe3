"""How one program became another, in words: which variables came, went or changed, and what stopped being opaque.

Where `diff` lists nodes, this tells what a reader of the two texts would: a variable is compared by all that it is
computed from, whatever it and its sources are called; where that is not the same, by its name or the heads it lives in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exegesis.ir.graph import Graph, Json, Level, Node
from exegesis.ir.heads import HEADS, heads_told
from exegesis.ir.price import price

_ANSWER = "the answer"
_MOST = 6  # entries of a list that are shown
_FEW_BITS = 64.0  # by which the opaque rest may differ without a word
_QUIET = ("causal", "negated")  # attributes that say nothing where they have their usual value


@dataclass(frozen=True)
class Variable:
    """A variable of a program.

    Attributes:
        name: what it is called.
        text: what it is computed from, down to the next variables that have names.
        whole: the same down to the inputs, without any names: what it is compared by.
        places: the heads (or other places) of the network in which it lives.
    """

    name: str
    text: str
    whole: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        where = f" ({', '.join(self.places)})" if self.places else ""
        return f"{self.name}{where} = {self.text}"


def variables(graph: Graph) -> tuple[Variable, ...]:
    """The variables of a program that have a name or a place in the network, and its answer where that is symbolic."""
    found = []
    for node in graph.nodes:
        if node.level is not Level.SYMBOLIC or node.type.kind == "selector":
            continue
        places = tuple(dict.fromkeys(s.label for s in node.sites if s.label))
        is_answer = node.id == graph.outputs[0]
        if not (node.name or places or is_answer):
            continue
        name = _ANSWER if is_answer else node.name or node.id
        found.append(Variable(name, _told(graph, node, names=True), _told(graph, node, names=False), places))
    return tuple(found)


def story(a: Graph, b: Graph) -> tuple[str, ...]:
    """What happened between program a and program b, one sentence each; nothing where they are the same program."""
    return (*_opaque(a, b), *_variables(a, b), *heads_told(a, b))


def _variables(a: Graph, b: Graph) -> Iterator[str]:
    before, after = list(variables(a)), list(variables(b))
    for new in list(after):
        same = next((old for old in before if old.whole == new.whole and old.name == new.name), None)
        same = same or next((old for old in before if old.whole == new.whole), None)
        if same is None:
            continue
        before.remove(same)
        after.remove(new)
        if same.name != new.name:
            yield f"{same.name} is now called {new.name}"
        if same.places != new.places:
            yield f"{new.name} now lives in {_listed(new.places)}, before in {_listed(same.places)}"
    for new in list(after):
        old = next((o for o in before if o.name == new.name), None)
        old = old or next((o for o in before if set(o.places) & set(new.places)), None)
        if old is None:
            continue
        before.remove(old)
        after.remove(new)
        if old.text != new.text:  # else only what it is made of changed, which is told there
            yield f"{_renamed(old, new)} changes: {old.text} → {new.text}"
    yield from (f"vanishes: {old}" for old in before)
    yield from (f"appears: {new}" for new in after)


def _renamed(old: Variable, new: Variable) -> str:
    where = f" ({', '.join(new.places)})" if new.places else ""
    return f"{new.name}{where}" if old.name == new.name else f"{old.name}, now {new.name}{where},"


def _opaque(a: Graph, b: Graph) -> Iterator[str]:
    """What nobody could explain, before and after."""
    was, now = (price(g).opaque_bits for g in (a, b))
    told = f"opaque: {was:,.0f} → {now:,.0f} bits"
    heads = [g.meta.get(HEADS) or {} for g in (a, b)]
    became = [h for h in heads[1] if heads[1][h]["replaced"] and h in heads[0] and not heads[0][h]["replaced"]]
    lost = [h for h in heads[1] if not heads[1][h]["replaced"] and h in heads[0] and heads[0][h]["replaced"]]
    parts = [f"{_listed(tuple(became))} became legible"] if became else []
    parts += [f"{_listed(tuple(lost))} became opaque"] if lost else []
    read = [g[g.outputs[0]].level is Level.SYMBOLIC for g in (a, b)]
    if read[0] != read[1]:
        parts.append("what is answered became legible" if read[1] else "what is answered became opaque")
    if parts:
        yield f"{told} ({'; '.join(parts)})"
    elif abs(now - was) > max(_FEW_BITS, 0.01 * was):
        yield told


def _told(graph: Graph, node: Node, *, names: bool) -> str:
    """What a node is computed from, as one nested call."""
    arguments = [_called(graph, graph[i], names=names) for i in node.inputs]
    arguments += [told for key, value in sorted(node.attrs.items()) if (told := _attribute(graph, node, key, value))]
    return f"{node.op.split('.', 1)[1]}({', '.join(arguments)})"


def _called(graph: Graph, node: Node, *, names: bool) -> str:
    if node.level is Level.INPUT:
        return node.op.removeprefix("input.")
    if node.op == "component.arange":
        return "positions"
    if names and node.name:
        return node.name
    if node.level is not Level.SYMBOLIC:
        return f"an opaque {node.type.kind}"
    return _told(graph, node, names=names)


def _attribute(graph: Graph, node: Node, key: str, value: Json) -> str:
    if key in _QUIET and value == (key == "causal"):
        return ""
    if key in _QUIET:
        return f"not {key}" if key == "causal" else key
    values = _values(graph, node, value) if isinstance(value, list | tuple) else _value(graph, node, value, key)
    return values if key in ("by", "is", "which") else f"{key} {values}"


def _values(graph: Graph, node: Node, value: list[Json] | tuple[Json, ...]) -> str:
    shown = [
        " → ".join(_label(graph, node, v) for v in entry)
        if isinstance(entry, list | tuple) and len(entry) == 2
        else _label(graph, node, entry)
        for entry in value[:_MOST]
    ]
    return "{" + ", ".join(shown) + (", …" if len(value) > _MOST else "") + "}"


def _value(graph: Graph, node: Node, value: Json, key: str) -> str:
    return _label(graph, node, value) if key == "other" else str(value)


def _label(graph: Graph, node: Node, value: Json) -> str:
    """What a category is called: by the axis of the last input that has one."""
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    of = [graph[i].type.of for i in node.inputs if graph[i].type.of]
    axis = graph.axes.get(of[-1] or "") if of else None
    labels = axis.labels if axis else None
    return labels[value] if labels and 0 <= value < len(labels) else str(value)


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names) or "no one place"


def head_shares(graph: Graph) -> Mapping[str, tuple[str, float, bool]]:
    """By head: where it mostly looks (empty where nobody can say), how much of its attention that is, and whether a
    selector has replaced it."""
    told: Mapping[str, Json] = graph.meta.get(HEADS) or {}
    return {h: (t["looks at"] or "", float(t["share"] or 0.0), bool(t["replaced"])) for h, t in told.items()}
