"""What is optimised: images by their spectrum or by their pixels, in the colours of the data, inside the range of the
data."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class Canvas:
    """How numbers that are optimised become inputs.

    Attributes:
        shape: of one input, (channels, height, width), or any other for inputs that are no images.
        low, high: the range of the data; inputs stay inside.
        colours: [channels, channels], the square root of the covariance of the data's pixels, of mean variance 1:
            channels that vary together in the data move together. None for inputs that are no images.
        centre: the logit of the data's mean per channel, [channels, 1, 1], or of every entry; where optimisation
            starts.
        spectral: by spectrum (low frequencies first) or by pixel.
        scale: 1 / frequency, [height, width // 2 + 1]; None for pixels.
    """

    shape: tuple[int, ...]
    low: float
    high: float
    colours: Float[Tensor, "channels channels"] | None
    centre: Float[Tensor, "..."]
    spectral: bool
    scale: Float[Tensor, "height half"] | None = field(repr=False, default=None)

    @classmethod
    def of(cls, x: Float[Tensor, "n ..."], spectral: bool = True) -> Canvas:
        """A canvas for inputs like these. Pixels are taken where inputs are no images.

        Raises:
            InputError: inputs that hold the same number everywhere.
        """
        low, high = float(x.min()), float(x.max())
        if not low < high:
            raise InputError("All inputs hold the same number everywhere; an image to be seen needs a range of values.")
        shape = tuple(x.shape[1:])
        image = len(shape) == 3
        over = (0, 2, 3) if image else (0,)
        mean = ((x.mean(over, keepdim=True)[0] - low) / (high - low)).clamp(0.05, 0.95)
        if not image:
            return cls(shape, low, high, None, mean.logit(), False)
        pixels = x.movedim(1, -1).flatten(0, -2)[:: max(1, x.numel() // 200_000)]
        return cls(shape, low, high, _root(pixels), mean.logit(), spectral, _falling(shape) if spectral else None)

    def start(self, count: int, generator: torch.Generator, spread: float = 0.02) -> Float[Tensor, "count ..."]:
        """Numbers to begin with, drawn small: a grey image with a trace of structure."""
        if self.scale is None:
            return spread * torch.randn((count, *self.shape), generator=generator)
        return spread * torch.randn((count, self.shape[0], *self.scale.shape, 2), generator=generator)

    def inputs(self, numbers: Float[Tensor, "count ..."]) -> Float[Tensor, "count ..."]:
        """Inputs [count, *shape] in the range of the data; differentiable."""
        values = numbers
        if self.scale is not None:
            height, width = self.shape[1:]
            spectrum = torch.view_as_complex(numbers.contiguous()) * self.scale
            values = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
        if self.colours is not None and self.shape[0] > 1:
            values = torch.einsum("ck,nkyx->ncyx", self.colours, values)
        found: Tensor = torch.sigmoid(torch.add(self.centre, values, alpha=4.0))
        return found if (self.low, self.high) == (0.0, 1.0) else self.low + (self.high - self.low) * found

    def numbers(self, x: Float[Tensor, "count ..."]) -> Float[Tensor, "count ..."]:
        """The inverse of `inputs`, for inputs in the open range; those at its ends are moved 2 % inside."""
        level = ((x - self.low) / (self.high - self.low)).clamp(0.02, 0.98)
        values = (level.logit() - self.centre) / 4.0
        if self.colours is not None and self.shape[0] > 1:
            values = torch.einsum("ck,nkyx->ncyx", torch.linalg.inv(self.colours), values)
        if self.scale is None:
            return values
        spectrum: Tensor = torch.view_as_real(torch.fft.rfft2(values, norm="ortho") / self.scale)
        return spectrum


def _falling(shape: tuple[int, ...]) -> Tensor:
    """1 / frequency for a real transform of an image, the mean at the level of one period per image."""
    height, width = shape[1:]
    frequency = (torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.rfftfreq(width)[None] ** 2).sqrt()
    falling = 1.0 / frequency.clamp_min(1.0 / max(height, width))
    unit: Tensor = falling / falling.square().mean().sqrt()
    return unit


def _root(pixels: Float[Tensor, "n channels"]) -> Tensor:
    """The symmetric square root of the pixels' covariance, scaled to a mean variance of 1."""
    if pixels.shape[1] == 1:
        return torch.ones(1, 1)
    covariance = torch.cov(pixels.T.double())
    values, vectors = torch.linalg.eigh(covariance / covariance.trace() * len(covariance))
    # A floor of 1 % keeps rare colours within reach.
    root: Tensor = (vectors @ torch.diag(values.clamp_min(0.01).sqrt()) @ vectors.T).float()
    return root
