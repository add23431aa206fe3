"""This looks like that: a prototype layer on a frozen network, and the test that it looks where it says.

After C. Chen et al., *This looks like that* (NeurIPS 2019): a class is told by its patches' likeness to patches of
training images. The known fault of such layers is that the patch that is drawn is not what the score depends on; so
the image is changed outside of the patch, and the score must not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.examples.neighbours import values
from exegesis.explain.features.layer import Layer
from exegesis.explain.features.matching import receptive_field
from exegesis.explain.figure import Figure, Picture, bare, blank, framed_image, sentence_picture
from exegesis.explain.framing import frame, share
from exegesis.explain.inputs import names_of
from exegesis.explain.shortcuts.access import two_splits
from exegesis.ir import InputError
from exegesis.runtime import Network

MOVES = 1e-3
"""How far a score may move, as a share of its spread over images, when the image changes outside of the patch."""
FAITHFUL = 0.8


@dataclass(frozen=True, eq=False)
class PrototypeLayer(Explanation):
    """Arrays: `rows` [k] of the first split, `inputs` [k, ...] and `boxes` [k, 4] (the patch: first and last row, first
    and last column), `classes` [k], `weights` [classes, k]."""

    def figure(self, *, anyway: bool = False) -> Picture:
        """The patches, framed in the images that they come from; one row per class."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return _picture(self)


