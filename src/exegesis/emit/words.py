"""Constants of a program, named after the tokens (or other categories) they stand for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from exegesis.emit.code import WIDTH, Code, literal, set_of, starred, tuple_of
from exegesis.emit.naming import RESERVED, constant_word
from exegesis.ir import Graph
from exegesis.primitives import NONE

_RUN = 4  # as many neighbours or more are written as a range
_SPECIAL = re.compile(r"<.*>|\[[A-Z]+\]", re.DOTALL)


class Words:
    """How a category of an axis, or a set of them, is written.

    A category whose label is its own number is written as that number; one without a label too.
    """

    def __init__(self, graph: Graph, tokens: Sequence[str] = (), taken: Collection[str] = ()) -> None:
        spoken = next((n.type.of for n in graph.inputs if n.op == "input.tokens"), None)
        labels = {name: tuple(axis.labels or ()) for name, axis in graph.axes.items()}
        if spoken is not None and tokens and not labels.get(spoken):
            labels[spoken] = tuple(tokens)
        self._labels = labels
        self._taken = RESERVED.union(taken)
        self._values: dict[str, int | range] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._content: dict[str, tuple[str, range]] = {}
        for axis in sorted(labels, key=lambda a: (a != spoken, a)):
            self._name(axis)

    def _name(self, axis: str) -> None:
        labels = self._labels[axis]
        made = [None if label == str(k) else constant_name(label, k) for k, label in enumerate(labels)]
        for k, plain in enumerate(made):
            if plain is None:
                continue
            own = plain if made.count(plain) == 1 else f"{plain}_{k}"
            if own in self._taken or self._values.get(own, k) != k:
                own = f"{constant_name(axis, 0)}_{own}"
            if own not in self._taken and self._values.setdefault(own, k) == k:
                self._names[axis, k] = own
        content = [k for k, label in enumerate(labels) if not _SPECIAL.fullmatch(label)]
        plural = _kind([labels[k] for k in content])
        if len(content) >= _RUN and content == list(range(content[0], content[-1] + 1)) and plural not in self._values:
            self._values[plural] = range(content[0], content[-1] + 1)
            self._content[axis] = (plural, range(content[0], content[-1] + 1))

    def label(self, axis: str | None, category: int) -> str:
        """What a person would call a category."""
        labels = self._labels.get(axis or "", ())
        return labels[category] if 0 <= category < len(labels) else "none" if category == -1 else str(category)

    def is_truth(self, axis: str | None) -> bool:
        """Whether the first two categories of an axis are false and true: called so, or by their numbers."""
        return [self.label(axis, k).casefold() for k in (0, 1)] in (["0", "1"], ["false", "true"])

    def category(self, axis: str | None, category: int) -> Code:
        """A category as an expression."""
        made = "NONE" if category == NONE else self._names.get((axis or "", category))
        return literal(category) if made is None else Code(made, uses=frozenset({made}))

    def many(self, axis: str | None, categories: Iterable[int], *, ordered: bool = False) -> Code:
        """Several categories: ranges where they are neighbours, else a set (a tuple where the order counts)."""
        values = list(categories) if ordered else sorted(set(categories))
        runs = [self._run(axis, run) if len(run) >= _RUN else run for run in _runs(values)]
        if len(runs) == 1 and isinstance(runs[0], Code):
            return runs[0]
        items: list[Code] = []
        for run in runs:
            items += [starred(run)] if isinstance(run, Code) else [self.category(axis, v) for v in run]
        return tuple_of(items) if ordered else set_of(items)

    def _run(self, axis: str | None, run: range) -> Code:
        plural, content = self._content.get(axis or "", ("", range(0)))
        if run == content:
            return Code(plural, uses=frozenset({plural}))
        first, last = self.category(axis, run[0]), self.category(axis, run[-1])
        if not first.uses or not last.uses:
            return Code(_as_range(run))
        return Code(f"range({first.text}, {last.text} + 1)", uses=first.uses | last.uses)

    def declared(self, used: Collection[str]) -> list[str]:
        """Assignments of the constants that are used, ascending, as many to a line as fit."""
        runs = [f"{n} = {_as_range(v)}" for n, v in self._values.items() if n in used and isinstance(v, range)]
        single = [(n, v) for n, v in self._values.items() if n in used and isinstance(v, int)]
        lines, row = [], list[tuple[str, int]]()
        for item in sorted(single, key=lambda i: (i[1], i[0])):
            if row and len(_assignment([*row, item])) > WIDTH:
                lines.append(_assignment(row))
                row = []
            row.append(item)
        return [*lines, *([_assignment(row)] if row else []), *runs]


def constant_name(label: str, category: int) -> str:
    """A Python constant for a label: `a` → A, `<bos>` → BOS, `(` → LEFT_PARENTHESIS, `Ġthe` → THE."""
    word = constant_word(label).replace(" ", "_").upper()
    if not word:
        return f"TOKEN_{category}"
    return f"N_{word}" if word[0].isdigit() else word


def _kind(labels: Sequence[str]) -> str:
    """What a set of labels is called: LETTERS, NUMBERS or WORDS."""
    if all(len(label) == 1 and label.isalpha() for label in labels):
        return "LETTERS"
    return "NUMBERS" if all(label.isdigit() for label in labels) else "WORDS"


def _assignment(row: Sequence[tuple[str, int]]) -> str:
    names, values = [n for n, _ in row], [v for _, v in row]
    right = ", ".join(map(str, values))
    if len(row) > 2 and values == list(range(values[0], values[-1] + 1)):
        right = _as_range(range(values[0], values[-1] + 1))
    return f"{', '.join(names)} = {right}"


def _runs(values: Sequence[int]) -> list[range]:
    """The values in their order as ranges of neighbours. None (-1) has no neighbours."""
    runs: list[range] = []
    for value in values:
        if runs and value == runs[-1].stop and NONE not in runs[-1]:
            runs[-1] = range(runs[-1].start, value + 1)
        else:
            runs.append(range(value, value + 1))
    return runs


def _as_range(run: range) -> str:
    return f"range({run.stop})" if run.start == 0 else f"range({run.start}, {run.stop})"
