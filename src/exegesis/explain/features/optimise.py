"""Activation maximisation: inputs that excite units as much as inputs can, all of them in one batch.

C. Olah et al., *Feature visualization* (Distill 2017): images by their spectrum, in decorrelated colours, under small
random transforms, several of one unit kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from exegesis.explain.features.canvas import Canvas
from exegesis.explain.features.jitter import Jitter
from exegesis.explain.features.layer import Layer, Wanted
from exegesis.explain.model import NotDifferentiableError


@dataclass(frozen=True)
class Climb:
    """How inputs are optimised.

    Args:
        steps: of Adam.
        rate: learning rate.
        spectral: images by their spectrum, else by pixel.
        jitter: transforms at every step; None for none (then noise that only this network sees is found).
        variants: how many inputs per unit.
        diversity: what the likeness of a unit's variants costs, in units of the mean activation; 0 for nothing.
        together: how many inputs are optimised at a time, which bounds the memory.
    """

    steps: int = 256
    rate: float = 0.05
    spectral: bool = True
    jitter: Jitter | None = field(default_factory=Jitter)
    variants: int = 1
    diversity: float = 0.0
    together: int = 64


def maximise(
    layer: Layer,
    wanted: Wanted,
    canvas: Canvas,
    climb: Climb | None = None,
    seed: int = 0,
    natural: Float[Tensor, "n ..."] | None = None,
) -> Float[Tensor, "wanted variants ..."]:
    """For each direction inputs that excite it, [wanted, variants, *shape].

    Args:
        layer: where the directions lie.
        wanted: which directions.
        canvas: how inputs are made of what is optimised.
        climb: how.
        seed: of starting points and transforms.
        natural: inputs of the data. Where noise leaves a unit without a gradient (a dead ReLU on the way), the climb
            starts at the natural input that excites it most instead.
    """
    climb = climb or Climb()
    found = []
    group = max(1, climb.together // climb.variants)
    for first in range(0, len(wanted), group):
        vectors = wanted.vectors[first : first + group]
        part = Wanted(vectors, wanted.names[first : first + group], wanted.place)
        with torch.enable_grad():
            found.append(_climbed(layer, part, canvas, climb, seed + first, natural))
    return torch.cat(found)


def _climbed(layer: Layer, wanted: Wanted, canvas: Canvas, climb: Climb, seed: int, natural: Tensor | None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    count, variants = len(wanted), climb.variants
    own = torch.arange(count).repeat_interleave(variants)[:, None]
    numbers = _started(layer, wanted, canvas, canvas.start(count * variants, generator), own, natural)
    optimizer = torch.optim.Adam([numbers], lr=climb.rate, fused=True)
    for _ in range(climb.steps):
        x = canvas.inputs(numbers)
        if climb.jitter is not None:
            x = climb.jitter(x, generator, canvas.high - canvas.low)
        values = layer(x)
        activation = wanted.along(values).gather(1, own)[:, 0]
        loss = -activation.sum()
        if climb.diversity and variants > 1:
            scale = activation.detach().abs().view(count, variants).mean(1)
            loss = loss + climb.diversity * (scale * _likeness(values, count, variants)).sum() * variants
        (numbers.grad,) = torch.autograd.grad(loss, numbers)
        optimizer.step()
    with torch.no_grad():
        return canvas.inputs(numbers).view(count, variants, *canvas.shape)


def _started(
    layer: Layer, wanted: Wanted, canvas: Canvas, numbers: Tensor, own: Tensor, natural: Tensor | None
) -> Tensor:
    """Starting points from which there is a way up, as a leaf."""
    numbers.requires_grad_()
    activation = wanted.along(layer(canvas.inputs(numbers))).gather(1, own)[:, 0]
    found = torch.autograd.grad(activation.sum(), [numbers], allow_unused=True) if activation.requires_grad else (None,)
    slope = found[0]
    if slope is None:
        raise NotDifferentiableError(
            f"No gradient goes from {layer.name} of {layer.network.name} to its input, so no image is found: a step "
            "between them (a comparison, an index, a rounding) is not differentiable."
        )
    dead = slope.flatten(1).abs().amax(1) < 1e-8
    if natural is None or not bool(dead.any()):
        return numbers
    with torch.no_grad():
        best = torch.cat([wanted.along(layer(part)) for part in torch.split(natural, 256)]).argmax(0)
        numbers[dead] += canvas.numbers(natural[best[own[dead, 0]]])
    return numbers.detach().requires_grad_()


def _likeness(values: Float[Tensor, "n units ..."], count: int, variants: int) -> Float[Tensor, " count"]:
    """The mean cosine between the layer's values on the variants of one direction, with itself left out."""
    flat = F.normalize(values.reshape(count, variants, -1), dim=2)
    cosines = flat @ flat.transpose(1, 2)
    return (cosines.sum((1, 2)) - variants) / (variants * (variants - 1))
