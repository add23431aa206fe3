"""Spectral relevance analysis: which strategies does the network have for a class, and is one of them an artefact?

S. Lapuschkin et al., *Unmasking Clever Hans predictors* (Nature Communications 2019): relevance maps of a class are
clustered by their spectrum; a cluster whose relevance is concentrated on a small place is suspicious. Where that
analysis ends, the test
begins: the content of the place is put into held-out inputs of other classes, and taken out of those that have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from sklearn.cluster import SpectralClustering
from torch import Tensor

from exegesis.explain.core import Check, Consequence
from exegesis.explain.shortcuts.access import Samples
from exegesis.explain.shortcuts.inserting import drawn_from, elsewhere, into, pasted, pooled
from exegesis.explain.shortcuts.naming import pattern_name, where
from exegesis.explain.shortcuts.planted import SHOWN, Source
from exegesis.explain.shortcuts.shortcut import Flips, Shortcut, flip_checks, needed_check
from exegesis.ir import InputError

STEPS = 8  # of the path integral: maps are clustered, not read off
FINEST = 14  # rows and columns that maps are pooled to before clustering
SMALL = 1 / 12  # share of the input that a suspicious place may cover
MOST = 120  # maps per class


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of one class's relevance maps.

    Args:
        of: the cluster of each map, [n].
        maps: the pooled maps, each with unit length, [n, features].
        eigenvalues: of the normalised Laplacian, ascending; a gap after the k-th speaks for k clusters.
    """

    of: Int[np.ndarray, " n"]
    maps: Float[np.ndarray, "n features"]
    eigenvalues: Float[np.ndarray, " m"]

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.of.max()) + 1

    def nearest(self, maps: Float[np.ndarray, "m features"]) -> Int[np.ndarray, " m"]:
        """The cluster whose mean map is most like each of these."""
        centres = np.stack([self.maps[self.of == c].mean(0) for c in range(self.count)])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        chosen: Int[np.ndarray, " m"] = (maps @ centres.T).argmax(1)
        return chosen


def relevance(samples: Samples, x: Float[Tensor, "n ..."], group: int, chunk: int = 128) -> Float[Tensor, "n ..."]:
    """Integrated gradients of a class's logit from the mean input, summed over channels, [n, height, width] or [n,
    features]."""
    base = samples.search.mean(0)
    output = int(samples.outputs[group])
    parts = []
    for part in torch.split(x, chunk):
        total = torch.zeros_like(part)
        for step in range(STEPS):
            at = (base + (step + 0.5) / STEPS * (part - base)).requires_grad_()
            (slope,) = torch.autograd.grad(samples.forward(at)[:, output].sum(), at)
            total += slope
        found = total / STEPS * (part - base)
        parts.append(found.sum(1) if samples.image else found)
    return torch.cat(parts)


def pooled_maps(maps: Float[Tensor, "n ..."]) -> Float[np.ndarray, "n features"]:
    """What speaks for the class, pooled to at most 14 × 14 places, each map of unit length.

    Raises:
        InputError: a map without anything that speaks for the class.
    """
    positive = maps.clamp_min(0)
    if positive.ndim == 3:
        size = (min(FINEST, positive.shape[1]), min(FINEST, positive.shape[2]))
        positive = F.adaptive_avg_pool2d(positive[:, None], size)[:, 0]
    flat = positive.flatten(1).numpy().astype(np.float64)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    if (norms == 0).any():
        raise InputError(
            f"{int((norms == 0).sum())} of {len(flat)} relevance maps are zero everywhere, so nothing can be clustered."
        )
    unit: Float[np.ndarray, "n features"] = flat / norms
    return unit


