"""Expressions of the programs we write, and how they are laid out: stable under `ruff format` at 100 columns.

An expression knows its text on one line, how tightly it binds and how deep its calls are nested. Where one line is too
narrow it is broken at its outermost bracket or operator, the way ruff would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Number: TypeAlias = float | int

WIDTH = 100
INDENT = 4

# How tightly operators bind; a lower number needs brackets inside a higher one.
COMPARISON, OR, AND, SUM, PRODUCT, UNARY, ATOM = range(7)

_BINDING = {"|": OR, "&": AND, "+": SUM, "-": SUM, "*": PRODUCT, "@": PRODUCT}
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
_DENIED = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Code:
    """An expression: its text on one line, how its outermost operator binds, how deep calls nest, names it uses."""

    text: str
    binding: int = ATOM
    depth: int = 0
    uses: frozenset[str] = frozenset()

    def inside(self, binding: int) -> str:
        """The text, bracketed where something that binds as tightly as `binding` surrounds it."""
        return f"({self.text})" if self.binding < binding else self.text

    def broken(self, indent: int, prefix: str, suffix: str) -> list[str]:
        """The lines of this expression between a prefix and a suffix, inside brackets, when one line is too narrow."""
        return [f"{' ' * indent}{prefix}{self.text}{suffix}"]

    @property
    def brackets(self) -> bool:
        """Whether it ends in brackets of its own at which it can be broken."""
        return False


@dataclass(frozen=True)
class Bracketed(Code):
    """`head` + items + closing bracket: a call, or a list, set, dict or tuple literal."""

    head: str = ""
    items: tuple[tuple[str, Code], ...] = ()
    close: str = ")"

    def broken(self, indent: int, prefix: str, suffix: str) -> list[str]:
        pad, inner = " " * indent, " " * (indent + INDENT)
        body = ", ".join(f"{key}{item.text}" for key, item in self.items)
        is_call = self.close.startswith(")") and self.head != "("
        lines = [f"{pad}{prefix}{self.head}"]
        if is_call and len(inner) + len(body) <= WIDTH:
            lines.append(f"{inner}{body}")
        else:
            for key, item in self.items:
                lines += laid_out(item, indent + INDENT, key, ",")
        return [*lines, f"{pad}{self.close}{suffix}"]

    def with_item(self, k: int, item: Code) -> Bracketed:
        """The same with another item in place k. What the item in its place uses is still counted as used."""
        items = (*self.items[:k], (self.items[k][0], item), *self.items[k + 1 :])
        made = _bracketed(self.head, items, self.close)
        return Bracketed(made.text, ATOM, made.depth, self.uses, made.head, made.items, made.close)

    @property
    def brackets(self) -> bool:
        return bool(self.items)


@dataclass(frozen=True)
class Chain(Code):
    """Operands joined by operators of one binding: `a + b - c`, `a & b`."""

    operands: tuple[Code, ...] = ()
    operators: tuple[str, ...] = ()

    def broken(self, indent: int, prefix: str, suffix: str) -> list[str]:
        pad = " " * indent
        first, *others = [o.inside(self.binding + (k > 0)) for k, o in enumerate(self.operands)]
        rest = [f"{pad}{op} {text}" for op, text in zip(self.operators, others, strict=True)]
        lines = [f"{pad}{prefix}{first}", *rest]
        return [*lines[:-1], lines[-1] + suffix]


@dataclass(frozen=True)
class Comparison(Code):
    """`left operator right`."""

    left: Code = field(default_factory=lambda: Code(""))
    operator: str = "=="
    right: Code = field(default_factory=lambda: Code(""))

    @property
    def denied(self) -> Comparison:
        """The comparison that holds exactly where this one does not."""
        return compared(self.left, _DENIED[self.operator], self.right)

    def broken(self, indent: int, prefix: str, suffix: str) -> list[str]:
        pad = " " * indent
        left, right = self.left.inside(COMPARISON + 1), self.right.inside(COMPARISON + 1)
        return [f"{pad}{prefix}{left}", f"{pad}{self.operator} {right}{suffix}"]


@dataclass(frozen=True)
class Term:
    """One summand of a linear form. The sum of bools alone would not be a number, hence `is_bool`."""

    coefficient: Number
    code: Code
    is_bool: bool = False


@dataclass(frozen=True)
class Linear(Code):
    """A sum of terms and a constant; a comparison may spread its terms over both sides."""

    terms: tuple[Term, ...] = ()
    plus: Number = 0
    pieces: tuple[str, ...] = ()

    def broken(self, indent: int, prefix: str, suffix: str) -> list[str]:
        pad = " " * indent
        lines = [f"{pad}{prefix}{self.pieces[0]}", *(f"{pad}{piece}" for piece in self.pieces[1:])]
        return [*lines[:-1], lines[-1] + suffix]


def name(text: str) -> Code:
    """A variable."""
    return Code(text)


def number(value: Number) -> str:
    """The shortest way to write a number."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def literal(value: Number) -> Code:
    """A number."""
    return Code(number(value), UNARY if value < 0 else ATOM)


