"""Anchors: a few pieces of an input that suffice for the answer, whatever the others hold.

After M. Ribeiro, S. Singh, C. Guestrin, *Anchors* (AAAI 2018): pieces are held one after another, that first which
raises precision most, until the lower bound of precision, on draws of their own, is what was asked for (their eq. 3);
then those are let go that are not needed. Precision is measured again on held-out inputs, and so is coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.evidence.intervals import clopper_pearson
from exegesis.explain.contrast.grounds import ArrayGround, Ground, TableGround, TokenGround
from exegesis.explain.contrast.pictures import anchor_picture
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.inputs import names_of, read_inputs
from exegesis.explain.shortcuts.access import Samples
from exegesis.ir import InputError
from exegesis.runtime import Network

SLACK = 0.2
"""How much more is asked while seeking, of what is left to 1: it is sought on one split and judged on another."""


@dataclass(frozen=True, eq=False)
class Anchor(Explanation):
    """Arrays: `features` [k] (flat places, columns or positions that are held), `values` [k] there, `input` [...],
    `taken` (which pieces, in the order they were taken); of a table `low` and `high` [k], the band of each column; of a
    string `position`, where the answer is."""

    @property
    def rule(self) -> str:
        """The anchor as a sentence; withheld with the rest."""
        arrays = self.arrays
        answer = self.provenance.parameters["answer"]
        if not len(arrays["features"]):
            return f"always {answer}"
        if "low" in arrays:
            bands = zip(arrays["features"], arrays["low"], arrays["high"], strict=True)
            held = " and ".join(
                band(self.name_of("features", int(k)), float(low), float(high)) for k, low, high in bands
            )
        elif "position" in arrays:
            letters = zip(arrays["features"], arrays["values"], strict=True)
            held = " and ".join(f"{self.name_of('tokens', int(token))} at {at}" for at, token in letters)
        else:
            held = f"{len(arrays['features'])} of {arrays['input'].size} numbers as they are"
        return f"{held}: {answer}"

    def figure(self, *, anyway: bool = False) -> Picture:
        """The input with what is held."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return anchor_picture(self)


def band(name: str, low: float, high: float) -> str:
    """A column between two bounds, in words."""
    if np.isinf(low) and np.isinf(high):
        return name
    if np.isinf(low):
        return f"{name} ≤ {high:.4g}"
    return f"{name} > {low:.4g}" if np.isinf(high) else f"{low:.4g} < {name} ≤ {high:.4g}"


def anchor(
    network: Network,
    behavior: Behavior,
    row: int,
    *,
    split: str = "test",
    precision: float = 0.95,
    most: int = 16,
    tile: int | None = None,
    position: int | None = None,
    draws: int = 64,
    seed: int = 0,
) -> Anchor:
    """The pieces of one input that suffice for the network's answer; the others come from other inputs.

    Pieces are numbers or tiles of an array, sides of the columns of a table whose features have names, or letters.

    Args:
        network, behavior: with an argmax readout.
        row: of the split.
        split: its name.
        precision: share of draws in which the answer has to stay, by its lower bound at 95 % confidence.
        most: how many pieces may be held.
        tile: in images, the side in pixels of the squares that are held; a seventh of the image's, 2 at least, unless
            told.
        position: of a string, whose answer; the last scored unless told.
        draws: per candidate; what is taken is measured on forty times as many, and in the end again, afresh.
        seed: of the draws.

    Raises:
        InputError: no such row or position, a precision that is no share, or a behaviour without classes.
    """
    if not 0 < precision < 1:
        raise InputError(f"Precision is a share between 0 and 1, not {precision:g}.")
    ground, label = _ground(network, behavior, row, split, tile, position, seed)
    generator = torch.Generator().manual_seed(seed)
    taken = _sought(ground, precision, most, draws, generator)
    held = _held(ground, taken)
    fresh, count = torch.Generator().manual_seed(seed + 1), 40 * draws
    kept = int(ground.stays(held[None], count, True, fresh)[0])
    nothing = ground.stays(_held(ground, [])[None], count, True, fresh)[0] / count
    dealt = torch.randperm(len(ground), generator=fresh)[: max(1, len(taken))].tolist()
    random = ground.stays(_held(ground, dealt)[None], count, True, fresh)[0] / count
    checks = (
        Check.at_least(
            "precision", "Lower bound of the share of fresh held-out draws in which the answer stays.",
            clopper_pearson(kept, count)[0], precision, Consequence.WITHHOLDS,
            {"nothing held": float(nothing), "as many at random": float(random)},
        ),
        Check.at_least(
            "coverage", "Share of held-out inputs that hold the same there (numbers: within a tenth of the range).",
            ground.coverage(held), None, Consequence.INFORMS,
        ),
    )  # fmt: skip
    source = Provenance(
        "anchor", {"row": row, "split": split, "tile": tile, "most": most, "precision": precision, "answer": label},
        seed, None, network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    return Anchor("anchor", ground.record(taken), checks, source, names=names_of(behavior))


def _ground(
    network: Network, behavior: Behavior, row: int, split: str, tile: int | None, position: int | None, seed: int
) -> tuple[Ground, str]:
    """The input in pieces, and the name of its answer."""
    if not isinstance(behavior.readout, Argmax):
        raise InputError(f"Behaviour {behavior.name} has no classes, so there is no answer that could stay.")
    (one,) = read_inputs(behavior, split, [row])
    if behavior.is_sequence:
        if tile is not None:
            raise InputError("Tiles are squares of pixels; of strings letters are held.")
        tokens = TokenGround.of(network, behavior, one, position, seed)
        known = behavior.output_names or behavior.vocabulary.labels
        return tokens, known[tokens.answer] if tokens.answer < len(known) else str(tokens.answer)
    if position is not None:
        raise InputError("Only sequences have positions; of arrays the whole answer is explained.")
    samples = Samples.of(network, behavior, seed=seed)
    assert one.x is not None
    x = one.x[0]
    if behavior.layout is not None and behavior.layout.features is not None and x.ndim == 1 and tile is None:
        ground: Ground = TableGround.of(samples, x)
    else:
        ground = ArrayGround.of(samples, x, tile or (max(2, round(min(x.shape[1:]) / 7)) if x.ndim == 3 else 1))
    return ground, samples.labels[samples.outputs.tolist().index(ground.answer)]


def _held(ground: Ground, taken: list[int]) -> Bool[Tensor, " pieces"]:
    held = torch.zeros(len(ground), dtype=torch.bool)
    held[taken] = True
    return held


def _sought(ground: Ground, precision: float, most: int, draws: int, generator: torch.Generator) -> list[int]:
    """Pieces taken greedily until precise, less those that are not needed."""

    wanted = precision + SLACK * (1 - precision)

    def precise(taken: list[int]) -> bool:
        kept = int(ground.stays(_held(ground, taken)[None], 40 * draws, False, generator)[0])
        return clopper_pearson(kept, 40 * draws)[0] >= wanted

    taken: list[int] = []
    while not precise(taken) and len(taken) < min(most, len(ground)):
        candidates = [k for k in range(len(ground)) if k not in taken]
        held = torch.stack([_held(ground, [*taken, k]) for k in candidates])
        stays = ground.stays(held, draws, False, generator)
        wide = [ground.coverage(one) if stay == stays.max() else -1.0 for one, stay in zip(held, stays, strict=True)]
        taken.append(candidates[int(np.argmax(wide))])
    for piece in list(taken):
        fewer = [k for k in taken if k != piece]
        if precise(fewer):
            taken = fewer
    return taken
