"""Anchors: a few features that suffice for the answer, whatever the others hold.

After M. Ribeiro, S. Singh, C. Guestrin, *Anchors* (AAAI 2018): features are held one after another, that first which
raises precision most, until the lower bound of precision, on draws of their own, is what was asked for (their eq. 3).
It is measured again on held-out inputs, and so is coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.evidence.intervals import clopper_pearson
from exegesis.explain.core import Check, Consequence, Explanation, Provenance
from exegesis.explain.inputs import read_inputs
from exegesis.explain.shortcuts.access import Samples
from exegesis.ir import InputError
from exegesis.runtime import Network


@dataclass(frozen=True, eq=False)
class Anchor(Explanation):
    """Arrays: `features` [k] (flat places that are held, in the order they were taken), `values` [k], `input` [...]."""


def anchor(
    network: Network,
    behavior: Behavior,
    row: int,
    *,
    split: str = "test",
    precision: float = 0.95,
    most: int = 12,
    tile: int = 1,
    draws: int = 64,
    seed: int = 0,
) -> Anchor:
    """The features of one input that suffice for the network's answer; the others come from other inputs.

    Args:
        network, behavior: over arrays, with an argmax readout.
        row: of the split.
        split: its name.
        precision: share of draws in which the answer has to stay, by its lower bound at 95 % confidence.
        most: how many features (or tiles) may be held.
        tile: hold squares of so many pixels instead of single ones, in images.
        draws: per candidate; what is taken is measured on ten times as many, and in the end on forty times, afresh.
        seed: of the draws.

    Raises:
        InputError: no such row, a behaviour over tokens, or one without classes.
    """
    if behavior.is_sequence:
        raise InputError(
            f"Anchors hold numbers of arrays; behaviour {behavior.name} is over tokens, where minimal counterfactuals "
            "(--turn) and token importance tell which letters decide."
        )
    samples = Samples.of(network, behavior, seed=seed)
    (one,) = read_inputs(behavior, split, [row])
    assert one.x is not None
    x = one.x[0]
    if tile < 1 or (tile > 1 and x.ndim != 3):
        raise InputError(f"Tiles of {tile} pixels need images; inputs here have shape {list(x.shape)}.")
    said = int(samples.said(x[None])[0])
    pieces = _pieces(tuple(x.shape), tile)
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(x.shape, dtype=torch.bool)
    chosen: list[int] = []
    base = float(_precision(samples, x, held[None], said, draws, generator)[0])
    while _bound(samples, samples.search, x, held, said, 10 * draws, generator) < precision and len(chosen) < min(
        most, len(pieces)
    ):
        candidates = [k for k in range(len(pieces)) if k not in chosen]
        shares = _precision(samples, x, held | pieces[candidates], said, draws, generator)
        best = candidates[int(np.argmax(shares))]
        chosen.append(best)
        held = held | pieces[best]
    fresh = torch.Generator().manual_seed(seed + 1)
    count = 40 * draws
    lower = _bound(samples, samples.held_out, x, held, said, count, fresh)
    random = _random_held(pieces, max(1, len(chosen)), fresh)
    null = _kept(samples, samples.held_out, x, random, said, count, fresh) / count
    checks = (
        Check.at_least(
            "precision", "Lower bound of the share of fresh held-out draws in which the answer stays.", lower,
            precision, Consequence.WITHHOLDS, {"nothing held": base, "as many features at random": null},
        ),
        Check.at_least(
            "coverage", "Share of held-out inputs that hold nearly the same there (within a tenth of the range).",
            _coverage(samples, x, held), None, Consequence.INFORMS,
        ),
    )  # fmt: skip
    source = Provenance(
        "anchor", {"row": row, "split": split, "tile": tile, "answer": samples.labels[said]}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    features = np.flatnonzero(held.flatten().numpy())
    raw = {"features": features, "values": x.flatten().numpy()[features], "input": x.numpy(), "taken": np.array(chosen)}
    return Anchor("anchor", raw, checks, source)


def _pieces(shape: tuple[int, ...], tile: int) -> Bool[Tensor, "k ..."]:
    """Masks of what is held together: a feature, or a square of pixels in all channels."""
    if len(shape) != 3:
        count = int(np.prod(shape))
        return torch.eye(count, dtype=torch.bool).view(count, *shape)
    _, height, width = shape
    corners = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
    masks = torch.zeros((len(corners), *shape), dtype=torch.bool)
    for number, (y, x) in enumerate(corners):
        masks[number, :, y : y + tile, x : x + tile] = True
    return masks


def _precision(
    samples: Samples, x: Tensor, held: Bool[Tensor, "k ..."], said: int, draws: int, generator: torch.Generator
) -> Float[np.ndarray, " k"]:
    """For each mask the share of draws in which the answer stays; all masks see the same draws."""
    others = samples.search[torch.randint(len(samples.search), (draws,), generator=generator)]
    found = []
    for part in torch.split(held, max(1, 4096 // draws)):
        mixed = torch.where(part[:, None], x, others[None])
        found.append((samples.said(mixed.flatten(0, 1)) == said).view(len(part), draws).float().mean(1))
    return torch.cat(found).numpy().astype(np.float64)


def _kept(
    samples: Samples, pool: Tensor, x: Tensor, held: Tensor, said: int, draws: int, generator: torch.Generator
) -> int:
    others = pool[torch.randint(len(pool), (draws,), generator=generator)]
    return int((samples.said(torch.where(held, x, others)) == said).sum())


def _bound(
    samples: Samples, pool: Tensor, x: Tensor, held: Tensor, said: int, draws: int, generator: torch.Generator
) -> float:
    """The lower bound of precision."""
    return clopper_pearson(_kept(samples, pool, x, held, said, draws, generator), draws)[0]


def _random_held(pieces: Bool[Tensor, "k ..."], count: int, generator: torch.Generator) -> Bool[Tensor, "..."]:
    at = torch.randperm(len(pieces), generator=generator)[:count]
    return pieces[at].any(0)


def _coverage(samples: Samples, x: Tensor, held: Tensor) -> float:
    if not bool(held.any()):
        return 1.0
    near = (samples.held_out - x).abs() <= 0.1 * (samples.high - samples.low)
    return float((near | ~held).flatten(1).all(1).float().mean())
