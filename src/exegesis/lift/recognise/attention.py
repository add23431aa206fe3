"""Attention: torch's own operator, or a product, softmax and product written out; any order of axes, scaling and masks in between.

What comes out is queries, keys and values with axes [batch, head, position, d_head], scores, masks, the pattern and the mixed values. Projections on
both sides are left to the recogniser of affine maps, and whatever else happens to queries and keys (rotary positions, norms) stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from exegesis.lift.affine import sample_sizes, step, stretch_to
from exegesis.lift.bench import Bench, Cell, Ref, Reference, substituted
from exegesis.lift.evaluate import NotComputable, evaluate, resolved
from exegesis.lift.recognise import masks
from exegesis.lift.recognise.contractions import Contraction, contraction
from exegesis.lift.recognise.layout import Layout, from_canonical, head_layout, reference_to, to_canonical
from exegesis.lift.recognise.masks import Mask
from exegesis.lift.recognise.matching import constant, is_last_axis, number, other_operand, source

MAKER = "lift.attention"


def recognise(bench: Bench) -> int:
    """Replaces every attention; they are numbered in the order of the export."""
    count = 0
    for cell in bench.cells():
        if cell.id not in bench:
            continue
        if cell.name == "scaled_dot_product_attention":
            done = _fused(bench, cell, count)
        elif (
            cell.name in ("softmax", "_softmax")
            and cell.shape is not None
            and is_last_axis(cell.args[1], len(cell.shape))
        ):
            done = _written_out(bench, cell, count)
        else:
            continue
        bench.prune()
        if done:
            _expect_sources(bench, count)
            count += 1
    return count


def _expect_sources(bench: Bench, index: int) -> None:
    """Says where the queries, keys and values of an attention come from."""
    for cell in [c for c in bench.cells() if c.role in (("scores", index), ("z", index))]:
        parts = ("q", "k") if cell.op == "component.scores" else ("pattern", "v")
        for part, operand in zip(parts, cell.args, strict=True):
            if part != "pattern":
                _expect(bench, operand.id, part, index)


# Scores, masks and pattern


@dataclass(frozen=True)
class _Masked:
    """A mask, and the network's value behind it where there is one."""

    mask: Mask
    reference: Reference | None


def _component(
    bench: Bench, stem: str, op: str, inputs: tuple[str, ...], like: Cell, role: tuple[str, int], **rest: object
) -> str:
    cell = Cell(
        bench.fresh(stem),
        f"component.{op}",
        tuple(Ref(i) for i in inputs),
        shape=like.shape,
        dtype=like.dtype,
        role=role,
        by=MAKER,
        out_of=(stem,),
        **rest,  # type: ignore[arg-type]
    )
    return bench.add(cell)


def _masks_on(bench: Bench, stem: str, scores: str, masked: list[_Masked], index: int) -> str:
    current = scores
    for one in masked:
        mask = one.mask
        if not mask.hides:
            continue
        attrs: dict[str, object] = {"causal": mask.causal, "fill": mask.fill}
        attrs |= {"add": True} if mask.adds else {}
        attrs |= {} if mask.window is None else {"window": mask.window}
        inputs = (current,) if mask.keep is None else (current, mask.keep)
        current = _component(bench, stem, "mask", inputs, bench[scores], ("mask", index), attrs=attrs, reference=one.reference)
    return current


def _scores(bench: Bench, stem: str, q: str, k: str, scale: float, index: int, reference: Reference | None) -> str:
    k = _ungrouped(bench, k)
    shape = (*(bench[q].shape or ())[:3], (bench[k].shape or ())[2])
    like = Cell("", "", shape=shape, dtype=bench[q].dtype)
    return _component(
        bench, stem, "scores", (q, k), like, ("scores", index), attrs={"scale": scale}, reference=reference
    )