def cluster_maps(maps: Float[np.ndarray, "n features"], most: int = 6) -> Clusters:
    """Spectral clustering of maps of unit length; the number of clusters is where the eigenvalues have their largest
    gap.

    Raises:
        InputError: fewer than 8 maps.
    """
    n = len(maps)
    if n < 8:
        raise InputError(f"{n} relevance maps are too few to be clustered; 8 are needed.")
    likeness = np.clip(maps @ maps.T, 0.0, 1.0)
    neighbours = max(4, round(np.sqrt(n)))
    cut = np.sort(likeness, axis=1)[:, -neighbours - 1][:, None]
    near = np.where(likeness >= cut, likeness, 0.0)
    affinity = np.maximum(near, near.T) + 1e-9
    degree = affinity.sum(1)
    laplacian = np.eye(n) - affinity / np.sqrt(degree[:, None] * degree[None])
    eigenvalues = np.linalg.eigvalsh(laplacian)[: most + 2]
    count = int(np.argmax(np.diff(eigenvalues[: most + 1]))) + 1
    if count == 1:
        return Clusters(np.zeros(n, dtype=np.int64), maps, eigenvalues)
    spectral = SpectralClustering(count, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    labels = np.unique(spectral.fit_predict(affinity), return_inverse=True)[1]
    return Clusters(labels.astype(np.int64), maps, eigenvalues)


def suspicious_place(maps: Float[Tensor, "n ..."], small: float = SMALL) -> tuple[Bool[Tensor, "..."], float]:
    """The small place on which a cluster's relevance is most concentrated, and how much denser it is there than on
    average.

    Args:
        maps: relevance, [n, height, width] or [n, features].
        small: share of the input that it may cover.

    Returns:
        Places [1, height, width] (a square) or [features], and the ratio of densities.
    """
    mean = maps.clamp_min(0).mean(0)
    total = float(mean.sum())
    if mean.ndim == 1:
        count = max(1, int(small * mean.numel()))
        chosen = torch.zeros_like(mean, dtype=torch.bool)
        chosen[mean.argsort(descending=True)[:count]] = True
        return chosen, float(mean[chosen].sum()) / total / (count / mean.numel())
    height, width = mean.shape
    largest = max(2, int((small * height * width) ** 0.5))
    best, best_score, density = None, -1.0, 1.0
    for side in range(2, largest + 1):
        sums = F.avg_pool2d(mean[None, None], side, 1)[0, 0] * side * side
        top = int(sums.argmax())
        share = float(sums.flatten()[top]) / total
        score = share / (side * side / (height * width)) ** 0.5  # between the share and its density
        if score > best_score:
            row, column = divmod(top, sums.shape[1])
            best, best_score = (row, column, side), score
            density = share / (side * side / (height * width))
    assert best is not None
    row, column, side = best
    places = torch.zeros((1, height, width), dtype=torch.bool)
    places[0, row : row + side, column : column + side] = True
    return places, density


def region_shortcuts(samples: Samples, source: Source, seed: int = 0) -> tuple[tuple[Shortcut, ...], tuple[str, ...]]:
    """For each class, its clusters of relevance maps by suspicion, each with the tests of its place.

    Args:
        samples: the network and its inputs.
        source: provenance by name of method.
        seed: of what is drawn.

    Returns:
        Shortcuts, those withheld included, most concentrated first; and a sentence for each class of which nothing
        can be said.
    """
    found: list[tuple[float, Shortcut]] = []
    silent = []
    for group in range(samples.classes):
        try:
            members = samples.members(group, at_least=8)[:MOST]
            maps = relevance(samples, members, group)
            clusters = cluster_maps(pooled_maps(maps))
        except InputError as error:
            silent.append(str(error))
            continue
        users = _users(samples, group, clusters)
        for cluster in range(clusters.count):
            inside = torch.from_numpy(clusters.of == cluster)
            if int(inside.sum()) >= 4:
                places, density = suspicious_place(maps[inside])
                tried = _tried(samples, group, members[inside], places, density, clusters, users[cluster], source, seed)
                found.append((density, tried))
    found.sort(key=lambda pair: -pair[0])
    return tuple(shortcut for _, shortcut in found), tuple(silent)


def _tried(
    samples: Samples,
    group: int,
    donors: Float[Tensor, "n ..."],
    places: Bool[Tensor, "..."],
    density: float,
    clusters: Clusters,
    users: Float[Tensor, "k ..."],
    source: Source,
    seed: int,
) -> Shortcut:
    """A cluster's place, put into held-out inputs of other classes and taken out of those of the class that use it."""
    generator = torch.Generator().manual_seed(seed + group)
    outside = samples.held_out_said != group
    x, said = samples.held_out[outside][:300], samples.held_out_said[outside][:300]
    others = samples.search[samples.search_said != group]
    given = drawn_from(donors, len(x), generator)
    changed = pasted(x, places, given)
    insertion = into(samples, changed, group)
    apart = [at for at, _ in elsewhere(places, generator)]
    nulls = {
        "same inputs, other places": _most([into(samples, pasted(x, at, given), group) for at in apart]),
        "same place, other classes": into(samples, pasted(x, places, drawn_from(others, len(x), generator)), group),
    }
    turned = changed[samples.said(changed) == group]
    removal = _lost(samples, turned, places, others, group, generator)
    kept = pooled([_lost(samples, turned, at, others, group, generator) for at in apart])
    needed = _lost(samples, users, places, others, group, generator)
    elsewhere_lost = pooled([_lost(samples, users, at, others, group, generator) for at in apart])
    checks = (
        *flip_checks(
            "insertion", "Share of held-out inputs of other classes that its content turns.", insertion, nulls
        ),
        *flip_checks(
            "removal", "Share of turned inputs that go back when other content covers it.",
            removal, {"covering as much elsewhere": kept},
        ),
        needed_check(needed, {"covering as much elsewhere": elsewhere_lost}),
        Check.at_least(
            "concentration", "How much denser relevance is there than on average.",
            density, None, Consequence.INFORMS, {"even": 1.0},
        ),
    )  # fmt: skip
    at = places.numpy() if samples.image is None else places.numpy()[0]
    mean = donors.mean(0).numpy()
    pattern = pattern_name(mean[None, at] if samples.image is None else mean[:, at], samples.low, samples.high)
    share = len(donors) / len(clusters.of)
    details = {
        "artefact": "region", "class": samples.labels[group], "place": where(at), "places": int(at.sum()),
        "share of the input": float(at.mean()), "share of the class": share, "pattern": pattern,
        "insertion": insertion.record(), "removal": removal.record(), "needed": needed.record(),
        "nulls": {name: flips.record() for name, flips in nulls.items()},
        "sentence": f"What stands at {where(at)} in {share:.0%} of the inputs of {samples.labels[group]} "
        f"({pattern} on average) "
        f"turns {insertion.rate:.1%} of {insertion.of} held-out inputs of other classes into it; covered again, "
        f"{removal.rate:.1%} of {removal.of} go back, and {needed.rate:.1%} of {needed.of} of its own leave it.",
    }  # fmt: skip
    raw = {
        "places": places.numpy(), "pattern": mean, "inputs": x[:SHOWN].numpy(), "changed": changed[:SHOWN].numpy(),
        "said": said[:SHOWN].numpy(), "then": samples.said(changed[:SHOWN]).numpy(),
        "eigenvalues": clusters.eigenvalues,
    }  # fmt: skip
    return Shortcut("shortcut", raw, checks, source("spectral relevance analysis"), details=details)


def _users(samples: Samples, group: int, clusters: Clusters) -> list[Float[Tensor, "n ..."]]:
    """By cluster, the held-out inputs of the class whose maps are most like those of the cluster."""
    x = samples.held_out[samples.held_out_said == group][:MOST]
    maps = relevance(samples, x, group) if len(x) else x
    speaks = maps.clamp_min(0).flatten(1).sum(1) > 0
    if not bool(speaks.any()):
        return [x[:0]] * clusters.count
    x, nearest = x[speaks], clusters.nearest(pooled_maps(maps[speaks]))
    return [x[torch.from_numpy(nearest == cluster)] for cluster in range(clusters.count)]


def _lost(samples: Samples, x: Tensor, places: Tensor, others: Tensor, group: int, generator: torch.Generator) -> Flips:
    """How many inputs leave the class when the content of other classes covers these places."""
    if not len(x):
        return Flips(0, 0)
    stays = into(samples, pasted(x, places, drawn_from(others, len(x), generator)), group)
    return Flips(stays.of - stays.flipped, stays.of)


def _most(flips: list[Flips]) -> Flips:
    """The null that turned most."""
    return max(flips, key=lambda f: f.rate, default=Flips(0, 0))
