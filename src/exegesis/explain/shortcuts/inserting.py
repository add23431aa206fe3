"""Putting a pattern into inputs and taking it out again, beside changes of equal size."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exegesis.explain.shortcuts.access import Samples
from exegesis.explain.shortcuts.shortcut import Flips

DRAWS = 8  # nulls drawn of each kind


def into(samples: Samples, x: Float[Tensor, "n ..."], group: int) -> Flips:
    """How many inputs the network puts into a class."""
    return Flips(int((samples.said(x) == group).sum()), len(x)) if len(x) else Flips(0, 0)


def pasted(
    x: Float[Tensor, "n ..."], places: Bool[Tensor, "..."], content: Float[Tensor, "..."]
) -> Float[Tensor, "n ..."]:
    """Inputs with the content (of one input, or of one for each) at some places."""
    return torch.where(places, content, x)


def elsewhere(
    places: Bool[Tensor, "..."], generator: torch.Generator, draws: int = DRAWS
) -> list[tuple[Bool[Tensor, "..."], tuple[int, ...]]]:
    """The same form at other places, with how far each is moved; features in another order where there is no image.

    Each keeps all of its places and shares at most a quarter of them with the original; fewer than `draws`, perhaps
    none, where the form leaves no room.
    """
    size = int(places.sum())
    found: list[tuple[Tensor, tuple[int, ...]]] = []
    for _ in range(20 * draws):
        if len(found) == draws:
            break
        limits = places.shape[-2:] if places.ndim == 3 else places.shape
        shift = tuple(int(torch.randint(n, (1,), generator=generator)) for n in limits)
        moved = places.roll(shift, tuple(range(-len(limits), 0)))
        apart = int((moved & places).sum()) <= size // 4
        if apart and (places.ndim < 3 or _whole(places, moved)):
            found.append((moved, shift))
    return found


def _whole(places: Tensor, moved: Tensor) -> bool:
    """Whether moving did not wrap around an edge: the bounding box is as large as before."""

    def sides(mask: Tensor) -> list[int]:
        at = mask[0].nonzero()
        return (at.max(0).values - at.min(0).values).tolist()

    return sides(places) == sides(moved)


def rolled(content: Float[Tensor, "..."], shift: tuple[int, ...]) -> Float[Tensor, "..."]:
    """Content moved along with its places."""
    return content.roll(shift, tuple(range(-len(shift), 0)))


def noise_like(x: Float[Tensor, "..."], samples: Samples, generator: torch.Generator) -> Float[Tensor, "..."]:
    """Uniform noise in the range of the inputs, in the shape of x."""
    return samples.low + (samples.high - samples.low) * torch.rand(x.shape, generator=generator)


def pooled(flips: list[Flips]) -> Flips:
    """All flips together."""
    return Flips(sum(f.flipped for f in flips), sum(f.of for f in flips))


def drawn_from(x: Float[Tensor, "m ..."], count: int, generator: torch.Generator) -> Float[Tensor, "count ..."]:
    """So many inputs drawn with replacement."""
    at: Int[Tensor, " count"] = torch.randint(len(x), (count,), generator=generator)
    return x[at]
