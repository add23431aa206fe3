"""What a mask hides, found by evaluating it: causal, a window, or whatever its author wrote, kept as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from exegesis.lift.affine import sample_sizes
from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.evaluate import NotComputable, Sizes, evaluate, resolved
from exegesis.lift.recognise.matching import number

CONSECUTIVE = "position ids rise by one along each sequence"
_SHAPES = ((2, 5), (3, 4), (2, 9))
_LONGEST = 4096


@dataclass(frozen=True)
class Mask:
    """Which scores are replaced (or, with `adds`, raised) by `fill`.

    Those of later keys if `causal`, of keys further back than `window`, and of keys that `keep` is false for.
    """

    fill: float
    adds: bool
    causal: bool
    window: int | None
    keep: str | None

    @property
    def hides(self) -> bool:
        """Whether anything is hidden at all."""
        return self.causal or self.window is not None or self.keep is not None


def from_hidden(bench: Bench, hidden: str, fill: float) -> Mask:
    """The mask of `masked_fill(scores, hidden, fill)`."""
    return _mask(bench, [(hidden, True)], fill, adds=False)


def from_kept(bench: Bench, kept: str, fill: float) -> Mask:
    """The mask of `where(kept, scores, fill)`."""
    return _mask(bench, [(kept, False)], fill, adds=False)


def from_added(bench: Bench, added: str, sign: float) -> Mask | None:
    """The mask of scores + sign · added; None where `added` holds more than zeros and one other value."""
    samples = [v for v in _samples(bench, added, flags=True) if v is not None]
    others = {float(x) for v in samples for x in torch.unique(v) if float(x) != 0.0}
    if not others and samples and not bench.data(added):
        return Mask(0.0, True, False, None, None)
    if len(others) != 1:
        return None
    fill = max(sign * others.pop(), torch.finfo(torch.float32).min)
    cell = bench[added]
    if (
        cell.name in ("where",)
        and len(cell.args) == 3
        and number(bench, cell.args[1]) == 0
        and isinstance(cell.args[0], Ref)
    ):
        return _mask(bench, [(cell.args[0].id, False)], fill, adds=True)
    if cell.name == "expand" and isinstance(cell.args[0], Ref):
        return from_added(bench, cell.args[0].id, sign)
    zero = _tensor_cell(bench, torch.ops.aten.eq.Scalar, (Ref(added), 0), cell.shape)
    return _mask(bench, [(zero, False)], fill, adds=True)


def _mask(bench: Bench, parts: list[tuple[str, bool]], fill: float, *, adds: bool) -> Mask:
    """Parts are (boolean value, whether it says what is hidden); a key is seen where all of them let it be seen."""
    causal, window, rest = False, None, []
    for part, says_hidden in _conjuncts(bench, parts):
        pattern = _classify(bench, part, says_hidden)
        if pattern is None:
            rest.append((part, says_hidden))
            continue
        causal |= pattern.causal
        if pattern.window is not None:
            window = pattern.window if window is None else min(pattern.window, window)
    return Mask(fill, adds, causal, window, _joined(bench, rest))


def _conjuncts(bench: Bench, parts: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """What must all hold for a key to be seen: each "and" of what is kept and "or" of what is hidden taken apart."""
    found: list[tuple[str, bool]] = []
    stack = list(parts)
    while stack:
        part, says_hidden = stack.pop()
        cell = bench[part]
        operands = [a.id for a in cell.args if isinstance(a, Ref)]
        joins = (
            ("__or__", "bitwise_or", "logical_or", "add")
            if says_hidden
            else ("__and__", "bitwise_and", "logical_and", "mul")
        )
        booleans = cell.dtype == torch.bool and all(bench[o].dtype == torch.bool for o in operands)
        if cell.name in joins and len(operands) == 2 and booleans:
            stack += [(o, says_hidden) for o in reversed(operands)]
        elif cell.name in ("logical_not", "bitwise_not") and booleans:
            stack.append((operands[0], not says_hidden))
        elif (
            cell.name == "expand"
            and booleans
            and cell.shape is not None
            and len(cell.shape) == len(bench[operands[0]].shape or ())
        ):
            stack.append((operands[0], says_hidden))
        else:
            found.append((part, says_hidden))
    return found


@dataclass(frozen=True)
class _Pattern:
    """What is let be seen by the distance from query back to key alone."""

    causal: bool
    window: int | None

    def at(self, length: int) -> Tensor:
        """[query, key]."""
        distance = torch.arange(length)[:, None] - torch.arange(length)
        seen = distance >= 0 if self.causal else torch.ones_like(distance, dtype=torch.bool)
        return seen if self.window is None else seen & (distance <= self.window)


def _classify(bench: Bench, part: str, says_hidden: bool) -> _Pattern | None:
    """What a part lets be seen, if at every size asked that depends on the distance from query to key alone."""
    kept = [None if v is None else _square(v.bool() ^ says_hidden) for v in _samples(bench, part, flags=False)]
    known = [k for k in kept if k is not None]
    if not known or len(known) < len(kept):
        return None
    longest = max(known, key=lambda k: k.shape[-1])
    length = longest.shape[-1]
    seen = int(longest[0, -1].sum())  # by the last query
    found = _Pattern(not bool(longest[0, 0, -1]), seen - 1 if seen < length else None)
    if any(not bool((k == found.at(k.shape[-1])).all()) for k in known):
        return None
    if bench.data(part):
        bench.assumptions[CONSECUTIVE] = None
    return found


def _square(kept: Tensor) -> Tensor | None:
    """[n, query, key] of what is kept; None where it is not the same number of both, unless everything is kept."""
    if kept.ndim < 2 or 1 in kept.shape[-2:]:
        return torch.ones(1, 2, 2, dtype=torch.bool) if bool(kept.all()) else None
    return kept.reshape(-1, *kept.shape[-2:]) if kept.shape[-1] == kept.shape[-2] else None


def _lengths(bench: Bench, target: str) -> list[tuple[int, int]]:
    """Batch sizes and lengths to ask at: short ones, and one beyond each number that may be the size of a window."""
    found = list(_SHAPES)
    for number_ in sorted({n for i in bench.upstream([target]) for n in _integers(bench[i].args)}):
        if _SHAPES[-1][1] < number_ <= _LONGEST:
            found.append((1, number_ + 3))
        elif _LONGEST < number_ < 2**31 - 1:
            bench.assumptions[f"sequences are no longer than {number_}"] = None
    return found


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield abs(value)


def _samples(bench: Bench, target: str, *, flags: bool) -> list[Tensor | None]:
    """Values of a cell at several sizes; position ids rise by one, from another start in each row.

    None where it depends on other inputs, unless `flags`: then those of zeros and ones (attention masks) are random.
    """
    samples: list[Tensor | None] = []
    for index, shape in enumerate(_lengths(bench, target)):
        sizes = sample_sizes(bench, *shape)
        try:
            given = {i: _sampled(bench[i], sizes, flags, index) for i in bench.data(target)}
            samples.append(evaluate(bench, [target], given, sizes)[target])
        except NotComputable:
            if shape in _SHAPES:  # a longer sequence may be more than a table has rows for
                samples.append(None)
    return samples


def _sampled(cell: Cell, sizes: Sizes, flags: bool, seed: int) -> Any:
    shape = [resolved(s, sizes) for s in cell.shape or ()]
    if cell.id == "positions" and len(shape) == 2:
        return torch.arange(shape[1]) + torch.arange(shape[0])[:, None] * 3
    if not flags or cell.id == "tokens":
        raise NotComputable(cell.id)
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    return drawn.to(cell.dtype or torch.bool)


def _joined(bench: Bench, parts: list[tuple[str, bool]]) -> str | None:
    """One boolean cell of rank 4 that is true where all parts let a key be seen."""
    joined: str | None = None
    for part, says_hidden in parts:
        current = part
        if bench[current].dtype != torch.bool:
            current = _tensor_cell(bench, torch.ops.aten.ne.Scalar, (Ref(current), 0), bench[current].shape)
        if says_hidden:
            current = _tensor_cell(bench, torch.ops.aten.logical_not.default, (Ref(current),), bench[current].shape)
        for _ in range(4 - len(bench[current].shape or ())):
            current = _tensor_cell(
                bench, torch.ops.aten.unsqueeze.default, (Ref(current), 0), (1, *(bench[current].shape or ()))
            )
        if joined is not None:
            shape = tuple(
                a if a != 1 else b for a, b in zip(bench[joined].shape or (), bench[current].shape or (), strict=True)
            )
            current = _tensor_cell(bench, torch.ops.aten.logical_and.default, (Ref(joined), Ref(current)), shape)
        joined = current
    return joined


def _tensor_cell(bench: Bench, target: Any, args: tuple[Any, ...], shape: tuple[Any, ...] | None) -> str:
    name = target._schema.name.split("::")[-1]
    source = args[0].id
    cell = Cell(
        bench.fresh(source),
        f"aten.{name}.{target._overloadname}",
        args,
        target=target,
        shape=shape,
        dtype=torch.bool,
        by="lift.attention",
        out_of=(source,),
    )
    twin = bench.twin(cell)
    return bench.add(cell) if twin is None else twin.id