def _mix(bench: Bench, stem: str, pattern: str, v: str, index: int, reference: Reference | None) -> str:
    v = _ungrouped(bench, v)
    shape = (*(bench[pattern].shape or ())[:3], (bench[v].shape or ())[3])
    like = Cell("", "", shape=shape, dtype=bench[v].dtype)
    return _component(bench, stem, "mix", (pattern, v), like, ("z", index), reference=reference)


def _ungrouped(bench: Bench, cell_id: str) -> str:
    """The value with one head per group, where each is only repeated for the queries of its group."""
    heads = (bench[cell_id].shape or ())[1]
    current = cell_id
    while isinstance(heads, int) and (one := step(bench, current)) is not None and one.kind == "layout":
        current = one.source
        shape = bench[current].shape
        if shape is None or len(shape) != 4 or not isinstance(shape[1], int) or shape[1] >= heads or heads % shape[1]:
            continue
        sizes = sample_sizes(bench, 2, 5)
        try:
            x = torch.randn(
                [resolved(s, sizes) for s in shape], dtype=torch.float64, generator=torch.Generator().manual_seed(0)
            )
            repeated = evaluate(bench, [cell_id], {current: x}, sizes)[cell_id]
        except NotComputable:
            continue
        wanted = x.repeat_interleave(heads // shape[1], dim=1)
        if repeated.shape == wanted.shape and bool((repeated == wanted).all()):
            return current
    return cell_id


def _expect(bench: Bench, cell_id: str, part: str, index: int) -> None:
    """Says that queries (keys, values) come from here: from the value itself where it is a projection, else from what it is made of."""
    order = bench.positions()
    frontier, between = {cell_id}, list[str]()
    while frontier:
        if len(frontier) == 1:
            (only,) = frontier
            stretch = stretch_to(bench, only)
            if stretch is not None and stretch.weight is not None and len(bench[only].shape or ()) >= 3:
                bench.cuts[only] = (part, index)
                bench.keep.update(between)
                return
        last = max(frontier, key=order.__getitem__)
        frontier.remove(last)
        if bench[last].op in ("input", "component.add", "component.mix", "component.embed"):
            return
        if bench[last].target is not None:
            between.append(last)
        frontier |= {i for i in bench[last].inputs if bench[i].is_real and bench.data(i) - {"positions"}}


# torch's operator


def _fused(bench: Bench, cell: Cell, index: int) -> bool:
    operands = [source(bench, cell, i) for i in range(3)]
    shapes = [o.shape for o in operands if o is not None and o.shape is not None]
    if len(shapes) != 3 or any(len(s) != 4 for s in shapes) or cell.shape is None:
        return False
    q, k, v = (o.id for o in operands if o is not None)
    width = shapes[0][-1]
    scale = cell.kwargs.get("scale")
    if scale is None:
        if not isinstance(width, int):
            return False
        scale = 1 / math.sqrt(width)
    masked = _fused_masks(bench, cell)
    if masked is None:
        return False
    scores = _scores(bench, cell.id, q, k, float(scale), index, None)
    scores = _masks_on(bench, cell.id, scores, masked, index)
    pattern = _component(bench, cell.id, "softmax", (scores,), bench[scores], ("pattern", index))
    bench.replace(cell.id, _mix(bench, cell.id, pattern, v, index, cell.reference))
    return True


def _fused_masks(bench: Bench, cell: Cell) -> list[_Masked] | None:
    lowest = torch.finfo(torch.float32).min
    if cell.arg(5, "is_causal", False):
        return [_Masked(Mask(lowest, False, True, None, None), None)]
    given = cell.arg(3, "attn_mask")
    if given is None:
        return []
    if bench[given.id].dtype == torch.bool:
        return [_Masked(masks.from_kept(bench, given.id, lowest), None)]
    mask = masks.from_added(bench, given.id, 1.0)
    return None if mask is None else [_Masked(mask, None)]


# Written out


@dataclass(frozen=True)
class _Change:
    """One thing that happens to scores before the softmax, and the cell after it; anything else than scaling and masks is `other`."""

    cell: str
    scale: float = 1.0
    hidden: str | None = None
    kept: str | None = None
    added: str | None = None
    sign: float = 1.0
    fill: float = 0.0
    other: str | None = None  # what the cell is applied to


@dataclass(frozen=True)
class _Segment:
    """Changes between two of the other kind, innermost first, with what they amount to.

    Attributes:
        start: the cell at which they start: the product of queries and keys, or the one that does something else.
        before: what that cell is applied to, unless it is the product.
        scale: by which all is multiplied.
        scaled: the cell after scaling; None where something is scaled after it was masked, so that no one value is scaled but not masked.
        masked: the masks, their fillings scaled.
    """

    start: str
    before: str | None
    scale: float
    scaled: str | None
    masked: list[_Masked]


def _written_out(bench: Bench, cell: Cell, index: int) -> bool:
    found = _back_to_product(bench, source(bench, cell, 0))
    after = _consumer(bench, cell)
    if found is None or after is None:
        return False
    start, changes = found
    product = contraction(bench, start)
    roles = _score_roles(bench, product, start) if product is not None else None
    segments = _segments(bench, start.id, changes)
    if roles is None or segments is None:
        return False
    (product, wanted) = roles
    s, t, e, lead = wanted[-3], wanted[-2], wanted[-1], wanted[:-3]
    shapes = [bench[product.a].shape or (), bench[product.b].shape or (), start.shape or ()]
    axes = [(product.a_axes, s + e), (product.b_axes, t + e), (product.out_axes, s + t)]
    q_layout, k_layout, layout = (head_layout(a, lead + last, x, _batch(bench)) for (a, last), x in zip(axes, shapes, strict=True))
    if q_layout is None or k_layout is None or layout is None or not all(_fits(bench, x.masked, layout) for x in segments):
        return False
    first = segments[0]
    q, k = to_canonical(bench, product.a, q_layout), to_canonical(bench, product.b, k_layout)
    reference = reference_to(bench[first.scaled], layout) if first.scaled else None
    current = _scores(bench, start.id, q, k, first.scale, index, reference)
    current = _masked(bench, cell.id, current, first.masked, index, layout)
    for segment in segments[1:]:
        current = _otherwise(bench, segment, current, layout)
        current = _masked(bench, cell.id, current, segment.masked, index, layout)
    pattern = _component(bench, cell.id, "softmax", (current,), bench[current], ("pattern", index), reference=reference_to(cell, layout))
    old = from_canonical(bench, pattern, layout)
    bench.replace(cell.id, old)
    _mix_values(bench, after if after != cell.id else old, layout, pattern, old, index)
    return True


def _masked(bench: Bench, stem: str, current: str, masked: list[_Masked], index: int, layout: Layout) -> str:
    there = [replace(m, reference=reference_to(Cell("", "", reference=m.reference), layout)) for m in masked]
    return _masks_on(bench, stem, current, there, index)


def _otherwise(bench: Bench, segment: _Segment, current: str, layout: Layout) -> str:
    """What else happens to scores, as it stands in the network, and the scaling after it."""
    cell = bench[segment.start]
    inside = Ref(from_canonical(bench, current, layout))
    before = segment.before
    copy = replace(cell, id=bench.fresh(cell.id), args=substituted(cell.args, lambda r: inside if r.id == before else r))
    bench.keep.add(bench.add(copy))
    current = to_canonical(bench, copy.id, layout)
    if segment.scale == 1.0:
        return current
    made = Cell(
        bench.fresh(cell.id),
        "component.scale",
        (Ref(current),),
        shape=bench[current].shape,
        dtype=cell.dtype,
        attrs={"by": segment.scale},
        reference=reference_to(bench[segment.scaled], layout) if segment.scaled else None,
        by=MAKER,
        out_of=(cell.id,),
    )
    return bench.add(made)


def _back_to_product(bench: Bench, start: Cell | None) -> tuple[Cell, list[_Change]] | None:
    """The product of queries and keys behind a value, and what happened to it on the way (innermost first)."""
    if start is None or start.op == "input" or start.shape is None:
        return None
    if contraction(bench, start) is not None:
        return start, []
    steps = [known] if (known := _change(bench, start)) is not None else _other_changes(bench, start)
    for change, inner in steps:
        found = _back_to_product(bench, bench[inner])
        if found is not None:
            return found[0], [*found[1], change]
    return None


def _other_changes(bench: Bench, cell: Cell) -> list[tuple[_Change, str]]:
    """An elementwise cell, for each of the values of its shape that it may be taken to change."""
    if cell.name not in ("add", "sub", "mul", "tanh", "activation", "clamp"):
        return []
    inner = [i for i in cell.inputs if bench[i].shape == cell.shape and bench[i].is_real and bench[i].op != "constant"]
    return [(_Change(cell.id, other=i), i) for i in inner]


def _segments(bench: Bench, start: str, changes: list[_Change]) -> list[_Segment] | None:
    found, pending = [], _Change(start)
    rest: list[_Change] = []
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
        scale = math.prod(c.scale for c in rest)
        found.append(_Segment(pending.cell, pending.other, scale, scaled if ordered else None, masked))
        if change is not None:
            pending, rest = change, []
    return found


def _batch(bench: Bench) -> object:
    first = next((c.shape for c in bench.inputs if c.shape), (0,))
    return first[0]


def _change(bench: Bench, cell: Cell) -> tuple[_Change, str] | None:
    """What a cell does to scores, and the cell it does that to."""
    if cell.kwargs or cell.target is None or len(cell.args) < 2:
        return None
    x = source(bench, cell, 0)
    if cell.name in ("mul", "div") and x is not None and (by := number(bench, cell.args[1])) is not None:
        return _Change(cell.id, scale=by if cell.name == "mul" else 1 / by), x.id
    if (
        cell.name == "mul"
        and (by := number(bench, cell.args[0])) is not None
        and (y := source(bench, cell, 1)) is not None
    ):
        return _Change(cell.id, scale=by), y.id
    if cell.name == "masked_fill" and x is not None and (fill := _filling(bench, cell.args[2])) is not None:
        return _Change(cell.id, hidden=cell.args[1].id, fill=fill), x.id
    if cell.name == "where" and isinstance(cell.args[0], Ref):
        y, z = source(bench, cell, 1), source(bench, cell, 2)
        if y is not None and (fill := _filling(bench, cell.args[2])) is not None:
            return _Change(cell.id, kept=cell.args[0].id, fill=fill), y.id
        if z is not None and (fill := _filling(bench, cell.args[1])) is not None:
            return _Change(cell.id, hidden=cell.args[0].id, fill=fill), z.id
        return None
    if cell.name in ("add", "sub"):
        for index in (0, 1) if cell.name == "add" else (0,):
            y, other = source(bench, cell, index), cell.args[1 - index]
            if y is None or y.shape != cell.shape or not isinstance(other, Ref) or not _may_be_mask(bench, other.id):
                continue
            if masks.from_added(bench, other.id, 1.0) is not None:
                return _Change(cell.id, added=other.id, sign=1.0 if cell.name == "add" else -1.0), y.id
    return None


def _may_be_mask(bench: Bench, cell_id: str) -> bool:
    return "tokens" not in bench.data(cell_id) and not any(bench[i].is_component for i in bench.upstream([cell_id]))


def _filling(bench: Bench, argument: object) -> float | None:
    """What masked scores become; minus infinity as the lowest float32, which gives the same pattern."""
    value = number(bench, argument)
    if value is None and isinstance(argument, Ref) and bench[argument.id].shape == () and not bench.data(argument.id):
        value = float(evaluate(bench, [argument.id], {}, {})[argument.id])
    return None if value is None else max(value, torch.finfo(torch.float32).min)


def _masks(bench: Bench, changes: list[_Change]) -> list[_Masked] | None:
    """The masks among some changes (innermost first); what is scaled after it was masked has its filling scaled."""
    found: list[_Masked] = []
    scale = 1.0
    for change in reversed(changes):
        fill, reference = change.fill * scale, bench[change.cell].reference
        if change.hidden is not None:
            found.append(_Masked(masks.from_hidden(bench, change.hidden, fill), reference))
        elif change.kept is not None:
            found.append(_Masked(masks.from_kept(bench, change.kept, fill), reference))
        elif change.added is not None:
            mask = masks.from_added(bench, change.added, change.sign)
            if mask is None:
                return None
            found.append(_Masked(replace(mask, fill=mask.fill * scale), reference))
        scale *= change.scale
    return found[::-1]


def _fits(bench: Bench, masked: list[_Masked], layout: Layout) -> bool:
    """Whether what is kept can be read with the axes [b, h, s, t] as it stands."""
    plain = layout.heads == "given" and layout.order == tuple(range(4))
    return all(m.mask.keep is None or plain or (bench[m.mask.keep].shape or ())[:2] == (1, 1) for m in masked)


def _score_roles(bench: Bench, product: Contraction, cell: Cell) -> tuple[Contraction, str] | None:
    """The product with queries first, and its letters in the order batch…, query, key, d_head."""
    key = product.out_axes[-1]
    if key in product.a_axes:
        product = product.flipped()
    shared = set(product.a_axes) & set(product.b_axes)
    inner = shared - set(product.out_axes)
    query = set(product.a_axes) & set(product.out_axes) - shared
    lead = [a for a in product.out_axes if a in shared]
    if key in product.a_axes or len(inner) != 1 or len(query) != 1 or len(lead) not in (1, 2):
        return None
    if set(product.b_axes) != {*lead, key, *inner} or set(product.a_axes) != {*lead, *query, *inner}:
        return None
    sizes = dict(zip(product.out_axes, cell.shape or (), strict=True))
    if len(lead) == 2 and sizes[lead[1]] == _batch(bench) and sizes[lead[0]] != _batch(bench):
        lead.reverse()
    return product, "".join(lead) + query.pop() + key + inner.pop()


# From the pattern to the mixed values


def _consumer(bench: Bench, softmax: Cell) -> str | None:
    """The pattern as the product with the values reads it: perhaps scaled and shifted. None where no such product follows."""
    current = softmax
    while (user := bench.sole_user(current.id)) is not None:
        if contraction(bench, user) is not None:
            return current.id
        if user.name not in ("mul", "add", "div", "sub") or number(bench, other_operand(user, current.id)) is None:
            return None
        current = user
    return None


def _mix_values(bench: Bench, pattern: str, layout: Layout, canonical: str, restored: str, index: int) -> None:
    """Replaces the product of a pattern (in the network's layout) with values, unless it has axes of another kind."""
    user = bench.sole_user(pattern)
    product = contraction(bench, user) if user is not None else None
    if user is None or product is None:
        return
    if product.a != pattern:
        product = product.flipped()
    by_role = {role: axis for axis, role in zip(product.a_axes, layout.order, strict=True)}
    wanted = "".join(by_role[i] for i in range(len(by_role)))
    key, query, lead = wanted[-1], wanted[-2], wanted[:-2]
    inner = set(product.b_axes) - {*lead, key}
    if (
        len(inner) != 1
        or set(product.b_axes) != {*lead, key, *inner}
        or set(product.out_axes) != {*lead, query, *inner}
    ):
        return
    width = inner.pop()
    v_layout = head_layout(product.b_axes, lead + key + width, bench[product.b].shape or (), _batch(bench))
    z_layout = head_layout(product.out_axes, lead + query + width, user.shape or (), _batch(bench))
    if v_layout is None or z_layout is None:
        return
    read = canonical if pattern == restored else to_canonical(bench, pattern, layout)
    z = _mix(bench, user.id, read, to_canonical(bench, product.b, v_layout), index, reference_to(user, z_layout))
    bench.replace(user.id, from_canonical(bench, z, z_layout))
