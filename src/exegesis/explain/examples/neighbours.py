"""Nearest training examples in a layer: what a network takes to be alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.examples.pictures import neighbours_picture
from exegesis.explain.features.layer import Layer
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.framing import profile
from exegesis.explain.inputs import names_of
from exegesis.ir import InputError
from exegesis.runtime import Network

BEYOND = 0.1


@dataclass(frozen=True, eq=False)
class Neighbours(Explanation):
    """Arrays: `queries` [n] with `inputs` [n, ...] and `answers` [n]; `rows` [n, k] of the other split, nearest first,
    with `likeness` [n, k] (cosine in the layer), `neighbour_inputs` [n, k, ...] and `neighbour_answers` [n, k]."""

    def figure(self, *, anyway: bool = False) -> Picture:
        """Each input beside those nearest to it."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return neighbours_picture(self)


def nearest(
    network: Network,
    behavior: Behavior,
    layer: str | None,
    rows: list[int],
    *,
    split: str = "test",
    among: str = "train",
    count: int = 5,
    limit: int = 4000,
    seed: int = 0,
) -> Neighbours:
    """The inputs of one split that are nearest, in a layer, to inputs of another.

    The check: do neighbours share the network's answer, far more often than inputs drawn at random do; beside it, for
    information, the neighbours by pixels.

    Args:
        network, behavior: over arrays, with an argmax readout.
        layer: path of a module; None for the outputs.
        rows: of `split`, whose neighbours are wanted.
        split, among: names of splits.
        count: neighbours for each.
        limit: how many inputs they are sought among.
        seed: of the inputs drawn, where there are more.

    Raises:
        InputError: rows or a module that do not exist, or fewer inputs than neighbours.
    """
    if not isinstance(behavior.readout, Argmax):
        raise InputError(
            f"Behaviour {behavior.name} has no classes, so that neighbours cannot be checked by their answers."
        )
    queries, pool = behavior.arrays(split), behavior.arrays(among)
    if wrong := [row for row in rows if not 0 <= row < len(queries)]:
        raise InputError(f"Split {split} has no row {wrong[0]}: it has {len(queries)}, counted from 0.")
    if not rows:
        raise InputError("No rows were named whose neighbours are wanted.")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(pool))[:limit])
    if count < 1:
        raise InputError(f"{count} neighbours are none; ask for one at least.")
    if len(drawn) <= count:
        raise InputError(f"Split {among} has {len(drawn)} inputs, too few for {count} neighbours.")
    x, y = (torch.from_numpy(s.gather(np.asarray(at)).x) for s, at in ((queries, rows), (pool, drawn)))
    at, out = Layer(network, layer), Layer(network, None)
    ours, theirs = (values(out, part).argmax(1) for part in (x, y))
    found, likeness = _closest(values(at, x), values(at, y), count)
    by_pixels, _ = _closest(x.flatten(1), y.flatten(1), count)
    share = float((theirs[found] == ours[:, None]).float().mean())
    chance = float((theirs[None] == ours[:, None]).float().mean())
    pixels = float((theirs[by_pixels] == ours[:, None]).float().mean())
    meaning = "Share of neighbours to which the network gives the same answer."
    nulls = {"inputs at random": chance, "neighbours by pixels": pixels}
    if chance + BEYOND > 1:
        reason = "the network gives nearly all inputs one answer"
        check = Check.undefined("same answer", meaning, reason)
    else:
        check = Check.at_least("same answer", meaning, share, chance + BEYOND, Consequence.MARKS, nulls)
    source = Provenance(
        "nearest examples", {"layer": at.name, "split": split, "among": among}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    raw = {
        "queries": np.asarray(rows), "inputs": x.numpy(), "answers": ours.numpy(),
        "rows": drawn[found.numpy()], "likeness": likeness.numpy(),
        "neighbour_inputs": y[found].numpy(), "neighbour_answers": theirs[found].numpy(), **profile(y.numpy()),
    }  # fmt: skip
    return Neighbours("neighbours", raw, (check,), source, names=names_of(behavior))


def values(layer: Layer, x: Float[Tensor, "n ..."], chunk: int = 256) -> Float[Tensor, "n width"]:
    """A layer's values, one flat row per input; bounded memory."""
    with torch.no_grad():
        return torch.cat([layer(part).flatten(1) for part in torch.split(x, chunk)])


def _closest(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], count: int) -> tuple[Tensor, Tensor]:
    mean = y.mean(0)
    cosine = F.normalize(x - mean, dim=1) @ F.normalize(y - mean, dim=1).T
    best = cosine.topk(count, dim=1)
    return best.indices, best.values
