"""Universal triggers: for every class, the smallest change at one place that turns any input into that class.

B. Wang et al., *Neural Cleanse* (IEEE S&P 2019): a mask and a pattern per class, optimised together. A class whose
trigger is far smaller than those of all others was very likely planted; where all are small the network is merely
fragile, and where all are large there is nothing. All classes are optimised in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from exegesis.explain.shortcuts.access import Samples


@dataclass(frozen=True)
class TriggerSearch:
    """How triggers are sought.

    Args:
        steps: of Adam.
        batch: inputs per class and step.
        share: of inputs a trigger has to turn.
        rate: learning rate, in units of the logits of mask and pattern.
    """

    steps: int = 250
    batch: int = 24
    share: float = 0.95
    rate: float = 0.15


@dataclass(frozen=True, eq=False)
class Triggers:
    """The best trigger of each class.

    Args:
        mask: how much of each place is overwritten, in [0, 1], [classes, 1, height, width] (or [classes, features]).
        pattern: with what, [classes, channels, height, width] (or [classes, features]).
        size: the sum of the mask, in places, [classes].
        success: whether a trigger with the wanted share was found, [classes].
    """

    mask: Float[Tensor, "classes ..."]
    pattern: Float[Tensor, "classes ..."]
    size: Float[Tensor, " classes"]
    success: Bool[Tensor, " classes"]


def search_triggers(samples: Samples, settings: TriggerSearch | None = None, seed: int = 0) -> Triggers:
    """The smallest trigger of every class.

    The loss per class is the cross-entropy of that class on inputs of all others, plus the mask's size times a weight
    that rises while the trigger works and falls while it does not.

    Args:
        samples: the network and inputs; only those to search on are used.
        settings: how.
        seed: of the inputs drawn and the starting point.
    """
    settings = settings or TriggerSearch()
    generator = torch.Generator().manual_seed(seed)
    x, classes = samples.search, samples.classes
    shape = x.shape[1:]
    mask_shape = (1, *shape[1:]) if samples.image else tuple(shape)
    places = float(torch.Size(mask_shape).numel())
    span = samples.high - samples.low
    mask = (torch.randn((classes, *mask_shape), generator=generator) * 0.1 - 1.0).requires_grad_()
    pattern = (torch.randn((classes, *shape), generator=generator) * 0.1).requires_grad_()
    optimizer = torch.optim.Adam([mask, pattern], lr=settings.rate, betas=(0.5, 0.9))
    weight = torch.full((classes,), 1.0 / places)
    kept_mask, kept_pattern = torch.sigmoid(mask.detach()), torch.sigmoid(pattern.detach())
    best = torch.full((classes,), float("inf"))
    wanted = torch.arange(classes)[:, None].expand(classes, settings.batch)
    recent = torch.zeros(classes)
    for _ in range(settings.steps):
        at = _others(samples, settings.batch, generator)
        opacity, painted = torch.sigmoid(mask), samples.low + span * torch.sigmoid(pattern)
        changed = (1 - opacity)[:, None] * x[at] + (opacity * painted)[:, None]
        logits = samples.forward(changed.flatten(0, 1))[:, samples.outputs].view(classes, settings.batch, -1)
        turned = (logits.detach().argmax(2) == wanted).float().mean(1)
        distance = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view(classes, -1).mean(1)
        size = opacity.flatten(1).sum(1)
        optimizer.zero_grad()
        (distance + weight * size).sum().backward()  # type: ignore[no-untyped-call]
        recent = 0.5 * recent + 0.5 * turned
        better = (recent >= settings.share) & (turned >= settings.share) & (size.detach() < best)
        best = torch.where(better, size.detach(), best)
        kept_mask[better], kept_pattern[better] = opacity.detach()[better], torch.sigmoid(pattern.detach())[better]
        optimizer.step()
        weight = torch.where(turned >= settings.share, weight * 1.06, weight / 1.09).clamp(1e-3 / places, 50.0)
    success = torch.isfinite(best)
    return Triggers(kept_mask, samples.low + span * kept_pattern, torch.where(success, best, places), success)


def _others(samples: Samples, count: int, generator: torch.Generator) -> Tensor:
    """For each class, `count` inputs that the network puts into another, [classes, count]."""
    weights = (samples.search_said[None] != torch.arange(samples.classes)[:, None]).float()
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def hard_trigger(samples: Samples, triggers: Triggers, group: int, share: float = 0.9) -> Bool[Tensor, "..."]:
    """The smallest set of places, by falling opacity, that turns `share` of the inputs when overwritten in full.

    Returns:
        Which places, [1, height, width] (or [features]); the best set found where none reaches the share.
    """
    opacity, pattern = triggers.mask[group], triggers.pattern[group]
    others = samples.search[samples.search_said != group][:256]
    ranked = opacity.flatten().argsort(descending=True)
    sizes = sorted({min(len(ranked), max(1, round(1.25**k))) for k in range(200) if 1.25**k <= 2 * len(ranked)})
    best, best_share = torch.zeros_like(opacity, dtype=torch.bool), -1.0
    for size in sizes:
        chosen = torch.zeros(opacity.numel(), dtype=torch.bool)
        chosen[ranked[:size]] = True
        places = chosen.view(opacity.shape)
        turned = float((samples.said(torch.where(places, pattern, others)) == group).float().mean())
        if turned > best_share:
            best, best_share = places, turned
        if turned >= share:
            break
    return best
