"""By how much the network's output favours an answer: what an attack pushes down."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exegesis.behavior import Answers, Argmax, Readout, Sign


def margins(out: Float[Tensor, "k outputs"], said: Answers, readout: Readout) -> Float[Tensor, " k"]:
    """Per answer, how far the output is from being read as something else: negative where it is already.

    For `argmax` the logit of the answer less the largest other logit, for `sign` the smallest logit on its own side of
    0, for `value` the tolerance less the distance. An answer that no output stands for has the margin of the largest
    output against the smallest, negated.
    """
    if isinstance(readout, Argmax):
        return _against_others(out, torch.from_numpy(said), readout.outputs)
    if isinstance(readout, Sign):
        wanted = torch.zeros(out.shape, dtype=torch.bool)
        width = min(said.shape[1], out.shape[1])
        wanted[:, :width] = torch.from_numpy(said[:, :width])
        return _signed(out, wanted)
    return readout.tolerance - (out[:, 0].double() - torch.from_numpy(said)).abs()


DOUBT = 0.95
"""Of differences between outputs, the share that is off by no more than what is called the doubt of a program."""


def doubt(own: Tensor, theirs: Tensor, readout: Readout) -> float:
    """How far a program's differences between its answer and other outputs are off from the network's, 95 times in 100.

    0 where the two cannot be compared: another readout than `argmax`, a program that answers with categories.

    Args:
        own, theirs: outputs of program and network on the same inputs, [k, outputs]; the network's are scaled to fit.
        readout: how they are read.
    """
    if not isinstance(readout, Argmax) or own.shape != theirs.shape or not own.is_floating_point() or own.ndim != 2:
        return 0.0
    among = list(readout.outputs) if readout.outputs is not None else list(range(own.shape[1]))
    own, theirs = own[:, among].double(), theirs[:, among].double()
    best = own.argmax(1, keepdim=True)
    ours, others = (values.gather(1, best) - values for values in (own, theirs))
    scale = (ours * others).sum() / (others * others).sum().clamp_min(1e-300)
    off = (ours - scale * others).abs()
    rival = torch.ones_like(off, dtype=torch.bool).scatter(1, best, False)
    return float(off[rival].quantile(DOUBT)) if bool(rival.any()) else 0.0


def _against_others(out: Tensor, said: Tensor, outputs: tuple[int, ...] | None) -> Tensor:
    competing = torch.full(out.shape[1:], outputs is None, dtype=torch.bool)
    if outputs is not None:
        competing[list(outputs)] = True
    known = (said >= 0) & (said < out.shape[1])
    known &= competing[said.clamp(0, out.shape[1] - 1)]
    own = out.gather(1, said.clamp(0, out.shape[1] - 1)[:, None])[:, 0]
    rivals = out.masked_fill(~competing, -torch.inf).scatter(1, said.clamp(0, out.shape[1] - 1)[:, None], -torch.inf)
    spread = out.amax(1) - out.amin(1)
    return torch.where(known, own - rivals.amax(1), -spread)


def _signed(out: Tensor, wanted: Bool[Tensor, "k outputs"]) -> Tensor:
    return torch.where(wanted, out, -out).amin(1)
