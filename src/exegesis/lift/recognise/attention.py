"""Attention: torch's own operator, or a product, softmax and product written out; any order of axes, scaling and masks in between.

What comes out is queries, keys and values with axes [batch, head, position, d_head], scores, masks, the pattern and the mixed values. Projections on
both sides are left to the recogniser of affine maps, and whatever else happens to queries and keys (rotary positions, norms) stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from exegesis.lift.affine import sample_sizes, step, stretch_to
from exegesis.lift.bench import Bench, Cell, Ref, Reference
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


def _pattern(
    bench: Bench, stem: str, scores: str, masked: list[_Masked], index: int, reference: Reference | None
) -> str:
    current = scores
    for one in masked:
        mask = one.mask
        if not mask.hides:
            continue
        attrs: dict[str, object] = {"causal": mask.causal, "fill": mask.fill}
        attrs |= {"add": True} if mask.adds else {}
        attrs |= {} if mask.window is None else {"window": mask.window}
        inputs = (current,) if mask.keep is None else (current, mask.keep)
        current = _component(
            bench, stem, "mask", inputs, bench[scores], ("mask", index), attrs=attrs, reference=one.reference
        )
    return _component(bench, stem, "softmax", (current,), bench[scores], ("pattern", index), reference=reference)


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
    frontier = {cell_id}
    while frontier:
        if len(frontier) == 1:
            (only,) = frontier
            stretch = stretch_to(bench, only)
            if stretch is not None and stretch.weight is not None and len(bench[only].shape or ()) >= 3:
                bench.cuts[only] = (part, index)
                return
        last = max(frontier, key=order.__getitem__)
        frontier.remove(last)
        if bench[last].op in ("input", "component.add", "component.mix", "component.embed"):
            return
        if bench[last].name in ("add", "sub"):
            bench.keep.add(last)
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
    pattern = _pattern(bench, cell.id, scores, masked, index, None)
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
    """One thing that happens to scores before the softmax, and the cell after it."""

    cell: str
    scale: float = 1.0
    hidden: str | None = None
    kept: str | None = None
    added: str | None = None
    sign: float = 1.0
    fill: float = 0.0


def _written_out(bench: Bench, cell: Cell, index: int) -> bool:
    start = source(bench, cell, 0)
    changes: list[_Change] = []
    product = None
    while start is not None and (product := contraction(bench, start)) is None:
        change = _change(bench, start)
        if change is None:
            return False
        changes.append(change[0])
        start = bench[change[1]]
    if start is None or product is None:
        return False
    roles = _score_roles(bench, product, start)
    after = _consumer(bench, cell)
    if roles is None or after is None:
        return False
    (product, wanted) = roles
    batch = _batch(bench)
    shapes = [bench[product.a].shape, bench[product.b].shape, start.shape]
    s, t, e = wanted[-3:]
    lead = wanted[:-3]
    layouts = [
        head_layout(axes, lead + last, shape or (), batch)
        for axes, last, shape in zip(
            (product.a_axes, product.b_axes, product.out_axes), (s + e, t + e, s + t), shapes, strict=True
        )
    ]
    masked = _masks(bench, changes)
    if any(x is None for x in layouts) or masked is None or not _fits(bench, masked, layouts[2]):
        return False
    q_layout, k_layout, layout = (x for x in layouts if x is not None)
    scale = math.prod(c.scale for c in changes)
    ordered = _scales_come_first(changes)
    last_scaled = next((c.cell for c in changes if c.scale != 1.0), start.id)
    q, k = to_canonical(bench, product.a, q_layout), to_canonical(bench, product.b, k_layout)
    scores = _scores(bench, start.id, q, k, scale, index, reference_to(bench[last_scaled], layout) if ordered else None)
    if not ordered:
        masked = [replace(m, reference=None) for m in masked]
    masked = [replace(m, reference=reference_to(Cell("", "", reference=m.reference), layout)) for m in masked]
    pattern = _pattern(bench, cell.id, scores, masked, index, reference_to(cell, layout))
    old = from_canonical(bench, pattern, layout)
    bench.replace(cell.id, old)
    _mix_values(bench, after if after != cell.id else old, layout, pattern, old, index)
    return True


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
            if y is not None and y.shape == cell.shape and isinstance(other, Ref) and _may_be_mask(bench, other.id):
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
    """The masks among the changes (given outermost first), innermost first; what is scaled after it was masked has its filling scaled."""
    found: list[_Masked] = []
    scale = 1.0
    for change in changes:
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


def _scales_come_first(changes: list[_Change]) -> bool:
    """Whether no score is scaled after it was masked (outermost change first)."""
    kinds = [c.scale != 1.0 for c in reversed(changes)]
    return kinds == sorted(kinds, reverse=True)


def _fits(bench: Bench, masked: list[_Masked], layout: Layout | None) -> bool:
    """Whether what is kept can be read with the axes [b, h, s, t] as it stands."""
    if layout is None:
        return False
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
