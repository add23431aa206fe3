"""Attention written out: a product, perhaps scaled and masked, a softmax, and a second product."""

from __future__ import annotations

from dataclasses import replace

from exegesis.lift.bench import Bench, Cell, Ref, Size, substituted
from exegesis.lift.recognise.attention_parts import MAKER, Masked, component, put_masks, put_mix, put_scores
from exegesis.lift.recognise.contractions import Contraction, contraction
from exegesis.lift.recognise.layout import Layout, from_canonical, head_layout, reference_to, to_canonical
from exegesis.lift.recognise.matching import number, other_operand, source
from exegesis.lift.recognise.score_changes import Segment, back_to_product, segments_of


def written_out(bench: Bench, cell: Cell, index: int) -> bool:
    """Replaces the attention around a softmax over the last axis, where there is one."""
    found = back_to_product(bench, source(bench, cell, 0))
    after = _consumer(bench, cell)
    if found is None or after is None:
        return False
    start, changes = found
    product = contraction(bench, start)
    roles = _score_roles(bench, product, start) if product is not None else None
    segments = segments_of(bench, start.id, changes)
    if roles is None or segments is None:
        return False
    (product, wanted) = roles
    s, t, e, lead = wanted[-3], wanted[-2], wanted[-1], wanted[:-3]
    shapes = [bench[product.a].shape or (), bench[product.b].shape or (), start.shape or ()]
    axes = [(product.a_axes, s + e), (product.b_axes, t + e), (product.out_axes, s + t)]
    q_layout, k_layout, layout = (
        head_layout(a, lead + last, x, _batch(bench)) for (a, last), x in zip(axes, shapes, strict=True)
    )
    if (
        q_layout is None
        or k_layout is None
        or layout is None
        or not all(_fits(bench, x.masked, layout) for x in segments)
    ):
        return False
    first = segments[0]
    q, k = to_canonical(bench, product.a, q_layout), to_canonical(bench, product.b, k_layout)
    reference = reference_to(bench[first.scaled], layout) if first.scaled else None
    current = put_scores(bench, start.id, q, k, first.scale, index, reference)
    current = _masked(bench, cell.id, current, first.masked, index, layout)
    for segment in segments[1:]:
        current = _otherwise(bench, segment, current, layout)
        current = _masked(bench, cell.id, current, segment.masked, index, layout)
    pattern = component(
        bench, cell.id, "softmax", (current,), bench[current], ("pattern", index), reference=reference_to(cell, layout)
    )
    old = from_canonical(bench, pattern, layout)
    bench.replace(cell.id, old)
    _mix_values(bench, after if after != cell.id else old, layout, pattern, old, index)
    return True


def _masked(bench: Bench, stem: str, current: str, masked: list[Masked], index: int, layout: Layout) -> str:
    there = [replace(m, reference=reference_to(Cell("", "", reference=m.reference), layout)) for m in masked]
    return put_masks(bench, stem, current, there, index)


def _otherwise(bench: Bench, segment: Segment, current: str, layout: Layout) -> str:
    """What else happens to scores, as it stands in the network, and the scaling after it."""
    cell = bench[segment.start]
    inside = Ref(from_canonical(bench, current, layout))
    before = segment.before
    copy = replace(
        cell, id=bench.fresh(cell.id), args=substituted(cell.args, lambda r: inside if r.id == before else r)
    )
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


def _batch(bench: Bench) -> Size:
    first = next((c.shape for c in bench.inputs if c.shape), (0,))
    return first[0]


def _fits(bench: Bench, masked: list[Masked], layout: Layout) -> bool:
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


def _consumer(bench: Bench, softmax: Cell) -> str | None:
    """The pattern as the product with the values reads it, perhaps scaled and shifted; None where none follows."""
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
    z = put_mix(bench, user.id, read, to_canonical(bench, product.b, v_layout), index, reference_to(user, z_layout))
    bench.replace(user.id, from_canonical(bench, z, z_layout))
