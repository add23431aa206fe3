"""Fine-tunes what compression left of a network, on the answers of the network it came from.

What comes out is another network: its units were moved by gradients and need not stand for those of the first any more.
No pass does this; it is an option of `exegesis compress`, with figures of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from exegesis.behavior import Argmax
from exegesis.ir import Array, Graph, InputError
from exegesis.measure import Bench
from exegesis.passes.compressing.maps import maps_of
from exegesis.runtime import Executor

STEPS, ROWS = 400, 128  # of gradient descent, and inputs that each looks at
RATE = 0.02  # of a weight, in its own steps; a bias moves by as much of the weights beside it
WARMTH = 2.0  # divides outputs that are read as a distribution, so that the smaller ones count too


@dataclass(eq=False)
class _Weight:
    """A weight of whole numbers that is being trained: the reals behind it are rounded before every look.

    Attributes:
        name, step: of the tensor in the graph, and what one is worth.
        shown: what the program computes with; its gradient is taken for that of the reals (straight through).
        latent: the reals, in steps.
        mask: numbers that are zero stay zero.
    """

    name: str
    step: float
    shown: Tensor
    latent: Tensor
    mask: Tensor

    @property
    def size(self) -> float:
        """The root mean square of what is not zero."""
        return self.step * float((self.latent.square().sum() / self.mask.sum().clamp_min(1)).sqrt())

    def show(self) -> None:
        """Rounds."""
        with torch.no_grad():
            self.shown.copy_(self._whole() * self.step)

    def take(self) -> None:
        """Hands the gradient of what is shown to the reals."""
        assert self.shown.grad is not None
        self.latent.grad = self.shown.grad * self.step * self.mask
        self.shown.grad = None

    def array(self) -> Array:
        """The whole numbers, in the smallest type that holds them."""
        whole = self._whole().numpy()
        found: Array = whole.astype(np.min_scalar_type(-int(np.abs(whole).max(initial=0)) - 1))
        return found

    def _whole(self) -> Tensor:
        return self.latent.detach().round() * self.mask


def retrained(program: Graph, network: Graph, fit: Bench, seed: int = 0) -> Graph:
    """The program after gradient descent on the network's own outputs (Hinton et al., arXiv:1503.02531).

    Zeros stay zero and steps stay as they are: numbers do not get more, and go on being whole (straight-through
    gradients, Bengio et al., arXiv:1308.3432). Every look is at mixtures of two inputs, about which the network is
    asked anew (Zhang et al., arXiv:1710.09412): inputs alone are learned by heart. Where training loses answers on the
    inputs themselves, the program comes back as it was.

    Args:
        program: one whose maps count steps.
        network: what it should answer like.
        fit: inputs to train on.
        seed: of the inputs that are drawn, and how they are mixed.

    Raises:
        InputError: no weight of the program counts steps.
    """
    plain, steps = _real(program)
    if not steps:
        raise InputError("There is nothing to train again: no weight of the program counts steps.")
    run, teacher = Executor(plain), Executor(network)
    weights = [_weight(name, step, program, run) for name, step in steps.items()]
    sizes = {w.name: w.size for w in weights}
    biases = {n.tensors["bias"]: sizes[n.tensors["weight"]] for n in plain.nodes if _trained_bias(n.tensors, steps)}
    free = {name: run.tensor(name).requires_grad_() for name in biases}
    groups = [{"params": [w.latent], "lr": RATE} for w in weights]
    groups += [{"params": [free[name]], "lr": RATE * size} for name, size in biases.items()]
    descent = torch.optim.Adam(groups)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(descent, STEPS)
    for inputs in _mixtures(fit, seed):
        wanted = teacher.run(inputs, [network.outputs[0]])[network.outputs[0]]
        for weight in weights:
            weight.show()
        given = run.run(inputs, gradients=True)[plain.outputs[0]]
        descent.zero_grad()
        torch.autograd.backward(_loss(given, wanted, fit))
        for weight in weights:
            weight.take()
        descent.step()
        slower.step()
    tensors = {w.name: w.array() for w in weights}
    tensors |= {name: b.detach().numpy().astype(program.tensors[name].dtype) for name, b in free.items()}
    trained = program.with_nodes(program.nodes, tensors=tensors)
    return trained if fit.agreement(trained) >= fit.agreement(program) else program


def _mixtures(fit: Bench, seed: int) -> Iterator[dict[str, Tensor]]:
    """Inputs of every step, each a mixture of two."""
    inputs = {n: torch.cat([b.inputs[n] for b in fit.batches]) for n in fit.batches[0].inputs}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        one, other = torch.randint(fit.n, (2, min(ROWS, fit.n)), generator=generator)
        share = torch.rand(len(one), generator=generator)
        yield {n: _mixed(v[one], v[other], share) for n, v in inputs.items()}


def _mixed(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    by = share.view(-1, *[1] * (one.ndim - 1))
    return by * one + (1 - by) * other


def _real(program: Graph) -> tuple[Graph, dict[str, float]]:
    """The program with weights of reals, and the steps that they counted."""
    steps: dict[str, float] = {}
    nodes = list(program.nodes)
    for where in maps_of(program):
        for name in where.nodes:
            node = program[name]
            if "step" in node.attrs:
                steps[where.weight] = float(node.attrs["step"])
                at = nodes.index(node)
                nodes[at] = replace(node, attrs={k: v for k, v in node.attrs.items() if k != "step"})
    named = {*steps, *(n.tensors["bias"] for n in nodes if _trained_bias(n.tensors, steps))}
    real = {n: (program.tensors[n].astype(np.float64) * steps.get(n, 1.0)).astype(np.float32) for n in sorted(named)}
    return program.with_nodes(nodes, tensors=real), steps


def _trained_bias(tensors: Mapping[str, str], steps: Mapping[str, float]) -> bool:
    return "bias" in tensors and tensors.get("weight") in steps


def _weight(name: str, step: float, program: Graph, run: Executor) -> _Weight:
    whole = torch.from_numpy(program.tensors[name].astype(np.float32))
    return _Weight(name, step, run.tensor(name).requires_grad_(), whole, (whole != 0).float())


def _loss(given: Tensor, wanted: Tensor, fit: Bench) -> Tensor:
    """How far outputs are from the network's: as distributions where the largest answers, else squared."""
    if isinstance(fit.readout, Argmax):
        said, meant = ((v / WARMTH).log_softmax(-1) for v in (given, wanted))
        return F.kl_div(said, meant, log_target=True, reduction="batchmean")
    return F.mse_loss(given, wanted) / wanted.var(correction=0).clamp_min(1e-12)
