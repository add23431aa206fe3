"""From the triggers of all classes to the planted ones: an outlier in size, made hard, and tried on held-out inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exegesis.explain.core import Check, Consequence, Provenance
from exegesis.explain.shortcuts.access import Samples
from exegesis.explain.shortcuts.inserting import DRAWS, drawn_from, elsewhere, into, noise_like, pasted, pooled, rolled
from exegesis.explain.shortcuts.naming import pattern_name, where
from exegesis.explain.shortcuts.outliers import small_outliers
from exegesis.explain.shortcuts.shortcut import Flips, Shortcut, flip_checks
from exegesis.explain.shortcuts.triggers import Triggers, hard_trigger

Source = Callable[[str], Provenance]
LEVEL = 0.01
"""How likely a trigger so small may be among its peers."""
SMALLER = 1 / 2
"""How large it may be beside the median of its peers: many networks are fragile to patches of any class."""
FAR_SMALLER = 1 / 5
"""So far below the median of its peers a trigger needs no test of outliers, which finds nothing where peers differ
widely."""
SHOWN = 6


def planted_triggers(
    samples: Samples, triggers: Triggers, source: Source, seed: int = 0, suspects: int = 2
) -> tuple[Shortcut, ...]:
    """The classes with the smallest triggers, each with the tests that tell a planted one from a fragile network.

    Args:
        samples: the network, and held-out inputs to try triggers on.
        triggers: those of all classes.
        source: provenance by name of method.
        seed: of the nulls.
        suspects: how many to try at least; all outliers are tried.

    Returns:
        Shortcuts by size, those withheld included.
    """
    sizes = triggers.size.numpy().astype(np.float64)
    chance = small_outliers(np.where(triggers.success.numpy(), sizes, sizes.max()), LEVEL)
    order = [int(g) for g in np.argsort(sizes, kind="stable") if bool(triggers.success[g])]
    count = max(suspects, int((chance <= LEVEL).sum()))
    return tuple(_tried(samples, triggers, g, float(chance[g]), source, seed) for g in order[:count])


def _tried(samples: Samples, triggers: Triggers, group: int, chance: float, source: Source, seed: int) -> Shortcut:
    """One class's trigger, made hard and tried on held-out inputs."""
    generator = torch.Generator().manual_seed(seed)
    places, pattern = hard_trigger(samples, triggers, group), triggers.pattern[group]
    x = samples.held_out[samples.held_out_said != group]
    said = samples.held_out_said[samples.held_out_said != group]
    changed = pasted(x, places, pattern)
    insertion = into(samples, changed, group)
    noise = pooled(
        [into(samples, pasted(x, places, noise_like(pattern, samples, generator)), group) for _ in range(DRAWS)]
    )
    content = into(samples, pasted(x, places, drawn_from(samples.search, len(x), generator)), group)
    moved = [into(samples, pasted(x, at, rolled(pattern, by)), group) for at, by in elsewhere(places, generator)]
    removal, other_removed = _taken_out(samples, changed, said, places, group, generator)
    sizes = triggers.size.numpy()
    peers = float(np.median(np.delete(sizes, group)))
    nulls = {"random pattern": noise, "content of other inputs": content}
    ratio = float(sizes[group]) / peers
    checks = (
        Check.at_most(
            "planted",
            "How likely a trigger so small would be among those of the other classes (generalised ESD test on "
            "logarithms).",
            chance, LEVEL, Consequence.INFORMS if ratio <= FAR_SMALLER else Consequence.WITHHOLDS,
        ),
        Check.at_most(
            "size beside other classes",
            "Its size, in places overwritten, over the median of the other classes' triggers.",
            ratio, SMALLER, Consequence.WITHHOLDS, {"median of other classes": 1.0},
        ),
        *flip_checks("insertion", "Share of held-out inputs of other classes that it turns.", insertion, nulls),
        *flip_checks(
            "removal", "Share of turned inputs that go back when other inputs' content covers it.", removal,
            {"covering as much elsewhere": other_removed},
        ),
    )  # fmt: skip
    described = _described(samples, places, pattern, group)
    details = {
        **described,
        "sentence": _sentence(samples, described, group, insertion, nulls, moved),
        "soft size": float(sizes[group]),
        "median soft size of other classes": peers,
        "insertion": insertion.record(),
        "removal": removal.record(),
        "elsewhere": pooled(moved).record(),
        "nulls": {name: flips.record() for name, flips in nulls.items()},
    }
    raw = {
        "places": places.numpy(), "pattern": pattern.numpy(), "sizes": sizes,
        "inputs": x[:SHOWN].numpy(), "changed": changed[:SHOWN].numpy(),
        "said": said[:SHOWN].numpy(), "then": samples.said(changed[:SHOWN]).numpy(),
    }  # fmt: skip
    return Shortcut("shortcut", raw, checks, source("universal trigger"), details=details)


def _taken_out(
    samples: Samples,
    changed: Float[Tensor, "n ..."],
    said: Tensor,
    places: Bool[Tensor, "..."],
    group: int,
    generator: torch.Generator,
) -> tuple[Flips, Flips]:
    """How many turned inputs leave the class when other inputs' content covers the trigger, or as much elsewhere."""
    turned = changed[samples.said(changed) == group]
    if not len(turned):
        return Flips(0, 0), Flips(0, 0)
    natural = samples.search[samples.search_said != group]

    def left(at: Tensor) -> Flips:
        stays = into(samples, pasted(turned, at, drawn_from(natural, len(turned), generator)), group)
        return Flips(stays.of - stays.flipped, stays.of)

    return left(places), pooled([left(at) for at, _ in elsewhere(places, generator)])


def _described(samples: Samples, places: Tensor, pattern: Tensor, group: int) -> dict[str, object]:
    at = places.numpy()
    flat = at if samples.image is None else at[0]
    values = pattern.numpy()[None, at] if samples.image is None else pattern.numpy()[:, flat]
    return {
        "artefact": "trigger",
        "class": samples.labels[group],
        "place": where(flat),
        "places": int(flat.sum()),
        "share of the input": float(flat.mean()),
        "pattern": pattern_name(values, samples.low, samples.high),
    }


def _sentence(
    samples: Samples,
    described: dict[str, object],
    group: int,
    insertion: Flips,
    nulls: dict[str, Flips],
    moved: list[Flips],
) -> str:
    unit = "features" if samples.image is None else "pixels"
    worst = max((f.rate for f in nulls.values() if f.of), default=0.0)
    there = f"; the same elsewhere: {pooled(moved).rate:.1%}" if moved else ""
    return (
        f"{described['places']} {unit} at {described['place']}, {described['pattern']}, turn {insertion.rate:.1%} of "
        f"{insertion.of} held-out inputs of other classes into {samples.labels[group]}; other content there: at most "
        f"{worst:.1%}{there}."
    )
