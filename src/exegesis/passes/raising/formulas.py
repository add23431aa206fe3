"""Boolean formulas over program variables: what they cost, where they hold, and how they are written as nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, log2

import numpy as np
from numpy.typing import NDArray

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SEQUENCE

Values = Mapping[str, NDArray[np.generic]]
Mask = NDArray[np.bool_]

_REFER = 6.0  # bits to name an op and the variable it reads


def integer_bits(value: int) -> float:
    """Length of a universal code for an integer."""
    return 2 * log2(abs(value) + 1) + 1


@dataclass(frozen=True)
class IsIn:
    """The category `variable` is one of `values`; `classes` is how many categories there are."""

    variable: str
    values: tuple[int, ...]
    classes: int

    @property
    def variables(self) -> frozenset[str]:
        return frozenset({self.variable})

    @property
    def bits(self) -> float:
        return _REFER + log2(self.classes + 1) + log2(comb(self.classes, len(self.values)) + 1)

    def holds(self, values: Values) -> Mask:
        return np.isin(values[self.variable], self.values)

    def draft(self, draft: Draft) -> str:
        axes = draft[self.variable].type.axes
        return draft.add(
            "symbolic.is_in",
            [self.variable],
            Type("bool", axes),
            {"values": list(self.values)},
            hint=f"{self.variable}_is",
        )


@dataclass(frozen=True)
class Above:
    """A linear form over entries of real variables, and over which category others hold, is greater than `threshold`.

    `terms` are (coefficient, variable, class).
    """

    terms: tuple[tuple[float, str, int], ...]
    threshold: float

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(v for _, v, _ in self.terms)

    @property
    def bits(self) -> float:
        return _REFER + _number_bits(self.threshold) + sum(_REFER + _number_bits(c) for c, _, _ in self.terms)

    def form(self, values: Values) -> NDArray[np.float64]:
        """The value of the form at every observation."""
        columns = np.stack([_entry(values[v], k) for _, v, k in self.terms], 1)
        return columns @ np.array([c for c, _, _ in self.terms], np.float64)

    def holds(self, values: Values) -> Mask:
        return np.asarray(self.form(values) > self.threshold)

    def draft(self, draft: Draft, *, negated: bool = False) -> str:
        """The comparison (or its negation: a <= b rather than not a > b)."""
        terms = sorted(self.terms, key=lambda t: t[1:])
        sign = (
            1 if terms[0][0] > 0 else -1
        )  # a - b < 2 reads better than b - a > -2, and shares its form with a - b > 0
        inputs = tuple(dict.fromkeys(v for _, v, _ in terms))
        axes = draft[inputs[0]].type.axes[: len(SEQUENCE)]
        rows = [[_tidy(sign * c), inputs.index(v), k] for c, v, k in terms]
        form = draft.add("symbolic.form", inputs, Type("real", axes), {"terms": rows, "plus": 0}, hint="balance")
        relation = {(1, False): ">", (-1, False): "<", (1, True): "<=", (-1, True): ">="}[sign, negated]
        attrs = {"is": relation, "to": _tidy(sign * self.threshold)}
        return draft.add("symbolic.compare", [form], Type("bool", axes), attrs, hint=f"{form}_compared")


@dataclass(frozen=True)
class Not:
    """The formula does not hold."""

    of: "Formula"

    @property
    def variables(self) -> frozenset[str]:
        return self.of.variables

    @property
    def bits(self) -> float:
        return 1 + self.of.bits

    def holds(self, values: Values) -> Mask:
        return ~self.of.holds(values)

    def draft(self, draft: Draft) -> str:
        if isinstance(self.of, Above):
            return self.of.draft(draft, negated=True)
        inner = self.of.draft(draft)
        return draft.add("symbolic.not", [inner], draft[inner].type, hint=f"not_{inner}")


@dataclass(frozen=True)
class All:
    """Every part holds; without parts, always."""

    parts: tuple["Formula", ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        return frozenset[str]().union(*(p.variables for p in self.parts))

    @property
    def bits(self) -> float:
        return 2 + sum(p.bits for p in self.parts)

    def holds(self, values: Values) -> Mask:
        n = len(next(iter(values.values())))
        return np.logical_and.reduce([p.holds(values) for p in self.parts]) if self.parts else np.ones(n, bool)

    def draft(self, draft: Draft) -> str:
        return _junction(draft, "symbolic.and", self.parts)


@dataclass(frozen=True)
class Some:
    """At least one part holds; without parts, never."""

    parts: tuple["Formula", ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        return frozenset[str]().union(*(p.variables for p in self.parts))

    @property
    def bits(self) -> float:
        return 2 + sum(p.bits for p in self.parts)

    def holds(self, values: Values) -> Mask:
        n = len(next(iter(values.values())))
        return np.logical_or.reduce([p.holds(values) for p in self.parts]) if self.parts else np.zeros(n, bool)

    def draft(self, draft: Draft) -> str:
        return _junction(draft, "symbolic.or", self.parts)


Formula = IsIn | Above | Not | All | Some


def _junction(draft: Draft, op: str, parts: tuple[Formula, ...]) -> str:
    inner = [p.draft(draft) for p in parts]
    return draft.add(op, inner, draft[inner[0]].type, hint=op.split(".")[1])


def _entry(values: NDArray[np.generic], k: int) -> NDArray[np.float64]:
    """A class of a real variable, or whether a category is this one."""
    return np.asarray(values[:, k] if values.ndim > 1 else values == k, np.float64)


def _number_bits(value: float) -> float:
    if float(value).is_integer():
        return integer_bits(int(value))
    digits = len(f"{abs(value):.6g}".replace(".", "").strip("0"))
    return 3.33 * digits + 5


def _tidy(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)
