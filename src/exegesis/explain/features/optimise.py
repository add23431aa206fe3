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
    numbers = _started(layer, wanted, canvas, canvas.start(count * variants, generator), variants, natural)
    adam = Adam(numbers.detach(), climb.rate)
    jitter = climb.jitter or Jitter(0.0, 0.0, 0.0, 0.0)
    shown = torch.empty(count * variants, *canvas.shape)
    for move in jitter.drawn(shown, climb.steps, generator, canvas.high - canvas.low):
        values = layer(move(canvas.inputs(numbers)))
        activation = wanted.along_own(values, variants)
        loss = -activation.sum()
        if climb.diversity and variants > 1:
            scale = activation.detach().abs().view(count, variants).mean(1)
            loss = loss + climb.diversity * (scale * _likeness(values, count, variants)).sum() * variants
        adam.step(torch.autograd.grad(loss, numbers)[0])
    with torch.no_grad():
        return canvas.inputs(numbers).view(count, variants, *canvas.shape)


class Adam:
    """Adam (Kingma, Ba 2015, algorithm 1) on one tensor, in place. For a single small image the bookkeeping of
    `torch.optim` takes a fifth of a step.

    Args:
        numbers: what is optimised, without gradient.
        rate: learning rate.
    """

    def __init__(self, numbers: Tensor, rate: float) -> None:
        self._numbers, self._rate, self._steps = numbers, rate, 0
        self._mean, self._square = torch.zeros_like(numbers), torch.zeros_like(numbers)

    def step(self, slope: Tensor) -> None:
        """One step against a slope."""
        self._steps += 1
        self._mean.lerp_(slope, 0.1)
        self._square.mul_(0.999).addcmul_(slope, slope, value=0.001)
        spread = self._square.sqrt().mul_((1 - 0.999**self._steps) ** -0.5).add_(1e-8)
        self._numbers.addcdiv_(self._mean, spread, value=-self._rate / (1 - 0.9**self._steps))


def _started(
    layer: Layer, wanted: Wanted, canvas: Canvas, numbers: Tensor, variants: int, natural: Tensor | None
) -> Tensor:
    """Starting points from which there is a way up, as a leaf."""
    numbers.requires_grad_()
    activation = wanted.along_own(layer(canvas.inputs(numbers)), variants)
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
        own = torch.arange(len(wanted)).repeat_interleave(variants)
        numbers[dead] += canvas.numbers(natural[best[own[dead]]])
    return numbers.detach().requires_grad_()


def _likeness(values: Float[Tensor, "n units ..."], count: int, variants: int) -> Float[Tensor, " count"]:
    """The mean cosine between the layer's values on the variants of one direction, with itself left out."""
    flat = F.normalize(values.reshape(count, variants, -1), dim=2)
    cosines = flat @ flat.transpose(1, 2)
    return (cosines.sum((1, 2)) - variants) / (variants * (variants - 1))
