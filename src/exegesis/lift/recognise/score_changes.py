"""What happens to scores between the product of queries and keys and the softmax: scaling, masks, and anything else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.evaluate import evaluate
from exegesis.lift.recognise import masks
from exegesis.lift.recognise.attention_parts import Masked
from exegesis.lift.recognise.contractions import contraction
from exegesis.lift.recognise.matching import number, source


@dataclass(frozen=True)
class Change:
    """One thing that happens to scores, and the cell after it; what is neither scaling nor a mask is `other`."""

    cell: str
    scale: float = 1.0
    hidden: str | None = None
    kept: str | None = None
    added: str | None = None
    sign: float = 1.0
    fill: float = 0.0
    other: str | None = None  # what the cell is applied to


@dataclass(frozen=True)
class Segment:
    """Changes between two of the other kind, innermost first, with what they amount to.

    Attributes:
        start: the cell at which they start: the product of queries and keys, or the one that does something else.
        before: what that cell is applied to, unless it is the product.
        scale: by which all is multiplied.
        scaled: the cell after scaling; None where something is scaled after it was masked: no value is scaled alone.
        masked: the masks, their fillings scaled.
    """

    start: str
    before: str | None
    scale: float
    scaled: str | None
    masked: list[Masked]


def back_to_product(bench: Bench, start: Cell | None) -> tuple[Cell, list[Change]] | None:
    """The product of queries and keys behind a value, and what happened to it on the way (innermost first)."""
    if start is None or start.op == "input" or start.shape is None:
        return None
    if contraction(bench, start) is not None:
        return start, []
    steps = [known] if (known := _change(bench, start)) is not None else _other_changes(bench, start)
    for change, inner in steps:
        found = back_to_product(bench, bench[inner])
        if found is not None:
            return found[0], [*found[1], change]
    return None


def _other_changes(bench: Bench, cell: Cell) -> list[tuple[Change, str]]:
    """An elementwise cell, for each of the values of its shape that it may be taken to change."""
    if cell.name not in ("add", "sub", "mul", "tanh", "activation", "clamp"):
        return []
    inner = [i for i in cell.inputs if bench[i].shape == cell.shape and bench[i].is_real and bench[i].op != "constant"]
    return [(Change(cell.id, other=i), i) for i in inner]


def segments_of(bench: Bench, start: str, changes: list[Change]) -> list[Segment] | None:
    """Changes (innermost first) in segments; None where a mask is neither of the known kinds nor two-valued."""
    found, pending = [], Change(start)
    rest: list[Change] = []
    for change in [*changes, None]:
        if change is not None and change.other is None:
            rest.append(change)
            continue
        masked = _masks(bench, rest)
        if masked is None:
            return None
        kinds = [c.scale == 1.0 for c in rest]
        ordered = kinds == sorted(kinds)  # whether no score is scaled after it was masked
        scaled = next((c.cell for c in reversed(rest) if c.scale != 1.0), pending.cell)
        if not ordered:
            masked = [replace(m, reference=None) for m in masked]
        scale = math.prod((c.scale for c in rest), start=1.0)
        found.append(Segment(pending.cell, pending.other, scale, scaled if ordered else None, masked))
        if change is not None:
            pending, rest = change, []
    return found


def _change(bench: Bench, cell: Cell) -> tuple[Change, str] | None:
    """What a cell does to scores, and the cell it does that to."""
    if cell.kwargs or cell.target is None or len(cell.args) < 2:
        return None
    x = source(bench, cell, 0)
    if cell.name in ("mul", "div") and x is not None and (by := number(bench, cell.args[1])) is not None:
        return Change(cell.id, scale=by if cell.name == "mul" else 1 / by), x.id
    if (
        cell.name == "mul"
        and (by := number(bench, cell.args[0])) is not None
        and (y := source(bench, cell, 1)) is not None
    ):
        return Change(cell.id, scale=by), y.id
    if cell.name == "masked_fill" and x is not None and (fill := _filling(bench, cell.args[2])) is not None:
        return Change(cell.id, hidden=cell.args[1].id, fill=fill), x.id
    if cell.name == "where" and isinstance(cell.args[0], Ref):
        y, z = source(bench, cell, 1), source(bench, cell, 2)
        if y is not None and (fill := _filling(bench, cell.args[2])) is not None:
            return Change(cell.id, kept=cell.args[0].id, fill=fill), y.id
        if z is not None and (fill := _filling(bench, cell.args[1])) is not None:
            return Change(cell.id, hidden=cell.args[0].id, fill=fill), z.id
        return None
    if cell.name in ("add", "sub"):
        for index in (0, 1) if cell.name == "add" else (0,):
            y, other = source(bench, cell, index), cell.args[1 - index]
            if y is None or y.shape != cell.shape or not isinstance(other, Ref) or not _may_be_mask(bench, other.id):
                continue
            if masks.from_added(bench, other.id, 1.0) is not None:
                return Change(cell.id, added=other.id, sign=1.0 if cell.name == "add" else -1.0), y.id
    return None


def _may_be_mask(bench: Bench, cell_id: str) -> bool:
    return "tokens" not in bench.data(cell_id) and not any(bench[i].is_component for i in bench.upstream([cell_id]))


def _filling(bench: Bench, argument: object) -> float | None:
    """What masked scores become; minus infinity as the lowest float32, which gives the same pattern."""
    value = number(bench, argument)
    if value is None and isinstance(argument, Ref) and bench[argument.id].shape == () and not bench.data(argument.id):
        value = float(evaluate(bench, [argument.id], {}, {})[argument.id])
    return None if value is None else max(value, torch.finfo(torch.float32).min)


def _masks(bench: Bench, changes: list[Change]) -> list[Masked] | None:
    """The masks among some changes (innermost first); what is scaled after it was masked has its filling scaled."""
    found: list[Masked] = []
    scale = 1.0
    for change in reversed(changes):
        fill, reference = change.fill * scale, bench[change.cell].reference
        if change.hidden is not None:
            found.append(Masked(masks.from_hidden(bench, change.hidden, fill), reference))
        elif change.kept is not None:
            found.append(Masked(masks.from_kept(bench, change.kept, fill), reference))
        elif change.added is not None:
            mask = masks.from_added(bench, change.added, change.sign)
            if mask is None:
                return None
            found.append(Masked(replace(mask, fill=mask.fill * scale), reference))
        scale *= change.scale
    return found[::-1]
