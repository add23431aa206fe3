"""Influence for users: the network is loaded, and trained again on halves of its rows where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torch import nn

from exegesis.behavior import Behavior
from exegesis.explain.examples import Influence, Scorer, influence_of
from exegesis.explain.examples.retraining import Retrain
from exegesis.pipeline.explaining import retraining
from exegesis.runtime import Network, load


def influence(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    rows: Sequence[int],
    scorer: Scorer | Sequence[Scorer] = (),
    *,
    split: str = "test",
    retrain: Retrain | None = None,
    may_retrain: bool = True,
    subsets: int = 16,
    seed: int = 0,
) -> Influence:
    """Influence of every training example on the network's answer to some inputs, tested by retraining.

    Args:
        network: a module, `file.py:function`, or `zoo:name`.
        behavior: or the path of its file; its first split is what the network was trained on.
        rows: of `split`, the inputs in question.
        scorer: the method, or several of which retrained networks choose one.
        split: its name.
        retrain: trains a network like this one on some rows, from a seed; networks of the zoo bring their own.
        may_retrain: whether networks of the zoo may be trained again, which takes seconds each.
        subsets: how many retrained networks the result is tested by.
        seed: of everything that is drawn.

    Raises:
        InputError: something that does not exist or does not fit.
    """
    loaded = network if isinstance(network, Network) else load(network)
    signal = behavior if isinstance(behavior, Behavior) else Behavior.load(behavior)
    among = next(iter(signal.splits))
    own = retrain or (on_rows(loaded, signal, among) if may_retrain else None)
    return influence_of(loaded, signal, rows, scorer, split=split, among=among, retrain=own, subsets=subsets, seed=seed)


def on_rows(network: Network, behavior: Behavior, among: str) -> Retrain | None:
    """Training of a network of the zoo on some rows of a split, by its own script; None for others."""
    train = retraining(network)
    if train is None or behavior.is_sequence:
        return None

    def retrain(rows: Int[np.ndarray, " m"], seed: int) -> Network:
        splits = {name: behavior.arrays(name) for name in behavior.splits}
        splits[among] = splits[among].select(rows)
        layout = behavior.layout
        part = Behavior.from_arrays(
            behavior.name, {name: (own.stored, own.y) for name, own in splits.items()}, behavior.readout,
            output_names=behavior.output_names, scale=layout.scale if layout else 1.0,
        )  # fmt: skip
        return train(part, seed)

    return retrain
