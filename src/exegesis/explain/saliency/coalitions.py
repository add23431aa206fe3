"""The explained number with some features absent: what both estimates of Shapley values ask for."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exegesis.explain.chunks import parts
from exegesis.explain.model import Objective


@torch.no_grad()
def coalition_values(
    objective: Objective,
    baseline: Float[Tensor, "n ..."],
    ids: Int[Tensor, "..."],
    present: Bool[Tensor, "k features"],
    chunk: int,
) -> Float[Tensor, "n k"]:
    """The explained number of every row under every coalition; absent features are at the baseline."""
    start, n, k = objective.start, len(objective), len(present)
    ids = ids.to(start.device)
    found = torch.empty(n * k, dtype=start.dtype, device=start.device)
    for part in parts(n * k, chunk):
        rows, which = part // k, part % k
        mask = present[which].to(start.device)[:, ids]
        found[part] = objective.values(torch.where(mask, start[rows], baseline[rows]), rows)
    return found.view(n, k)


def spread(features: Float[Tensor, "n features"], ids: Int[Tensor, "..."]) -> Float[Tensor, "n ..."]:
    """Each feature's value divided evenly among its numbers, so that sums stay."""
    ids = ids.to(features.device)
    sizes = torch.bincount(ids.flatten(), minlength=features.shape[1]).to(features)
    return (features / sizes)[:, ids]