def call(function: str, *arguments: Code, **keywords: Code) -> Bracketed:
    """A call of a primitive, or with a dotted name of something imported (`np.where`)."""
    items = (*(("", a) for a in arguments), *((f"{k}=", v) for k, v in keywords.items()))
    made = _bracketed(f"{function}(", items, ")")
    used = frozenset({function.split(".")[0]}) | made.uses
    return Bracketed(made.text, ATOM, made.depth + 1, used, made.head, made.items, made.close)


def set_of(items: Iterable[Code]) -> Code:
    """A set literal, or `set()`."""
    items = tuple(items)
    return _bracketed("{", tuple(("", i) for i in items), "}") if items else Code("set()")


def list_of(items: Iterable[Code]) -> Bracketed:
    """A list literal."""
    return _bracketed("[", tuple(("", i) for i in items), "]")


def tuple_of(items: Iterable[Code]) -> Code:
    """A tuple; a comma tells one of a single item from brackets."""
    items = tuple(items)
    if len(items) == 1:
        return Code(f"({items[0].text},)", ATOM, items[0].depth, items[0].uses)
    return _bracketed("(", tuple(("", i) for i in items), ")")


def starred(value: Code) -> Code:
    """The items of something, inside a display: `*value`."""
    return Code(f"*{value.inside(ATOM)}", ATOM, value.depth, value.uses)


def several(items: Sequence[Code]) -> Code:
    """What a definition returns: one value, or several with commas between, bracketed only where they need lines."""
    if len(items) == 1:
        return items[0]
    made = _bracketed("(", tuple(("", i) for i in items), ")")
    return Bracketed(made.text[1:-1], ATOM, made.depth, made.uses, made.head, made.items, made.close)


def dict_of(items: Iterable[tuple[Code, Code]]) -> Bracketed:
    """A dict literal."""
    pairs = tuple(items)
    made = _bracketed("{", tuple((f"{key.text}: ", value) for key, value in pairs), "}")
    uses = made.uses.union(*(key.uses for key, _ in pairs))
    return Bracketed(made.text, ATOM, made.depth, uses, made.head, made.items, made.close)


def _bracketed(head: str, items: tuple[tuple[str, Code], ...], close: str) -> Bracketed:
    text = head + ", ".join(f"{key}{item.text}" for key, item in items) + close
    depth = max((item.depth for _, item in items), default=0)
    uses = frozenset().union(*(item.uses for _, item in items))
    return Bracketed(text, ATOM, depth, uses, head, items, close)


def index(value: Code, at: str, uses: frozenset[str] = frozenset()) -> Code:
    """`value[at]`."""
    return Code(f"{value.inside(ATOM)}[{at}]", ATOM, value.depth, value.uses | uses)


def method(value: Code, called: str, argument: str = "") -> Code:
    """`value.called(argument)`; a call keeps its brackets for breaking."""
    if isinstance(value, Bracketed) and value.binding == ATOM:
        tail = f"{value.close}.{called}({argument})"
        text = value.text.removesuffix(value.close) + tail
        return Bracketed(text, ATOM, value.depth, value.uses, value.head, value.items, tail)
    return Code(f"{value.inside(ATOM)}.{called}({argument})", ATOM, value.depth, value.uses)


def chain(operator: str, operands: Sequence[Code]) -> Code:
    """`a & b & c`; a single operand is itself."""
    if len(operands) == 1:
        return operands[0]
    binding = _BINDING[operator]
    text = f" {operator} ".join(o.inside(binding + (k > 0)) for k, o in enumerate(operands))
    operators = (operator,) * (len(operands) - 1)
    return Chain(text, binding, _depth(operands), _uses(operands), tuple(operands), operators)


