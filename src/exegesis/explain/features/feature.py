"""What excites a unit, with the tests that could have refuted it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Arrays, Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.features.canvas import Canvas
from exegesis.explain.features.chance import WEIGHTS, Chance, chance_of, corrected_over, foretells
from exegesis.explain.features.jitter import Jitter
from exegesis.explain.features.layer import Layer, Wanted, shuffled
from exegesis.explain.features.matching import agreement, prediction_scores, receptive_field
from exegesis.explain.features.optimise import Climb, maximise
from exegesis.explain.figure import Figure, Picture, as_picture, bare, blank, caption, sentence_picture
from exegesis.explain.shortcuts.access import two_splits
from exegesis.ir import InputError, Json
from exegesis.runtime import Network

Own = TypeVar("Own", bound="Feature")
FRESH = 16  # transforms drawn for the test of survival
SURVIVES = 0.5
PREDICTS = 0.1
LARGEST = "images for random weights, largest"
SHUFFLES, NULLS = 12, 24
"""Networks with shuffled weights, and images made for units of them altogether. Images of one network have more in
common than those of several: with three networks, luck passes two to three times as often as it is said to."""


@dataclass(frozen=True, eq=False)
class Feature(Explanation):
    """Inputs that excite one unit, direction, module or class.

    Arrays: `images` [variants, *shape], `activation` [variants], `natural` [n] (its activations on held-out inputs).

    Attributes:
        details: `unit` (its name), `layer`, and the figures behind the checks.
    """

    details: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    @property
    def unit(self) -> str:
        """What it excites."""
        return str(self.details["unit"])

    def record(self) -> dict[str, Json]:
        """Everything but the arrays, as JSON."""
        return {**super().record(), "details": dict(self.details)}

    @classmethod
    def restore(cls: type[Own], record: Mapping[str, Any], raw: Arrays) -> Own:
        """The feature that a record and its arrays were made from. Raises InputError on anything else."""
        details = record.get("details")
        if not isinstance(details, dict) or "unit" not in details:
            raise InputError("The record of this feature does not say of which unit it is.")
        return replace(super().restore(record, raw), details=details)

    def figure(self, *, anyway: bool = False) -> Picture:
        """Its images in a row, and beneath what the checks say."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(f"{self.unit}: {self.why}")
        if "images" not in self.raw:
            return sentence_picture(f"{self.unit} is excited by “{self.details['string']}”. {self.why}")
        return _row_picture(self)


