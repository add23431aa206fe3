"""Attention: torch's own operator, or written out, with any order of axes, scaling and masks in between.

What comes out is queries, keys and values with axes [batch, head, position, d_head], scores, masks, the pattern and
the mixed values. Projections on both sides are left to the recogniser of affine maps, and whatever else happens to
queries and keys (rotary positions, norms) stays as it is.
"""

from __future__ import annotations

import math

import torch

from exegesis.lift.affine import stretch_to
from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.recognise import masks
from exegesis.lift.recognise.attention_parts import MAKER, Masked, component, put_masks, put_mix, put_scores
from exegesis.lift.recognise.attention_written import written_out
from exegesis.lift.recognise.masks import Mask
from exegesis.lift.recognise.matching import is_last_axis, source


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
            done = written_out(bench, cell, count)
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


def _expect(bench: Bench, cell_id: str, part: str, index: int) -> None:
    """Says that queries (keys, values) come from a value where it is a projection, else from the one it is made of."""
    order = bench.positions()
    frontier, between = {cell_id}, list[str]()
    while frontier:
        if len(frontier) == 1:
            (only,) = frontier
            bench.cuts[only] = (part, index)
            stretch = stretch_to(bench, only)
            if stretch is not None and stretch.weight is not None and len(bench[only].shape or ()) >= 3:
                bench.keep.update(between)
                return
            del bench.cuts[only]
        last = max(frontier, key=order.__getitem__)
        frontier.remove(last)
        if bench[last].op in ("input", "component.add", "component.mix", "component.embed"):
            return
        if bench[last].target is not None:
            between.append(last)
        frontier |= {i for i in bench[last].inputs if bench[i].is_real and bench.data(i) - {"positions"}}


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
    scores = put_scores(bench, cell.id, q, k, float(scale), index, None)
    scores = _biased(bench, cell, scores) if masked is None else put_masks(bench, cell.id, scores, masked, index)
    pattern = component(bench, cell.id, "softmax", (scores,), bench[scores], ("pattern", index))
    bench.replace(cell.id, put_mix(bench, cell.id, pattern, v, index, cell.reference))
    return True


def _biased(bench: Bench, cell: Cell, scores: str) -> str:
    """Scores with what the operator adds to them, at tensor level."""
    like, target = bench[scores], torch.ops.aten.add.Tensor
    added = Cell(
        bench.fresh(cell.id),
        "aten.add.Tensor",
        (Ref(scores), cell.arg(3, "attn_mask")),
        target=target,
        shape=like.shape,
        dtype=like.dtype,
        by=MAKER,
        out_of=(cell.id,),
    )
    bench.keep.add(added.id)
    return bench.add(added)


def _fused_masks(bench: Bench, cell: Cell) -> list[Masked] | None:
    """What the operator hides; None where it adds something else."""
    lowest = torch.finfo(torch.float32).min
    if cell.arg(5, "is_causal", False):
        return [Masked(Mask(lowest, False, True, None, None), None)]
    given = cell.arg(3, "attn_mask")
    if given is None:
        return []
    if bench[given.id].dtype == torch.bool:
        return [Masked(masks.from_kept(bench, given.id, lowest), None)]
    mask = masks.from_added(bench, given.id, 1.0)
    return None if mask is None else [Masked(mask, None)]
