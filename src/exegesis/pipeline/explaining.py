"""Explanations for users: the network is loaded, lifted where a method needs its program, retrained where it can be."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from exegesis.behavior import Behavior
from exegesis.explain import Model, NetworkModel
from exegesis.explain.checks import CHECKS, Checker, Retrain
from exegesis.explain.saliency import METHODS, Method
from exegesis.explain.saliency import method as method_of
from exegesis.explain.saliency.attribution import Attribution
from exegesis.explain.saliency.attribution import saliency as attributed
from exegesis.explain.saliency.method import UndefinedMethodError
from exegesis.explain.scoreboard import Scoreboard
from exegesis.explain.scoreboard import scoreboard as scored
from exegesis.explain.target import Explained
from exegesis.ir import ExegesisError, Graph
from exegesis.lift import lift
from exegesis.runtime import Network, load

Source = Network | nn.Module | str | Path


def saliency(
    network: Source,
    behavior: Behavior | str | Path,
    method: Method | str = "integrated-gradients",
    *,
    split: str = "test",
    index: Sequence[int] | range | None = None,
    target: Explained | None = None,
    layer: str | None = None,
    checks: Sequence[Checker] = CHECKS,
    seed: int = 0,
    chunk: int | None = None,
    retrain: Retrain | None = None,
    may_retrain: bool = True,
) -> Attribution:
    """What each part of some inputs does for what a network gives, put to the test.

    Args:
        network: a module, a Hugging Face folder, `file.py:function`, or `zoo:name`.
        behavior: where inputs come from and how outputs are read, or the path of its file.
        method: a method, or its name.
        split, index: which rows; the first 16 unless told.
        target: what is explained; the network's own answer unless told.
        layer: the path of a module whose values are explained, in place of the outputs.
        checks: what to test it by; those that retrain are undefined where there is no `retrain`.
        seed: of everything that is drawn.
        chunk: how many rows go through the network at a time; None to measure what is best.
        retrain: trains a network like this one on a behaviour, from a seed; networks of the zoo bring their own.
        may_retrain: whether networks of the zoo may be trained again for it, which takes seconds to minutes.

    Raises:
        InputError: something that does not exist or does not fit, or a method that is undefined here.
    """
    loaded, signal = _loaded(network), _behavior(behavior)
    return attributed(
        loaded,
        signal,
        method_of(method) if isinstance(method, str) else method,
        split=split,
        index=index,
        target=target,
        layer=layer,
        checks=checks,
        seed=seed,
        chunk=chunk,
        lift=lifter(signal, split),
        retrain=retrain or (retraining(loaded) if may_retrain else None),
    )


def scoreboard(
    network: Source,
    behavior: Behavior | str | Path,
    *,
    methods: Sequence[Method | str] | None = None,
    split: str = "test",
    index: Sequence[int] | range | None = None,
    target: Explained | None = None,
    checks: Sequence[Checker] = CHECKS,
    seed: int = 0,
    chunk: int | None = None,
    retrain: Retrain | None = None,
    may_retrain: bool = True,
    watch: Callable[[str], None] = lambda method: None,
) -> Scoreboard:
    """Which attribution methods may be trusted on a network: every method against every check.

    Args:
        network, behavior, split, index, target, checks, seed, chunk, retrain, may_retrain: as for `saliency`.
        methods: which to try, by name or made; None for all.
        watch: told the name of each method before its turn.
    """
    loaded, signal = _loaded(network), _behavior(behavior)
    made = [make() for make in METHODS] if methods is None else methods
    return scored(
        loaded,
        signal,
        methods=[method_of(m) if isinstance(m, str) else m for m in made],
        split=split,
        index=index,
        target=target,
        checks=checks,
        seed=seed,
        chunk=chunk,
        lift=lifter(signal, split),
        retrain=retrain or (retraining(loaded) if may_retrain else None),
        watch=watch,
    )


def lifter(behavior: Behavior, split: str) -> Callable[[Model], Graph]:
    """Gives the exact program of a model, with the weights that the model has; the last one is kept."""
    kept: list[tuple[Model, Graph]] = []

    def program(model: Model) -> Graph:
        if not (kept and kept[0][0] is model):
            kept[:] = [(model, _lifted(model, behavior, split))]
        return kept[0][1]

    return program


def _lifted(model: Model, behavior: Behavior, split: str) -> Graph:
    if not isinstance(model, NetworkModel):
        raise UndefinedMethodError(f"Only a whole network has a program, not {model.name}.")
    network = model.network
    module = copy.deepcopy(network.module)
    module.load_state_dict(model.weights)
    if behavior.is_sequence:
        example = network.example()
    else:
        example = {"x": torch.from_numpy(behavior.arrays(split).take(3, 0).x)}
    try:
        made = lift(module, example if behavior.is_sequence else tuple(example.values()))
    except ExegesisError as error:
        raise UndefinedMethodError(f"The program of {network.name} is not known: {error}") from error
    return made.graph


def retraining(network: Network) -> Retrain | None:
    """Training for networks of the zoo, by their own scripts; None for others. Each is trained once."""
    if not network.name.startswith("zoo:"):
        return None
    from exegesis.zoo.training import fit

    recipe = import_module(f"exegesis.zoo.train_{network.name.removeprefix('zoo:')}").RECIPE
    kept: dict[tuple[str, int], Network] = {}  # many methods ask for the same one

    def retrain(behavior: Behavior, seed: int) -> Network:
        key = (behavior.fingerprint(), seed)
        if key not in kept:
            kept[key] = Network(fit(recipe, behavior, seed, recipe.steps), network.name)
        return kept[key]

    return retrain


def _loaded(network: Source) -> Network:
    return network if isinstance(network, Network) else load(network)


def _behavior(behavior: Behavior | str | Path) -> Behavior:
    return behavior if isinstance(behavior, Behavior) else Behavior.load(behavior)