def visualise(
    network: Network,
    behavior: Behavior,
    layer: str | None,
    units: Sequence[int] | Wanted,
    *,
    place: tuple[int, int] | None = None,
    climb: Climb | None = None,
    limit: int = 600,
    seed: int = 0,
) -> tuple[Feature, ...]:
    """Inputs that excite units of a layer, all optimised together, each with its checks.

    Units that are asked for together are tested together: the more there are, the more an image has to foretell
    (`chance`), so that hardly ever one of them passes by luck.

    Args:
        network, behavior: over arrays.
        layer: path of a module; None for the outputs (classes).
        units: numbers of units, channels or classes; or directions and modules as `Wanted`.
        place: (y, x) of one neuron of a convolution; None for whole channels.
        climb: how inputs are optimised.
        limit: how many natural inputs are looked at, of each split.
        seed: of everything drawn.

    Returns:
        One `Feature` per unit, in their order.

    Raises:
        InputError: a behaviour over tokens, a module or unit that does not exist, or too few inputs.
    """
    if behavior.is_sequence:
        raise InputError(f"Behaviour {behavior.name} is over tokens, which have no pixels; see `strongest_tokens`.")
    climb = climb or Climb()
    seen, held_out = (torch.from_numpy(s.take(limit, seed).x) for s in two_splits(behavior, seed))
    if min(len(seen), len(held_out)) < 8:
        raise InputError(f"{len(held_out)} held-out inputs are too few to test an image on; 8 are needed.")
    at = Layer(network, layer)
    width = at.width(seen)
    wanted = units if isinstance(units, Wanted) else Wanted.units(units, width, at.name, place)
    canvas = Canvas.of(seen, climb.spectral)
    images = maximise(at, wanted, canvas, climb, seed, seen)
    facts = _facts(at, wanted, canvas, images, seen, held_out, seed)
    null_images = _null_images(network, layer, wanted, canvas, climb, seed, seen)
    facts["null"] = _along(at, wanted, null_images).numpy()
    predicted = np.where(np.ptp(facts["natural"], axis=0) > 0, np.diag(facts["predicts"]), np.nan)
    chance = chance_of(predicted, {WEIGHTS: _predictions(at, wanted, null_images, seen, held_out)})
    source = Provenance(
        "activation maximisation", {"steps": climb.steps, "spectral": climb.spectral, "variants": climb.variants},
        seed, climb.together, network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    return tuple(_feature(k, wanted, at, images[k], facts, chance, source) for k in range(len(wanted)))


def _facts(
    layer: Layer, wanted: Wanted, canvas: Canvas, images: Tensor, seen: Tensor, held_out: Tensor, seed: int
) -> dict[str, np.ndarray]:
    """Activations of the images, of natural inputs, under fresh transforms, of noise; and what the images predict."""
    generator = torch.Generator().manual_seed(seed + 1)
    count, variants = images.shape[:2]
    flat = images.flatten(0, 1)
    own = torch.arange(count).repeat_interleave(variants)[:, None]

    def of_own(x: Tensor) -> np.ndarray:
        return _along(layer, wanted, x).gather(1, own)[:, 0].view(count, variants).numpy()

    fresh = Jitter()
    moved = [of_own(fresh(flat, generator, canvas.high - canvas.low)) for _ in range(FRESH)]
    order = torch.randperm(flat[0].numel(), generator=generator)
    natural = _along(layer, wanted, held_out).numpy()
    best = held_out[torch.from_numpy(natural.argmax(0))]
    stirred = [
        np.diag(_along(layer, wanted, fresh(best, generator, canvas.high - canvas.low)).numpy()) for _ in range(FRESH)
    ]
    return {
        "activation": of_own(flat),
        "moved": np.mean(moved, axis=0),
        "best moved": np.mean(stirred, axis=0),
        "scrambled": of_own(flat.flatten(1)[:, order].view_as(flat)),
        "natural": natural,
        "predicts": _predictions(layer, wanted, images[:, 0], seen, held_out),
    }


def _along(layer: Layer, wanted: Wanted, x: Tensor, chunk: int = 256) -> Tensor:
    with torch.no_grad():
        return torch.cat([wanted.along(layer(part)) for part in torch.split(x, chunk)])


def _predictions(
    layer: Layer, wanted: Wanted, images: Tensor, seen: Tensor, held_out: Tensor
) -> Float[np.ndarray, "images units"]:
    """The rank correlation of what each image predicts with what each unit does, on held-out inputs."""
    box = receptive_field(layer, seen, wanted.place)
    told = [agreement(images, x, seen.mean(0), box, wanted.place) for x in (seen, held_out)]
    true = [_along(layer, wanted, x).numpy().astype(np.float64) for x in (seen, held_out)]
    return prediction_scores(told[0], true[0], told[1], true[1])


def _null_images(
    network: Network, layer: str | None, wanted: Wanted, canvas: Canvas, climb: Climb, seed: int, seen: Tensor
) -> Float[Tensor, "nulls ..."]:
    """Images for directions like these, their units drawn anew, in networks with shuffled weights."""
    plain, found = replace(climb, variants=1, diversity=0.0), []
    for draw in range(SHUFFLES):
        generator = torch.Generator().manual_seed(seed + draw)
        vectors = [
            wanted.vectors[k % len(wanted)][torch.randperm(wanted.vectors.shape[1], generator=generator)]
            for k in range(NULLS // SHUFFLES)
        ]
        drawn = Wanted(torch.stack(vectors), ("null",) * len(vectors), wanted.place)
        other = Layer(shuffled(network, seed + draw), layer)
        found.append(maximise(other, drawn, canvas, plain, seed + draw, seen)[:, 0])
    return torch.cat(found)


def _feature(
    k: int,
    wanted: Wanted,
    layer: Layer,
    images: Tensor,
    facts: dict[str, np.ndarray],
    chance: Chance,
    source: Provenance,
) -> Feature:
    """One unit's images with their checks."""
    natural, activation = facts["natural"][:, k], facts["activation"][k]
    mean, largest = float(natural.mean()), float(natural.max())
    reach = largest - mean
    details = {
        "unit": wanted.names[k],
        "layer": layer.name,
        "natural mean": mean,
        "natural maximum": largest,
        "activation": [float(a) for a in activation],
    }
    raw = {"images": images.numpy(), "activation": activation, "natural": natural}
    excites, survives, predicts = (
        "How far the image excites the unit, where 0 is the mean and 1 the largest of held-out inputs.",
        "Share of that which stays under fresh moves, turns, scalings and noise.",
        "Rank correlation, over held-out inputs, of how they excite the unit with what their likeness to the "
        f"image foretells, against images made for random weights; {corrected_over(chance)}.",
    )
    if reach <= 0:
        reason = "the unit is the same on all held-out inputs"
        dead = float(activation.max()) <= mean
        first = (
            Check.at_least("excites", excites, 0.0, 1.0, Consequence.WITHHOLDS)
            if dead
            else Check.undefined("excites", excites, reason)
        )
        rest = (Check.undefined("survives", survives, reason), Check.undefined("predicts", predicts, reason))
        return Feature("feature", raw, (first, *rest), source, details=details)

    def share(value: float) -> float:
        return (value - mean) / reach

    gained = share(float(activation.min()))
    stays = share(float(facts["moved"][k].mean())) / max(1e-9, share(float(activation.mean())))
    scrambled, by_luck = share(float(facts["scrambled"][k].mean())), share(float(facts["null"][:, k].max()))
    others = np.delete(facts["predicts"][:, k], k)
    more = {"images of other units, median": float(np.median(others[np.isfinite(others)]))} if len(others) else {}
    first = Check.at_least(
        "excites", excites, gained, 1.0, Consequence.WITHHOLDS, {"its pixels shuffled": scrambled, LARGEST: by_luck}
    )
    natural_stays = {"the held-out input that excites most": share(float(facts["best moved"][k]))}
    second = Check.at_least("survives", survives, stays, SURVIVES, Consequence.WITHHOLDS, natural_stays)
    third = foretells(predicts, float(facts["predicts"][k, k]), chance, k, PREDICTS, more)
    details.update(chance.record(k))
    return Feature("feature", raw, (first, second, third), source, details=details)


def gallery(features: Sequence[Feature], columns: int = 8) -> Picture:
    """The first image of each, titled by unit; those that failed a check in the colour of warnings and with a mark,
    those withheld left out. What is large is dark.

    Raises:
        InputError: there is none.
    """
    if not features:
        raise InputError("There is no feature to be drawn.")

    def draw() -> Figure:
        wide = min(columns, len(features))
        rows = -(-len(features) // wide)
        figure, axes = blank(1.05 * wide + 0.3, 1.3 * rows + 0.4, rows, wide)
        for at in axes.flat:
            bare(at)
        for at, feature in zip(axes.flat, features, strict=False):
            shown = feature.status is Status.SHOWN
            if feature.status is not Status.WITHHELD:
                _draw_input(at, feature.raw["images"][0])
            at.set_title(_title(feature), fontsize=7, color="#222222" if shown else "#d55e00")
        good = sum(feature.status is Status.SHOWN for feature in features)
        line = f"{good} of {len(features)} passed every deciding check that could be made."
        caption(figure, textwrap.wrap(line, 21 * wide), alarm=good < len(features))
        return figure

    return Picture(draw, f"Inputs that excite {', '.join(f.unit for f in features)}.")


def _title(feature: Feature) -> str:
    marks = {Status.SHOWN: "", Status.MARKED: "✗ ", Status.WITHHELD: "withheld: "}
    return marks[feature.status] + feature.unit


def _row_picture(feature: Feature) -> Picture:
    def draw() -> Figure:
        images = feature.raw["images"]
        figure, axes = blank(max(4.2, 1.25 * len(images) + 0.3), 2.1, 1, len(images))
        for at, image, activation in zip(axes.flat, images, feature.raw["activation"], strict=True):
            _draw_input(at, image)
            at.set_title(f"{activation:.3g}")
        figure.suptitle(f"excites {feature.unit}", x=0.01, ha="left", fontsize=9)
        lines = [line for check in feature.checks for line in textwrap.wrap(check.sentence(), 100)]
        caption(figure, lines, alarm=feature.status is not Status.SHOWN)
        return figure

    return Picture(draw, f"Inputs that excite {feature.unit}. {feature.why}")


def _draw_input(at: Any, image: np.ndarray) -> None:
    """An image; flat features as bars."""
    if image.ndim == 3:
        shown = as_picture(image)
        at.imshow(shown, cmap="gray_r", vmin=0.0 if shown.min() >= 0 else None, vmax=1.0 if shown.max() <= 1 else None)
    else:
        at.fill_between(np.arange(image.size), image.reshape(-1), step="mid", color="#0072b2", lw=0)
    bare(at)
