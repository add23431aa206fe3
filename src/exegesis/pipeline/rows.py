"""The rows that passes work on: some to fit on, others to accept on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int

from exegesis.behavior import ArraySplit, Behavior, ProductDomain, SequenceSplit, StringsDomain, domain_split
from exegesis.ir import InputError
from exegesis.runtime import Network

FIT_TOKENS = 8_000
HELD_TOKENS = 8_000
FIT_ROWS = 4_000
HELD_ROWS = 2_000
FEWEST_ROWS = 20
MIXTURES = 4
_IMAGES = 4  # axes: which, channel, row, column
MOVED = 1 / 28  # of the width: a pixel of a small picture


def array_rows(split: ArraySplit, seed: int) -> tuple[ArraySplit, ArraySplit]:
    """Two thirds of a split to fit on and one third to accept on, at most `FIT_ROWS` and `HELD_ROWS`.

    Where there are fewer, mixtures of two inputs are added to both, up to `MIXTURES` for each: the network says what it
    answers there. Few inputs, and those a network was trained on, lie far from where its answers change; a program
    that is right on these alone need not be on others (mixtures: Zhang et al. 2018, "mixup").
    """
    order = np.random.default_rng(seed).permutation(len(split))
    fit = min(FIT_ROWS, len(split) * 2 // 3)
    first, second = split.select(np.sort(order[:fit])), split.select(np.sort(order[fit : fit + HELD_ROWS]))
    first, second = (_every_other_moved(part, seed + k) for k, part in enumerate((first, second)))
    return _with_mixtures(first, FIT_ROWS, seed), _with_mixtures(second, HELD_ROWS, seed + 1)


def _every_other_moved(split: ArraySplit, seed: int) -> ArraySplit:
    """Every other image `[c, h, w]` moved by `MOVED` of its width, in any direction; other arrays as they are.

    A network that was trained on these very images is surer of them than of new ones, and so it hesitates about as
    often on images that moved (see docs/decisions/0018).
    """
    if split.x.ndim != _IMAGES:
        return split
    x = split.x.copy()
    angle = 2 * np.pi * np.random.default_rng([seed, 11]).random(len(x[1::2]))
    for axis, share in ((2, np.sin(angle)), (3, np.cos(angle))):
        x[1::2] = _moved(x[1::2], MOVED * x.shape[3] * share, axis)
    return ArraySplit(split.name, x)


def _moved(x: Float[np.ndarray, "n c h w"], by: Float[np.ndarray, " n"], axis: int) -> Float[np.ndarray, "n c h w"]:
    """Every image moved along an axis by a number of pixels of its own, edges repeated, between pixels linearly."""
    last = x.shape[axis] - 1
    at = np.clip(np.arange(last + 1) - by[:, None], 0, last)
    at = np.expand_dims(at, [k for k in range(1, x.ndim) if k != axis])
    low = np.floor(at).astype(np.int64)
    share = (at - low).astype(x.dtype)
    near, far = (np.take_along_axis(x, k, axis) for k in (low, np.minimum(low + 1, last)))
    found: Float[np.ndarray, "n c h w"] = (1 - share) * near + share * far
    return found


def _with_mixtures(split: ArraySplit, wanted: int, seed: int) -> ArraySplit:
    """The inputs, and mixtures of two of them where they are fewer than wanted."""
    more = min(MIXTURES * len(split), wanted - len(split))
    if more <= 0:
        return split
    rng, x = np.random.default_rng([seed, 7]), split.x
    one, other = rng.integers(len(split), size=(2, more))
    share = rng.random((more, *[1] * (x.ndim - 1)), dtype=np.float32)
    return ArraySplit(split.name, np.concatenate([x, share * x[one] + (1 - share) * x[other]]))


def check_arrays_fit(network: Network, behavior: Behavior, split: ArraySplit) -> None:
    """Raises InputError where a network cannot read the inputs of a behaviour, or these are too few to learn from."""
    if network.takes_tokens:
        raise InputError(f"The network {network.name} reads tokens, but behaviour {behavior.name} is over arrays.")
    classes = 0 if behavior.output_names is None else len(behavior.output_names)
    if len(split) < max(FEWEST_ROWS, classes):
        few = f"fewer than its {classes} classes" if len(split) < classes else f"at least {FEWEST_ROWS} are needed"
        raise InputError(f"Split {split.name} of behaviour {behavior.name} has {len(split)} inputs; {few}.")
    batch = split.gather(np.arange(2))
    found = network(torch.from_numpy(batch.x))
    batch.at_scored(found.detach().cpu().numpy())
    behavior.check_outputs(int(found.shape[1]))


def bench_rows(
    behavior: Behavior, split: SequenceSplit, seed: int, *, fit: int = FIT_TOKENS, held: int = HELD_TOKENS
) -> tuple[SequenceSplit, SequenceSplit]:
    """Rows of a split to fit on, and other rows to accept on; both bounded in tokens.

    Where the split has too few and the behaviour says what its inputs are, further inputs are drawn: the shortest ones,
    all of them, since they hold the odd cases, and as many at random. The network says what it answers there.

    Args:
        behavior: whose domain further inputs are drawn from.
        split: where rows come from first.
        seed: decides which rows, and what is drawn.
        fit, held: how many tokens each may hold.
    """
    order = np.random.default_rng(seed).permutation(len(split))
    total = np.cumsum(split.lengths[order])
    cut = int(np.clip(np.searchsorted(total, fit), 1, max(1, len(split) // 2)))
    end = int(np.clip(np.searchsorted(total, fit + held), cut, len(split)))
    first = also_from_zero(split.select(np.sort(order[:cut])))
    second = also_from_zero(split.select(np.sort(order[cut:end] if end > cut else order[:cut])))
    missing = (fit - int(first.lengths.sum()), held - int(second.lengths.sum()))
    drawn = _drawn(behavior, sum(max(0, m) for m in missing), seed)
    if drawn is None:
        return first, second
    order = np.random.default_rng(seed + 1).permutation(len(drawn))
    total = np.cumsum(drawn.lengths[order])
    cut = int(np.searchsorted(total, max(0, missing[0])))
    return _joined(first, drawn.select(order[:cut])), _joined(second, drawn.select(order[cut:]))


def _joined(rows: SequenceSplit, more: SequenceSplit) -> SequenceSplit:
    return rows.concat(more) if len(more) else rows


def also_from_zero(split: SequenceSplit) -> SequenceSplit:
    """Every other row with positions counted from 0: what a program gets when nobody says where a sequence starts."""
    if split.positions is None:
        return split
    counted = np.arange(len(split.positions)) - np.repeat(split.offsets[:-1], split.lengths)
    row = np.repeat(np.arange(len(split)), split.lengths)
    return replace(split, positions=np.where(row % 2 == 0, counted, split.positions))


def _drawn(behavior: Behavior, tokens: int, seed: int) -> SequenceSplit | None:
    """About so many tokens of inputs from a domain that can be listed, each input at most once."""
    domain = behavior.domain
    if tokens <= 0 or not isinstance(domain, ProductDomain | StringsDomain):
        return None
    rng = np.random.default_rng(seed)
    batches = [*_until(tokens / 2, domain.enumerate(256))]
    rows = max(1, int(tokens / 2 / (batches[-1].shape[1] or 1)))
    batches += domain.sample(rows, rng)
    try:
        parts = [domain_split(behavior, np.unique(np.concatenate(b), axis=0)) for b in _by_length(batches)]
    except InputError:
        return None  # nobody knows which positions of other inputs count
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.concat(part)
    return whole


def _until(tokens: float, batches: Iterable[Int[np.ndarray, "_b _s"]]) -> Iterable[Int[np.ndarray, "_b _s"]]:
    for batch in batches:
        if tokens <= 0:
            return
        yield batch[: max(1, int(tokens / batch.shape[1]))]
        tokens -= batch.size


def _by_length(batches: Iterable[Int[np.ndarray, "_b _s"]]) -> list[list[Int[np.ndarray, "_b _s"]]]:
    found: dict[int, list[Int[np.ndarray, "_b _s"]]] = {}
    for batch in batches:
        found.setdefault(batch.shape[1], []).append(batch)
    return list(found.values())
