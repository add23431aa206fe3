"""From tokens to the elements of a group and back, in nodes of a program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exegesis.ir import Type
from exegesis.measure.groups import Group
from exegesis.measure.pairs import Pairs
from exegesis.passes.draft import Draft

ELEMENT = "element"
_AXES = ("query", "key")


@dataclass(frozen=True, eq=False)
class Words:
    """How a program reads its two tokens as elements of a group.

    Attributes:
        pairs: the network.
        group: the group.
    """

    pairs: Pairs
    group: Group

    @property
    def carried(self) -> bool:
        """Whether the network holds both tokens' vectors in one value, position by position, by the same names."""
        carriers = self.pairs.carriers
        assert carriers is not None
        one = carriers[0].node == carriers[1].node and carriers[0].at is not None
        return one and self._table(0) == self._table(1)

    def waves(self, draft: Draft, frequencies: tuple[int, ...], period: int, hint: str) -> tuple[str, str]:
        """The waves of the first and the second token's elements, at every position."""
        attrs = {"frequencies": list(frequencies), "period": period}
        return self._both(draft, "symbolic.wave", attrs, 2 * len(frequencies), hint)

    def motions(self, draft: Draft, frequencies: tuple[int, ...], period: int, hint: str) -> tuple[str, str]:
        """The motions of the first and the second token's elements, at every position."""
        attrs = {"frequencies": list(frequencies), "period": period}
        return self._both(draft, "symbolic.motion", attrs, 4 * len(frequencies), hint)

    def _both(self, draft: Draft, op: str, attrs: dict[str, object], size: int, hint: str) -> tuple[str, str]:
        tokens = self.pairs.graph.inputs[0]
        type = Type("real", (*tokens.type.axes, f"={size}"))
        if self.carried:
            held = draft.add(op, [self._element(draft, tokens.id, 0)], type, attrs, hint=hint)
            both = [draft.add("symbolic.total", [s, held], type, hint=f"{h}_{hint}") for s, h in self._looks(draft)]
        else:
            both = []
            for which, (selector, name) in enumerate(self._looks(draft)):
                token = draft.add("symbolic.copy", [selector, tokens.id], tokens.type, hint=f"{name}_token")
                element = self._element(draft, token, which)
                both.append(draft.add(op, [element], type, attrs, hint=f"{name}_{hint}"))
        return both[0], both[1]

    def _looks(self, draft: Draft) -> list[tuple[str, str]]:
        tokens = self.pairs.graph.inputs[0]
        type = Type("selector", (tokens.type.axes[0], *_AXES))
        return [
            (draft.add("symbolic.at", [tokens.id], type, {"index": place, "causal": False}, hint=f"at_{place}"), name)
            for place, name in zip(self.pairs.places, ("first", "second"), strict=True)
        ]

    def _element(self, draft: Draft, token: str, which: int) -> str:
        table = self._table(which)
        if not table:
            return token
        type = Type("category", draft[token].type.axes, ELEMENT)
        attrs = {"table": [list(pair) for pair in table]}
        return draft.add("symbolic.relabel", [token], type, attrs, hint="element" if self.carried else f"element_{which}")

    def _table(self, which: int) -> tuple[tuple[int, int], ...]:
        """Tokens that are not called as their element."""
        names = (self.group.rows, self.group.columns)[which]
        return tuple(sorted((t, int(e)) for t, e in zip(self.pairs.tokens[which], names, strict=True) if t != e))

    def answer(self, draft: Draft, votes: str) -> str:
        """The output that stands for the element with the most votes."""
        axes = draft[votes].type.axes[:-1]
        out = self.pairs.graph[self.pairs.graph.outputs[0]].type.axes[-1]
        of = out if out in self.pairs.graph.axes else ELEMENT
        pairs = zip(self.group.answers.tolist(), self.pairs.outputs, strict=True)
        table = sorted([element, output] for element, output in pairs if element != output)
        best = draft.add("symbolic.largest", [votes], Type("category", axes, ELEMENT if table else of), hint="answer")
        if not table:
            return best
        return draft.add("symbolic.relabel", [best], Type("category", axes, of), {"table": table}, hint="output")

    def element_of(self, which: int) -> np.ndarray:
        """The elements of the tokens at one of the two places."""
        return (self.group.rows, self.group.columns)[which]