def denied(value: Code) -> Code:
    """Logical not: a comparison is turned round, anything else gets a `~`."""
    if isinstance(value, Comparison):
        return value.denied
    if value.text.startswith("~") and value.binding == UNARY:
        return Code(value.text[1:], ATOM, value.depth, value.uses)
    if isinstance(value, Bracketed):
        head = f"~{value.head}"
        return Bracketed(f"~{value.text}", UNARY, value.depth, value.uses, head, value.items, value.close)
    return Code(f"~{value.inside(UNARY)}", UNARY, value.depth, value.uses)


def compared(left: Code, operator: str, right: Code) -> Comparison:
    """`left operator right`."""
    text = f"{left.inside(COMPARISON + 1)} {operator} {right.inside(COMPARISON + 1)}"
    both = (left, right)
    return Comparison(text, COMPARISON, _depth(both), _uses(both), left, operator, right)


def linear(terms: Iterable[Term], plus: Number = 0) -> Linear:
    """A linear form, what is positive first; at least one term."""
    ordered = sorted(terms, key=lambda t: t.coefficient < 0)
    leads = plus > 0 and ordered[0].coefficient < 0
    pieces = [number(plus)] if leads else []
    for term in ordered:
        size, first = abs(term.coefficient), not pieces
        explicit = size != 1 or (first and term.is_bool)
        text = f"{number(size)} * {term.code.inside(PRODUCT + 1)}" if explicit else term.code.inside(SUM + 1)
        sign = ("-" if term.coefficient < 0 else "") if first else ("- " if term.coefficient < 0 else "+ ")
        pieces.append(sign + text)
    if plus and not leads:
        pieces.append(f"{'-' if plus < 0 else '+'} {number(abs(plus))}")
    codes = [t.code for t in ordered]
    binding = SUM if len(pieces) > 1 else UNARY if pieces[0].startswith("-") else PRODUCT
    if pieces == [codes[0].text]:
        binding = codes[0].binding
    return Linear(" ".join(pieces), binding, _depth(codes), _uses(codes), tuple(ordered), plus, tuple(pieces))


def compared_form(form: Code, operator: str, to: Number) -> Comparison:
    """A comparison of a number; a linear form puts its negative terms on the right, so that no minus is left."""
    if not isinstance(form, Linear):
        return compared(form, operator, literal(to))
    left = [t for t in form.terms if t.coefficient > 0]
    right = [Term(-t.coefficient, t.code, t.is_bool) for t in form.terms if t.coefficient < 0]
    constant = to - form.plus
    if not left:
        return compared(linear(right), _FLIPPED[operator], literal(-constant or 0))
    if not right:
        return compared(linear(left), operator, literal(constant))
    return compared(linear(left, max(-constant, 0)), operator, linear(right, max(constant, 0)))


def first_table(code: Bracketed) -> int | None:
    """The place of the first dict literal among the items of a call."""
    dicts = (k for k, (_, i) in enumerate(code.items) if isinstance(i, Bracketed) and i.items and ": " in i.items[0][0])
    return next(dicts, None)


def laid_out(code: Code, indent: int, prefix: str = "", suffix: str = "") -> list[str]:
    """The lines of an expression that already stands inside brackets."""
    line = f"{' ' * indent}{prefix}{code.text}{suffix}"
    return [line] if len(line) <= WIDTH else code.broken(indent, prefix, suffix)


def statement(prefix: str, code: Code, indent: int = INDENT) -> list[str]:
    """The lines of `prefix code`, where prefix is `return ` or `x = `."""
    line = f"{' ' * indent}{prefix}{code.text}"
    if len(line) <= WIDTH:
        return [line]
    if code.brackets:
        return code.broken(indent, prefix, "")
    pad = " " * indent
    return [f"{pad}{prefix}(", *laid_out(code, indent + INDENT), f"{pad})"]


def _depth(codes: Iterable[Code]) -> int:
    return max((c.depth for c in codes), default=0)


def _uses(codes: Iterable[Code]) -> frozenset[str]:
    return frozenset().union(*(c.uses for c in codes))
