"""Does a network that adds multiply its inputs' waves (a clock), or only add them (a pizza)?

The two figures of Zhong, Liu, Tegmark & Andreas, "The Clock and the Pizza" (2023, arXiv 2306.17844): gradient
symmetricity and distance irrelevance.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from exegesis.measure.pairs import Pairs

_SAMPLES = 256


def distance_irrelevance(
    logits: Float[np.ndarray, "n n outputs"], table: Int[np.ndarray, "n n"], steps: Int[np.ndarray, "n n"]
) -> float:
    """Of how far the answer's logit varies, the part that the distance of the two tokens leaves: 1 for a clock.

    Args:
        logits: per pair.
        table: the answer to each pair.
        steps: the distance of each pair's tokens, from 0 to n-1.
    """
    correct = np.take_along_axis(logits, table[..., None], axis=2)[..., 0]
    within = [float(correct[steps == d].std()) for d in np.unique(steps)]
    return float(np.mean(within) / max(float(correct.std()), 1e-12))


def gradient_symmetricity(pairs: Pairs, seed: int) -> float:
    """Mean cosine of a logit's gradients with respect to the vectors of the two tokens, over random pairs and outputs.

    1 where the network sees only the sum of both vectors.

    Raises:
        ValueError: the network has no place where the vectors of tokens stand.
    """
    if pairs.carriers is None:
        raise ValueError("The vectors of the tokens were not found.")
    rng = np.random.default_rng(seed)
    rows, outputs = rng.integers(len(pairs.ids), size=_SAMPLES), rng.choice(pairs.outputs, size=_SAMPLES)
    nodes = list(dict.fromkeys(c.node for c in pairs.carriers))
    leaves = {node: pairs.whole(node, rows).clone().requires_grad_() for node in nodes}
    out, tokens = pairs.graph.outputs[0], pairs.graph.inputs[0].id
    ids = pairs.ids[torch.from_numpy(rows)]
    value = pairs.run.run({tokens: ids}, [out], given=leaves, gradients=True)[out]
    chosen = value[torch.arange(_SAMPLES), pairs.at, torch.from_numpy(outputs)]
    gradients = dict(zip(nodes, torch.autograd.grad(chosen.sum(), list(leaves.values())), strict=True))
    first, second = (gradients[c.node] if c.at is None else gradients[c.node][:, c.at] for c in pairs.carriers)
    return float(torch.nn.functional.cosine_similarity(first, second, dim=1).mean())
