"""From tokens to the elements of a group and back, in nodes of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exegesis.ir import Axis, Json, Type
from exegesis.measure.groups import Group
from exegesis.measure.pairs import Pairs
from exegesis.passes.draft import Draft

ELEMENT = "element"
ORDINALS = ("first", "second")


def called(draft: Draft, node: str, name: str, doc: str) -> str:
    """Gives a node a name and a sentence; returns it."""
    draft.nodes[node] = replace(draft.nodes[node], name=name, doc=doc)
    return node


@dataclass(frozen=True, eq=False)
class Held:
    """A variable of both tokens, as a program holds it.

    Attributes:
        nodes: what holds it: one node for both tokens, or one for each.
        type: of each.
        name: what is held.
    """

    nodes: tuple[str, ...]
    type: Type
    name: str


@dataclass(frozen=True, eq=False)
class Tokens:
    """How a program reads its two tokens as elements of a group.

    Attributes:
        pairs: the network.
        group: the group.
        draft: where nodes are written.
    """

    pairs: Pairs
    group: Group
    draft: Draft

    @property
    def carried(self) -> bool:
        """Whether the network holds both tokens' vectors in one value, position by position, by the same names."""
        carriers = self.pairs.carriers
        assert carriers is not None
        one = carriers[0].node == carriers[1].node and carriers[0].at is not None
        return one and self._table(0) == self._table(1)

    def held(self, op: str, attrs: Mapping[str, Json], size: int, words: tuple[str, str, str]) -> Held:
        """What an op makes of every token's element: one node over all positions, or one for each of the two tokens.

        Args:
            op: of one category.
            attrs: its attributes.
            size: how many numbers it gives.
            words: id (and name of the function), name of the variable, sentence.
        """
        tokens = self.pairs.graph.inputs[0]
        type = Type("real", (*tokens.type.axes, f"={size}"))
        hint, name, doc = words
        if self.carried:
            node = self.draft.add(op, [self._element(tokens.id, 0)], type, attrs, hint=hint)
            return Held((called(self.draft, node, name, doc),), type, name)
        nodes = []
        for which, ordinal in enumerate(ORDINALS):
            look = self._look(which)
            token = self.draft.add("symbolic.copy", [look, tokens.id], tokens.type, hint=f"{ordinal}_token")
            called(self.draft, token, ordinal, f"The {ordinal} token.")
            node = self.draft.add(op, [self._element(token, which)], type, attrs, hint=f"{ordinal}_{hint}")
            nodes.append(
                called(self.draft, node, f"{ordinal}_{name}", doc.replace("each token", f"the {ordinal} token"))
            )
        return Held(tuple(nodes), type, name)

    def each(self, held: Held) -> tuple[str, str]:
        """The first and the second token's, at every position."""
        if len(held.nodes) == 2:
            return held.nodes[0], held.nodes[1]
        both = []
        for which, ordinal in enumerate(ORDINALS):
            node = self.draft.add("symbolic.total", [self._look(which), held.nodes[0]], held.type, hint="gathered")
            both.append(called(self.draft, node, ordinal, f"The {ordinal} token's {held.name}."))
        return both[0], both[1]

    def sum(self, held: Held, words: tuple[str, str, str], *, alone: bool) -> str:
        """Both tokens' together. `alone`: nothing looks at one of them only."""
        hint, name, doc = words
        if len(held.nodes) == 2:
            node = form(self.draft, [(1, n) for n in held.nodes], hint)
        else:
            node = self.draft.add("symbolic.total", [self._look_at_both(alone), held.nodes[0]], held.type, hint=hint)
        return called(self.draft, node, name, doc)

    def _look(self, which: int) -> str:
        attrs = {"index": self.pairs.places[which], "causal": False}
        return self._selector("symbolic.at", [self.pairs.graph.inputs[0].id], attrs, f"at_{ORDINALS[which]}")

    def _look_at_both(self, alone: bool) -> str:
        if self.pairs.ids.shape[1] == 2 and alone:
            return self._selector("symbolic.everywhere", [self.pairs.graph.inputs[0].id], {"causal": False}, "at_both")
        return self._selector("symbolic.either", [self._look(0), self._look(1)], {}, "at_both")

    def _selector(self, op: str, inputs: list[str], attrs: Mapping[str, Json], hint: str) -> str:
        for axis in ("query", "key"):
            if axis not in self.pairs.graph.axes:
                self.draft.axes[axis] = Axis(axis)
        type = Type("selector", (self.pairs.graph.inputs[0].type.axes[0], "query", "key"))
        return called(self.draft, self.draft.add(op, inputs, type, attrs, hint=hint), hint, "")

    def _element(self, token: str, which: int) -> str:
        table = self._table(which)
        if not table:
            return token
        declare(self.draft, self.group.order)
        type = Type("category", self.draft[token].type.axes, ELEMENT)
        attrs = {"table": [list(pair) for pair in table]}
        hint = "element" if self.carried else f"{ORDINALS[which]}_element"
        return self.draft.add("symbolic.relabel", [token], type, attrs, hint=hint)

    def _table(self, which: int) -> tuple[tuple[int, int], ...]:
        """Tokens that are not called as their element."""
        names = (self.group.rows, self.group.columns)[which]
        return tuple(sorted((t, int(e)) for t, e in zip(self.pairs.tokens[which], names, strict=True) if t != e))

    def answer(self, votes: str) -> str:
        """The output that stands for the element with the most votes."""
        axes = self.draft[votes].type.axes[:-1]
        out = self.pairs.graph[self.pairs.graph.outputs[0]].type.axes[-1]
        of = out if out in self.pairs.graph.axes else ELEMENT
        pairs = zip(self.group.answers.tolist(), self.pairs.outputs, strict=True)
        table = sorted([element, output] for element, output in pairs if element != output)
        type = Type("category", axes, ELEMENT if table else of)
        best = self.draft.add("symbolic.largest", [votes], type, hint="answer")
        if not table:
            return best
        return self.draft.add("symbolic.relabel", [best], Type("category", axes, of), {"table": table}, hint="output")


def form(draft: Draft, terms: list[tuple[float, str]], hint: str) -> str:
    """A sum of variables with coefficients."""
    attrs = {"terms": [[w, k, None] for k, (w, _) in enumerate(terms)], "plus": 0}
    return draft.add("symbolic.form", [node for _, node in terms], draft[terms[0][1]].type, attrs, hint=hint)


def declare(draft: Draft, order: int) -> None:
    """Makes the axis of elements known."""
    if ELEMENT not in draft.graph.axes:
        draft.axes[ELEMENT] = Axis(ELEMENT, order)
