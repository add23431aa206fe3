"""The networks that come with the package, each in a folder with its weights, behaviour and card."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from exegesis.behavior import Behavior
from exegesis.ir import InputError
from exegesis.zoo.cards import Card
from exegesis.zoo.models import (
    ConvolvedDigits,
    CopyingTransformer,
    CountingTransformer,
    DenseDigits,
    ResidualShapes,
    RowReader,
    TableReader,
    WideDigits,
)

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "majority": CountingTransformer,
    "copy": CopyingTransformer,
    "digits": DenseDigits,
    "dense_plain": WideDigits,
    "dense_dropout": partial(WideDigits, dropout=0.5),
    "dense_pruned": WideDigits,
    "dense_l1": WideDigits,
    "convnet": ConvolvedDigits,
    "residual": ResidualShapes,
    "gru": RowReader,
    "tabular": TableReader,
}


def names() -> tuple[str, ...]:
    """The names of the networks."""
    return tuple(NETWORKS)


def folder(name: str) -> Path:
    """Where a network lies. Raises InputError where there is none of the name."""
    if name not in NETWORKS:
        raise InputError(f"The zoo has no network {name!r}; it has {', '.join(NETWORKS)}.")
    return Path(__file__).parent / name


def card(name: str) -> Card:
    """What is known about a network."""
    return Card.read(folder(name) / "card.json")


def cards() -> tuple[Card, ...]:
    """The cards of all networks."""
    return tuple(card(name) for name in names())


def behavior_path(name: str) -> Path:
    """The `behavior.json` that a network brings."""
    return folder(name) / "behavior.json"


def behavior(name: str) -> Behavior:
    """The behaviour that a network brings."""
    return Behavior.load(behavior_path(name))


def build(name: str, weights: Path | None = None) -> nn.Module:
    """A trained network in evaluation mode.

    Args:
        name: its name.
        weights: a `.safetensors` file of another training run; None for the weights that come with the package.

    Raises:
        InputError: no such network, or weights that are missing, corrupt, of another shape, or not finite.
    """
    path = folder(name) / "weights.safetensors" if weights is None else weights
    with torch.device("meta"):  # no random initialisation, which would move the caller's random numbers
        network = NETWORKS[name]()
    try:
        tensors = load(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file ({error}).") from None
    needed = {key: value.shape for key, value in network.state_dict().items()}
    if {key: value.shape for key, value in tensors.items()} != needed:
        raise InputError(f"{path} does not hold the weights of {name}: names or shapes differ.")
    for key, value in tensors.items():
        counts = value.dtype == torch.int64 and key.endswith("num_batches_tracked")  # of a batch normalisation
        if not counts and (value.dtype != torch.float32 or not value.isfinite().all()):
            raise InputError(f"{path}: tensor {key} is not finite float32.")
    network.load_state_dict(tensors, assign=True)
    return network.eval()
