"""Prototypes and criticisms: inputs that stand for the others, and inputs that these leave out.

B. Kim, R. Khanna, O. Koyejo, *Examples are not enough, learn to criticize!* (NeurIPS 2016): prototypes minimise the
maximum mean discrepancy greedily (with a guarantee, for suitable kernels); criticisms are where the witness function
is largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from exegesis.behavior import Behavior
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.examples.neighbours import values
from exegesis.explain.examples.pictures import prototypes_picture
from exegesis.explain.features.layer import Layer
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.framing import profile
from exegesis.explain.inputs import names_of
from exegesis.ir import InputError
from exegesis.runtime import Network

DRAWS = 20


@dataclass(frozen=True, eq=False)
class Prototypes(Explanation):
    """Arrays: `prototypes` and `criticisms`, rows of the split, with `prototype_inputs`, `prototype_answers` and the
    like; `of` [n], the prototype (by number) nearest to each input looked at."""

    def figure(self, *, anyway: bool = False) -> Picture:
        """Prototypes above, criticisms below."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return prototypes_picture(self)


def kernel_of(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """The Gaussian kernel with the median distance as its width."""
    squares = (x**2).sum(1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0.0)
    width = float(np.median(distances[~np.eye(len(x), dtype=bool)]))
    if width <= 0:
        raise InputError("Most inputs are the same in this layer, so no few of them can stand for the others.")
    kernel: Float[np.ndarray, "n n"] = np.exp(-distances / width)
    return kernel


def discrepancy(kernel: Float[np.ndarray, "n n"], chosen: Int[np.ndarray, " k"]) -> float:
    """The squared maximum mean discrepancy between the chosen inputs and all of them."""
    return float(kernel.mean() - 2 * kernel[:, chosen].mean() + kernel[np.ix_(chosen, chosen)].mean())


def greedy_prototypes(kernel: Float[np.ndarray, "n n"], count: int) -> Int[np.ndarray, " count"]:
    """Each in turn the input that lowers the discrepancy most."""
    means, chosen = kernel.mean(1), list[int]()
    inside, towards, total = 0.0, 0.0, np.zeros(len(kernel))
    for size in range(1, count + 1):
        within = inside + 2 * total + np.diag(kernel)
        score = 2 * (towards + means) / size - within / size**2
        score[chosen] = -np.inf
        best = int(score.argmax())
        inside, towards, total = float(within[best]), towards + float(means[best]), total + kernel[best]
        chosen.append(best)
    return np.array(chosen)


def criticisms(
    kernel: Float[np.ndarray, "n n"], prototypes: Int[np.ndarray, " k"], count: int
) -> Int[np.ndarray, " count"]:
    """The inputs where the witness function is largest, each unlike those before (a determinant keeps them apart)."""
    witness = np.abs(kernel.mean(1) - kernel[:, prototypes].mean(1))
    chosen: list[int] = []
    for _ in range(count):
        # Conditional variance given those chosen: the gain in the logarithm of their determinant.
        gain = witness + np.log(np.maximum(_left_over(kernel, chosen), 1e-12)) * witness.max()
        gain[[*chosen, *prototypes.tolist()]] = -np.inf
        chosen.append(int(gain.argmax()))
    return np.array(chosen)


def _left_over(kernel: Float[np.ndarray, "n n"], chosen: list[int]) -> Float[np.ndarray, " n"]:
    if not chosen:
        return np.ones(len(kernel))
    inner = kernel[np.ix_(chosen, chosen)] + 1e-9 * np.eye(len(chosen))
    cross = kernel[:, chosen]
    left: Float[np.ndarray, " n"] = np.diag(kernel) - np.einsum("nk,nk->n", cross, np.linalg.solve(inner, cross.T).T)
    return left


def prototypes_of(
    network: Network,
    behavior: Behavior,
    layer: str | None,
    *,
    count: int = 10,
    split: str = "train",
    limit: int = 800,
    seed: int = 0,
) -> Prototypes:
    """Inputs that stand for a split, as a layer sees them, and those they leave out.

    The check: does the answer of the nearest prototype tell the answer of *held-out* inputs; the null takes as many
    inputs at random. For information, the discrepancy.

    Raises:
        InputError: more prototypes than a quarter of the inputs, or inputs that are all alike.
    """
    rows = behavior.arrays(split)
    drawn = np.random.default_rng(seed).permutation(len(rows))[: 2 * limit]
    if count < 1 or count > len(drawn) // 4:
        raise InputError(f"{count} prototypes cannot stand for {len(drawn)} inputs; at most a quarter of them can.")
    half = len(drawn) // 2
    seen, held_out = np.sort(drawn[:half]), np.sort(drawn[half:])
    at, out = Layer(network, layer), Layer(network, None)
    x, y = (torch.from_numpy(rows.gather(part).x) for part in (seen, held_out))
    inner, outer = (values(at, part).numpy().astype(np.float64) for part in (x, y))
    said, told = (values(out, part).argmax(1).numpy() for part in (x, y))
    kernel = kernel_of(inner)
    chosen = greedy_prototypes(kernel, count)
    left_out = criticisms(kernel, chosen, min(count, half - count))
    generator = np.random.default_rng(seed + 1)
    random = [generator.permutation(half)[:count] for _ in range(DRAWS)]
    share = _agrees(inner, outer, said, told, chosen)
    null = float(np.mean([_agrees(inner, outer, said, told, r) for r in random]))
    checks = (
        Check.at_least(
            "stands for others", "Share of held-out inputs whose answer is that of the nearest prototype.",
            share, null, Consequence.MARKS, {"as many at random": null},
        ),
        Check.at_most(
            "discrepancy", "Squared maximum mean discrepancy to the inputs they stand "
            "for.", discrepancy(kernel, chosen),
            float(np.min([discrepancy(kernel, r) for r in random])), Consequence.MARKS,
            {"as many at random": float(np.mean([discrepancy(kernel, r) for r in random]))},
        ),
    )  # fmt: skip
    source = Provenance(
        "MMD-critic", {"layer": at.name, "split": split, "count": count}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    raw = {
        "prototypes": seen[chosen], "prototype_inputs": x[chosen].numpy(), "prototype_answers": said[chosen],
        "criticisms": seen[left_out], "criticism_inputs": x[left_out].numpy(), "criticism_answers": said[left_out],
        "of": kernel[:, chosen].argmax(1), **profile(x.numpy()),
    }  # fmt: skip
    return Prototypes("prototypes", raw, checks, source, names=names_of(behavior))


def _agrees(
    inner: Float[np.ndarray, "n d"],
    outer: Float[np.ndarray, "m d"],
    said: Int[np.ndarray, " n"],
    told: Int[np.ndarray, " m"],
    chosen: Int[np.ndarray, " k"],
) -> float:
    """How often the nearest of the chosen inputs has the answer of a held-out one."""
    centres = inner[chosen]
    distances = (outer**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * outer @ centres.T
    return float((said[chosen][distances.argmin(1)] == told).mean())
