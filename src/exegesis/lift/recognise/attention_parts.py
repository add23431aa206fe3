"""The pieces that every attention becomes, whatever it is recognised from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from exegesis.lift.affine import sample_sizes, step
from exegesis.lift.bench import Bench, Cell, Ref, Reference
from exegesis.lift.evaluate import NotComputable, evaluate, resolved
from exegesis.lift.recognise.masks import Mask

MAKER = "lift.attention"


@dataclass(frozen=True)
class Masked:
    """A mask, and the network's value behind it where there is one."""

    mask: Mask
    reference: Reference | None


def component(
    bench: Bench, stem: str, op: str, inputs: tuple[str, ...], like: Cell, role: tuple[str, int], **rest: Any
) -> str:
    """Puts a part of attention number `role[1]` on the bench; returns its id."""
    cell = Cell(
        bench.fresh(stem),
        f"component.{op}",
        tuple(Ref(i) for i in inputs),
        shape=like.shape,
        dtype=like.dtype,
        role=role,
        by=MAKER,
        out_of=(stem,),
        **rest,
    )
    return bench.add(cell)


def put_masks(bench: Bench, stem: str, scores: str, masked: list[Masked], index: int) -> str:
    """Scores with what hides some of them applied in order."""
    current = scores
    for one in masked:
        mask = one.mask
        if not mask.hides:
            continue
        attrs: dict[str, Any] = {"causal": mask.causal, "fill": mask.fill}
        attrs |= {"add": True} if mask.adds else {}
        attrs |= {} if mask.window is None else {"window": mask.window}
        inputs = (current,) if mask.keep is None else (current, mask.keep)
        current = component(
            bench, stem, "mask", inputs, bench[scores], ("mask", index), attrs=attrs, reference=one.reference
        )
    return current


def put_scores(bench: Bench, stem: str, q: str, k: str, scale: float, index: int, reference: Reference | None) -> str:
    """Queries times keys."""
    k = ungrouped(bench, k)
    shape = (*(bench[q].shape or ())[:3], (bench[k].shape or ())[2])
    like = Cell("", "", shape=shape, dtype=bench[q].dtype)
    return component(
        bench, stem, "scores", (q, k), like, ("scores", index), attrs={"scale": scale}, reference=reference
    )


def put_mix(bench: Bench, stem: str, pattern: str, v: str, index: int, reference: Reference | None) -> str:
    """Values mixed by a pattern."""
    v = ungrouped(bench, v)
    shape = (*(bench[pattern].shape or ())[:3], (bench[v].shape or ())[3])
    like = Cell("", "", shape=shape, dtype=bench[v].dtype)
    return component(bench, stem, "mix", (pattern, v), like, ("z", index), reference=reference)


def ungrouped(bench: Bench, cell_id: str) -> str:
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
