"""Colour shortcuts: does an input's colour decide its class, whatever its shape?

Shape and colour are taken apart by the first two moments of each channel: an input keeps the pattern of its channels
and gets mean and spread from a donor (E. Reinhard et al., *Color transfer between images*, IEEE CG&A 2001). If the
answer follows the donor's class, colour decides; the null gives an input the colour of another of its own class.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exegesis.explain.core import Check, Consequence
from exegesis.explain.shortcuts.access import Samples
from exegesis.explain.shortcuts.inserting import drawn_from, into
from exegesis.explain.shortcuts.naming import colour_name
from exegesis.explain.shortcuts.planted import SHOWN, Source
from exegesis.explain.shortcuts.shortcut import Flips, Shortcut, flip_checks, needed_check
from exegesis.ir import InputError

FLAT = 1e-3  # a channel whose spread is below this share of the range holds no shape of its own


def recoloured(
    x: Float[Tensor, "n channels height width"],
    donors: Float[Tensor, "n channels height width"],
    low: float,
    high: float,
) -> Float[Tensor, "n channels height width"]:
    """The shapes of x in the colours of the donors: every channel takes the donor's mean and spread, clipped to the
    range.

    A channel that is flat in x has no shape to keep and takes the mean shape of the others.
    """
    if not len(x):
        return x
    spread, mean = x.std((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)
    shaped = spread > FLAT * (high - low)
    shape = torch.where(shaped, (x - mean) / spread.clamp_min(1e-9), torch.zeros_like(x))
    shared = shape.sum(1, keepdim=True) / shaped.sum(1, keepdim=True).clamp_min(1)
    shape = torch.where(shaped, shape, shared)
    changed = shape * donors.std((2, 3), keepdim=True) + donors.mean((2, 3), keepdim=True)
    return changed.clamp(low, high)


def colour_shortcuts(samples: Samples, source: Source, seed: int = 0) -> tuple[Shortcut, ...]:
    """For each class, whether its colour decides it; those withheld included.

    Args:
        samples: the network and its inputs, images with at least two channels.
        source: provenance by name of method.
        seed: of the donors drawn.

    Raises:
        InputError: inputs are no images of several channels.
    """
    if samples.image is None or samples.image[0] < 2:
        raise InputError(
            f"Inputs of shape {list(samples.search.shape[1:])} have no colours: images of several channels are needed."
        )
    found = []
    for group in range(samples.classes):
        inside = (samples.search_said == group).sum(), (samples.held_out_said == group).sum()
        if min(int(n) for n in inside) >= 4:
            found.append(_tried(samples, group, source, seed))
    return tuple(found)


def _tried(samples: Samples, group: int, source: Source, seed: int) -> Shortcut:
    generator = torch.Generator().manual_seed(seed + group)
    members, donors = samples.members(group, held_out=True), samples.members(group)
    low, high = samples.low, samples.high
    outside = samples.held_out_said != group
    x, said = samples.held_out[outside], samples.held_out_said[outside]
    changed = recoloured(x, drawn_from(donors, len(x), generator), low, high)
    insertion = into(samples, changed, group)
    own = _in_own_colours(samples, x, said, generator)
    third = into(samples, recoloured(x, _of_third_class(samples, said, group, generator), low, high), group)
    others = samples.search[samples.search_said != group]
    turned = samples.said(changed) == group
    removal = _left(samples, _in_own_colours(samples, changed[turned], said[turned], generator), group)
    again = recoloured(changed[turned], drawn_from(donors, int(turned.sum()), generator), low, high)
    needed = _left(samples, recoloured(members, drawn_from(others, len(members), generator), low, high), group)
    same = _left(samples, recoloured(members, drawn_from(donors, len(members), generator), low, high), group)
    nulls = {"another input's colour of its own class": into(samples, own, group), "colour of a third class": third}
    alone = into(samples, _scrambled(members, generator), group)
    checks = (
        *flip_checks("insertion", "Share of held-out inputs of other classes that take this class with its "
        "colour.", insertion, nulls),
        *flip_checks(
            "removal", "Share of turned inputs that go back with the colour of their own class.",
            removal, {"another input's colour of this class": _left(samples, again, group)},
        ),
        needed_check(needed, {"another input's colour of its own class": same}),
        Check.at_least(
            "colour alone", "Share of its inputs that keep the class when their places are shuffled, which "
            "leaves no shape.",
            alone.rate, None, Consequence.INFORMS, {"chance": 1 / samples.classes},
        ),
    )  # fmt: skip
    ink, ground = _colours(donors)
    names = [colour_name(c, low, high) for c in (ink, ground)]
    details = {
        "artefact": "colour",
        "class": samples.labels[group],
        "place": "the whole image",
        "pattern": f"{names[0]} on {names[1]}",
        "sentence": f"The colour of {samples.labels[group]}, {names[0]} on {names[1]}, turns {insertion.rate:.1%} of "
        f"{insertion.of} held-out inputs of other classes into {samples.labels[group]}, whatever their shape; "
        f"with another "
        f"class's colour {needed.rate:.1%} of its own {needed.of} leave it.",
        "insertion": insertion.record(),
        "removal": removal.record(),
        "needed": needed.record(),
        "nulls": {name: flips.record() for name, flips in nulls.items()},
        "colour alone": alone.record(),
    }
    raw = {
        "ink": ink, "ground": ground, "inputs": x[:SHOWN].numpy(), "changed": changed[:SHOWN].numpy(),
        "said": said[:SHOWN].numpy(), "then": samples.said(changed[:SHOWN]).numpy(),
    }  # fmt: skip
    return Shortcut("shortcut", raw, checks, source("colour transfer"), details=details)


def _left(samples: Samples, x: Tensor, group: int) -> Flips:
    """How many inputs the network does not put into a class."""
    inside = into(samples, x, group)
    return Flips(inside.of - inside.flipped, inside.of)


def _in_own_colours(samples: Samples, x: Tensor, said: Tensor, generator: torch.Generator) -> Tensor:
    """Each input in the colour of another that the network puts into the same class."""
    return recoloured(
        x, _partner(samples, said, torch.zeros(len(x), dtype=torch.long), generator), samples.low, samples.high
    )


def _of_third_class(samples: Samples, said: Tensor, group: int, generator: torch.Generator) -> Tensor:
    """For each input a donor of a class that is neither its own nor `group`; of its own where there are two classes."""
    shift = torch.randint(1, max(2, samples.classes), (len(said),), generator=generator)
    shift = torch.where((said + shift) % samples.classes == group, torch.zeros_like(shift), shift)
    return _partner(samples, said, shift, generator)


def _partner(samples: Samples, said: Tensor, shift: Tensor, generator: torch.Generator) -> Tensor:
    """A drawn input of class said + shift for each; any input where the network says that class of none."""
    fits = (samples.search_said[None] == ((said + shift) % samples.classes)[:, None]).float()
    fits[fits.sum(1) == 0] = 1.0
    return samples.search[torch.multinomial(fits, 1, generator=generator)[:, 0]]


def _scrambled(x: Tensor, generator: torch.Generator) -> Tensor:
    """The same pixels in another order, one order for all inputs."""
    order = torch.randperm(x[0, 0].numel(), generator=generator)
    return x.flatten(2)[:, :, order].view_as(x)


def _colours(donors: Float[Tensor, "n channels height width"]) -> tuple[np.ndarray, np.ndarray]:
    """The mean colour of the tenth of the pixels that differ most from an image's median colour, and that median."""
    flat = donors.flatten(2)
    ground = flat.median(2, keepdim=True).values
    far = (flat - ground).square().sum(1)
    top = far.topk(max(1, far.shape[1] // 20), dim=1).indices[:, None].expand(-1, flat.shape[1], -1)
    return flat.gather(2, top).mean((0, 2)).numpy(), ground.mean((0, 2)).numpy()