def prototype_layer(
    network: Network,
    behavior: Behavior,
    layer: str,
    *,
    each: int = 3,
    limit: int = 600,
    shrink: int = 0,
    seed: int = 0,
) -> PrototypeLayer:
    """Fits prototypes to a convolutional layer of a frozen network.

    Per class, patch vectors of its training images are clustered and each centre is replaced by the nearest real
    patch; the likeness of an image to a prototype is its best patch's; a linear layer reads the network's answers off
    the likenesses.

    Args:
        network, behavior: over images.
        layer: path of a convolutional module.
        each: prototypes per class.
        limit: how many images are used, of each split.
        shrink: draw patches smaller by so many pixels on each side than what the layer really looks at. (A fault to
            be tested for.)
        seed: of images, clusters and changes.

    Raises:
        InputError: a layer without places, or one class.
    """
    splits = two_splits(behavior, seed)
    drawn = [np.sort(np.random.default_rng([seed, k]).permutation(len(s))[:limit]) for k, s in enumerate(splits)]
    seen, held_out = (torch.from_numpy(s.gather(rows).x) for s, rows in zip(splits, drawn, strict=True))
    at, out = Layer(network, layer), Layer(network, None)
    with torch.no_grad():
        shape = at(seen[:1]).shape
    if len(shape) != 4:
        raise InputError(
            f"The values of {layer} have no places: shape {list(shape)}; a prototype is a patch of a convolution."
        )
    maps = [values(at, part).view(-1, *shape[1:]) for part in (seen, held_out)]
    unit = float(maps[0].var(0).sum(0).mean().sqrt())  # a typical distance between patches at one place
    if unit == 0.0:
        raise InputError(f"The values of {layer} are the same on all images, so that no patch tells anything.")
    maps = [m / unit for m in maps]
    said = [values(out, part).argmax(1).numpy() for part in (seen, held_out)]
    if len(np.unique(said[0])) < 2:
        raise InputError(f"The network {network.name} gives one answer to all images; prototypes tell answers apart.")
    picked, classes = _prototypes(maps[0], said[0], each, seed)
    vectors = _patches(maps[0])[picked[:, 0], picked[:, 1]]
    near = [likeness(m, vectors).amax(2).numpy() for m in maps]
    fitted = readout().fit(near[0], said[0])
    order = np.random.default_rng(seed).permutation(len(seen))[: len(vectors)]
    random = _patches(maps[0])[order, np.random.default_rng(seed).integers(shape[2] * shape[3], size=len(order))]
    null_near = [likeness(m, random).amax(2).numpy() for m in maps]
    null = float(readout().fit(null_near[0], said[0]).score(null_near[1], said[1]))
    boxes = np.stack([patch_box(at, seen, int(place), shape[3], shrink) for place in picked[:, 1]])
    checks = (
        Check.at_least(
            "faithful", "Share of held-out images for which the prototypes say what the network says.",
            float(fitted.score(near[1], said[1])), FAITHFUL, Consequence.MARKS, {"patches at random": null},
        ),
        locality(at, held_out, maps[1], vectors, unit, shrink, seed),
    )  # fmt: skip
    source = Provenance(
        "prototype layer", {"layer": layer, "each": each, "shrink": shrink}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    raw = {
        "rows": drawn[0][picked[:, 0]], "inputs": seen[torch.from_numpy(picked[:, 0])].numpy(), "boxes": boxes,
        "classes": classes, "weights": fitted[-1].coef_ / fitted[0].scale_,
    }  # fmt: skip
    return PrototypeLayer("prototype layer", raw, checks, source, names=names_of(behavior))


def readout() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def likeness(
    maps: Float[Tensor, "n c y x"], vectors: Float[Tensor, "k c"], chunk: int = 128
) -> Float[Tensor, "n k places"]:
    """log((d² + 1) / (d² + 1e-4)) of the squared distance between each prototype and each place."""
    found = []
    for part in torch.split(maps, chunk):
        # Differences, not products of norms: near a prototype these would cancel.
        apart = torch.cdist(vectors[None], _patches(part), compute_mode="donot_use_mm_for_euclid_dist")
        distance = apart.square()
        found.append(((distance + 1.0) / (distance + 1e-4)).log())
    return torch.cat(found)


def _patches(maps: Float[Tensor, "n c y x"]) -> Float[Tensor, "n places c"]:
    return maps.flatten(2).transpose(1, 2)


def _prototypes(
    maps: Tensor, said: Int[np.ndarray, " n"], each: int, seed: int
) -> tuple[Int[np.ndarray, "k 2"], Int[np.ndarray, " k"]]:
    """Image and place of each prototype, and its class."""
    picked, classes = [], []
    for group in np.unique(said):
        rows = np.flatnonzero(said == group)[:80]
        patches = _patches(maps[torch.from_numpy(rows)])
        flat = patches.flatten(0, 1).numpy()
        energy = np.linalg.norm(flat - flat.mean(0), axis=1)
        lively = np.flatnonzero(energy >= np.quantile(energy, 0.5))[:4000]
        fitted = KMeans(min(each, len(lively)), n_init=2, random_state=seed).fit(flat[lively])
        for centre in fitted.cluster_centers_:
            best = int(lively[((flat[lively] - centre) ** 2).sum(1).argmin()])
            picked.append((int(rows[best // patches.shape[1]]), best % patches.shape[1]))
            classes.append(int(group))
    return np.array(picked), np.array(classes)


def patch_box(layer: Layer, x: Tensor, place: int, width: int, shrink: int) -> Int[np.ndarray, "4"]:
    """The patch of the image that a place depends on, smaller by `shrink` on each side."""
    box = receptive_field(layer, x, divmod(place, width))
    assert box is not None
    top, bottom, left, right = box
    return np.array(
        [top + shrink, max(top + shrink, bottom - shrink), left + shrink, max(left + shrink, right - shrink)]
    )


def locality(
    layer: Layer, x: Tensor, maps: Tensor, vectors: Tensor, unit: float, shrink: int, seed: int, images: int = 12
) -> Check:
    """How far scores at their best place move when all of the image outside of the patch becomes noise."""
    meaning = "Largest change of a prototype's score, as a share of its spread, when the image changes outside of the "
    meaning += "patch."
    near = likeness(maps[:images], vectors)
    best = near.argmax(2)
    spread = float(likeness(maps, vectors).amax(2).std())
    generator = torch.Generator().manual_seed(seed)
    low, high = float(x.min()), float(x.max())
    worst, covers_all = 0.0, True
    for row in range(min(images, len(x))):
        for k in range(0, len(vectors), max(1, len(vectors) // 6)):
            top, bottom, left, right = patch_box(layer, x, int(best[row, k]), maps.shape[3], shrink)
            changed = low + (high - low) * torch.rand(x[row].shape, generator=generator)
            changed[:, top : bottom + 1, left : right + 1] = x[row, :, top : bottom + 1, left : right + 1]
            covers_all &= bool((bottom - top + 1) * (right - left + 1) == x.shape[2] * x.shape[3])
            with torch.no_grad():
                now = likeness(layer(changed[None]) / unit, vectors)[0, k, best[row, k]]
            worst = max(worst, abs(float(now) - float(near[row, k, best[row, k]])) / max(spread, 1e-9))
    if covers_all:
        reason = "each place depends on the whole image, so nothing lies outside of a patch"
        return Check.undefined("local", meaning, reason, Consequence.WITHHOLDS)
    return Check.at_most("local", meaning, worst, MOVES, Consequence.WITHHOLDS, {"another image": 1.0})


def _picture(found: PrototypeLayer) -> Picture:
    def draw() -> Figure:
        classes = np.unique(found.raw["classes"])
        most = int(max((found.raw["classes"] == c).sum() for c in classes))
        figure, axes = blank(0.95 * len(classes) + 0.4, 0.95 * most + 0.9, most, len(classes))
        for column, group in enumerate(classes):
            own = np.flatnonzero(found.raw["classes"] == group)
            for row in range(most):
                bare(axes[row, column])
                if row < len(own):
                    framed_image(axes[row, column], found.raw["inputs"][own[row]], found.raw["boxes"][own[row]])
            axes[0, column].set_title(f"says {found.name_of('outputs', int(group))}", fontsize=7.5)
        tells = found.checks[0]
        frame(
            figure, f"This looks like that: framed patches tell the answers of {share(tells)} of held-out images", found
        )
        return figure

    return Picture(draw, f"Patches that answers are told by, framed in {len(found.raw['rows'])} images. {found.why}")
