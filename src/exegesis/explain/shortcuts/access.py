"""A network over arrays as a function with gradients to its inputs and none to its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from exegesis.behavior import Argmax, ArraySplit, Behavior
from exegesis.ir import InputError
from exegesis.runtime import Network, output_tensor

Forward: TypeAlias = Callable[[Float[Tensor, "n ..."]], Float[Tensor, "n classes"]]


def differentiable(network: Network) -> Forward:
    """The network's outputs [n, classes] of inputs [n, ...] as a function through which gradients flow to the inputs.

    The weights are detached copies of views, so that no backward pass ever computes or keeps a gradient of theirs.
    """
    module = network.module
    state = {name: value.detach() for name, value in (*module.named_parameters(), *module.named_buffers())}

    def forward(x: Tensor) -> Tensor:
        out = output_tensor(functional_call(module, state, (x.to(network.device),)), network.name)
        if out.ndim != 2 or len(out) != len(x):
            raise InputError(
                f"The network {network.name} gives outputs of shape {list(out.shape)} for inputs of shape "
                f"{list(x.shape)}, where [inputs, classes] is needed."
            )
        return out

    return forward


def answers(
    forward: Forward, x: Float[Tensor, "n ..."], competing: Int[Tensor, " k"], chunk: int = 512
) -> Int[Tensor, " n"]:
    """Which of the competing outputs is largest, as a position in `competing`, [n]; bounded memory."""
    with torch.no_grad():
        return torch.cat([forward(part)[:, competing].argmax(1) for part in torch.split(x, chunk)])


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs to search on and held-out inputs to judge by.

    Args:
        forward: the network.
        search, search_said: inputs [n, ...] and the network's own answers [n] (positions in `outputs`).
        held_out, held_out_said: others, on which nothing was searched.
        outputs: which outputs compete, [classes].
        labels: the name of each class.
        low, high: the smallest and largest number that any input holds; nothing that is put in leaves this range.
    """

    forward: Forward
    search: Float[Tensor, "n ..."]
    search_said: Int[Tensor, " n"]
    held_out: Float[Tensor, "m ..."]
    held_out_said: Int[Tensor, " m"]
    outputs: Int[Tensor, " classes"]
    labels: tuple[str, ...]
    low: float
    high: float

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.outputs)

    @property
    def image(self) -> tuple[int, int, int] | None:
        """(channels, height, width), or None where inputs have no such layout."""
        shape = tuple(self.search.shape[1:])
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None

    def said(self, x: Float[Tensor, "n ..."]) -> Int[Tensor, " n"]:
        """The network's answers [n]."""
        return answers(self.forward, x, self.outputs)

    def members(self, group: int, held_out: bool = False, at_least: int = 4) -> Float[Tensor, "n ..."]:
        """The inputs that the network says are of a class. Raises InputError where there are too few of them."""
        x, said = (self.held_out, self.held_out_said) if held_out else (self.search, self.search_said)
        found = x[said == group]
        if len(found) < at_least:
            raise InputError(
                f"The network says {self.labels[group]} of {len(found)} inputs; at least {at_least} are needed to say "
                "anything of that class."
            )
        return found

    @classmethod
    def of(cls, network: Network, behavior: Behavior, *, limit: int = 1500, seed: int = 0) -> Samples:
        """Inputs of a behaviour: to search on from `train`, held out from `test` (halves of one where there is no
        other).

        Args:
            network, behavior: over arrays, with an argmax readout.
            limit: how many inputs of each.
            seed: decides which.

        Raises:
            InputError: another kind of behaviour, fewer than two classes, or too few inputs.
        """
        if behavior.is_sequence or not isinstance(behavior.readout, Argmax):
            what = "is over tokens" if behavior.is_sequence else "has no classes"
            raise InputError(
                f"Behaviour {behavior.name} {what}; this can be asked only of networks that sort arrays into classes."
            )
        search, held_out = two_splits(behavior, seed)
        search, held_out = search.take(limit, seed), held_out.take(limit, seed + 1)
        if min(len(search), len(held_out)) < 8:
            raise InputError(
                f"Behaviour {behavior.name} has {len(search)} and {len(held_out)} inputs; at least 8 each are needed."
            )
        forward = differentiable(network)
        x, y = (torch.from_numpy(part.x).to(network.device) for part in (search, held_out))
        with torch.no_grad():
            n_outputs = forward(x[:1]).shape[1]
        behavior.check_outputs(n_outputs)
        outputs = torch.tensor(behavior.readout.outputs or range(n_outputs))
        if len(outputs) < 2:
            raise InputError(f"Behaviour {behavior.name} has one class; with one answer nothing is decided.")
        names = behavior.output_labels(n_outputs)
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
        if not low < high:
            raise InputError(f"All inputs of behaviour {behavior.name} hold the same number everywhere.")
        said = [answers(forward, part, outputs) for part in (x, y)]
        return cls(forward, x, said[0], y, said[1], outputs, tuple(names[int(o)] for o in outputs), low, high)


def two_splits(behavior: Behavior, seed: int) -> tuple[ArraySplit, ArraySplit]:
    """The first two splits over arrays; the halves of one, dealt out by `seed`, where there is no other."""
    names = list(behavior.splits)
    if len(names) > 1:
        return behavior.arrays(names[0]), behavior.arrays(names[1])
    split = behavior.arrays(names[0])
    order = np.random.default_rng(seed).permutation(len(split))
    return split.select(np.sort(order[::2])), split.select(np.sort(order[1::2]))
