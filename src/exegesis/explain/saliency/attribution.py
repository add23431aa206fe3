"""Attributions with their checks, and how they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.checks import CHECKS, Checker, Retrain, Trial
from exegesis.explain.core import Check, Explanation, Provenance, Status
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.inputs import read_inputs
from exegesis.explain.model import Model, NetworkModel, Objective
from exegesis.explain.parts import reads_ids
from exegesis.explain.saliency.attention_rollout import AttentionRollout
from exegesis.explain.saliency.drawing import draw_images, draw_tokens
from exegesis.explain.saliency.lrp import LrpEpsilon, LrpGamma
from exegesis.explain.saliency.method import Found, Method, Setting, UndefinedMethodError, json_baseline
from exegesis.explain.saliency.token_importance import TokenImportance
from exegesis.explain.target import Explained, Target
from exegesis.ir import Graph, InputError, Json
from exegesis.runtime import Network

CHECKED = 8  # rows on which the checks are made
OF_IDS = (TokenImportance, AttentionRollout, LrpEpsilon, LrpGamma)
SILENT = "every value is zero: what is explained does not respond to this input by this method"


@dataclass(frozen=True, eq=False)
class Attribution(Explanation):
    """What each part of some inputs does for a number that a network gives.

    Attributes:
        raw: `values` [n, ...] in the shape of the inputs, or [n, s] for token sequences (NaN beyond the end of a row,
            and in rows for which the method is undefined); `rows` [n] of the split; `answers` [n], the output explained
            of each row (-1 where it is none); `inputs` [n, ...], or `tokens` [n, s] (-1 beyond the end) and `at` [n],
            the scored position; `absorbed` [n] where the method leaves something with constants.
    """

    @property
    def values(self) -> NDArray[Any]:
        """[n, ...] or [n, s]. Raises WithheldError where the attribution is withheld."""
        return self.arrays["values"]

    def figure(self, *, anyway: bool = False, labels: Sequence[str] | None = None, most: int = 8) -> Picture:
        """The first rows with their values, and the checks in words.

        Args:
            anyway: draw it although it is withheld.
            labels: of outputs, or of tokens.
            most: how many rows.
        """
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        draw = draw_tokens if "tokens" in self.raw else draw_images
        return draw(self, labels, most)


def saliency(
    network: Network | Model,
    behavior: Behavior,
    method: Method,
    *,
    split: str = "test",
    index: Sequence[int] | range | None = None,
    target: Explained | None = None,
    layer: str | None = None,
    checks: Sequence[Checker] = CHECKS,
    seed: int = 0,
    chunk: int | None = None,
    lift: Callable[[Model], Graph] | None = None,
    retrain: Retrain | None = None,
) -> Attribution:
    """Attribute what a network gives to the parts of its inputs, and put the result to the test.

    Args:
        network: the network; or any model, such as a part of a program over tokens.
        behavior: where inputs come from, and how outputs are read.
        method: how values are found.
        split, index: which rows; the first 16 unless told.
        target: what is explained; the network's own answer unless told.
        layer: the path of a module whose values are explained, in place of the outputs.
        checks: what to test it by.
        seed: of everything that is drawn.
        chunk: how many rows go through the network at a time; None to measure what is best.
        lift: gives the exact program of a model, for methods that follow it.
        retrain: trains a network like this one, for checks that need it.

    Raises:
        InputError: rows, a target, a baseline or a layer that do not exist or do not fit.
        UndefinedMethodError: the method makes no sense for this network or these inputs.
        NotDifferentiableError: no gradient reaches the input.
    """
    model = NetworkModel(network, layer) if isinstance(network, Network) else network
    if reads_ids(model) and not isinstance(method, OF_IDS):
        raise UndefinedMethodError(
            f"{model.name} reads the ids of tokens, between which nothing lies and none of which means nothing: "
            f"{method.title} is undefined there; token-importance exchanges tokens."
        )
    chosen = list(range(min(16, len(behavior.split(split))))) if index is None else list(index)
    settings, found = [], []
    for inputs in read_inputs(behavior, split, chosen):
        objective = Objective(model, inputs, target, behavior.readout)
        settings.append(Setting(objective, seed, chunk, lift))
        found.append(method.attribute(settings[-1]))
    on_trial = _on_trial(settings, found, method)
    trial = Trial(method, *on_trial, behavior, retrain, seed)
    raw, undefined = _merged(settings, found, chosen)
    return Attribution(
        kind="saliency",
        raw=raw,
        checks=_whole_completeness(checks, trial, method, settings, found),
        provenance=Provenance(
            method=method.name,
            parameters={**parameters(method), "split": split, **_told(target)},
            seed=seed,
            chunk=found[0].chunk,
            network=model.name,
            fingerprint=model.fingerprint,
            behavior=behavior.name,
        ),
        undefined=undefined,
        notes=(method.caveat,) if method.caveat else (),
    )


def _told(target: Explained | None) -> dict[str, Json]:
    """What is explained, as JSON; of a difference also the output that is subtracted."""
    told: dict[str, Json] = {"target": repr(target or "the network's answer")}
    return {**told, "against": target.against} if isinstance(target, Target) and target.against is not None else told


def _whole_completeness(
    checks: Sequence[Checker], trial: Trial, method: Method, settings: list[Setting], found: list[Found]
) -> tuple[Check, ...]:
    """Checks that run the method again do so on a few rows; those that only look at it see all."""
    whole = Trial(method, tuple(settings), tuple(found), trial.behavior, trial.retrain, trial.seed)
    return tuple(check(whole if check.__name__ == "completeness" else trial) for check in checks)


def _on_trial(
    settings: Sequence[Setting], found: Sequence[Found], method: Method
) -> tuple[tuple[Setting, ...], tuple[Found, ...]]:
    """The first rows, at most `CHECKED` of them: methods are run again on these."""
    left, few, again = CHECKED, [], []
    for setting, whole in zip(settings, found, strict=True):
        n = min(left, len(setting.objective))
        if n == 0:
            break
        left -= n
        old = setting.objective
        objective = Objective(old.model, old.inputs.take(n), old.explained, old.readout)
        few.append(Setting(objective, setting.seed, whole.chunk, setting.lift))
        again.append(whole if n == len(old) else method.attribute(few[-1]))
    return tuple(few), tuple(again)


def parameters(method: Method) -> Mapping[str, Json]:
    """A method's settings as JSON; an array is told by its shape."""
    given = {name: value for name, value in vars(method).items() if not name.startswith("_")}
    return {name: json_baseline(v) if isinstance(v, np.ndarray) else v for name, v in given.items()}


def _merged(
    settings: Sequence[Setting], found: Sequence[Found], chosen: Sequence[int]
) -> tuple[dict[str, NDArray[Any]], dict[int, str]]:
    """All groups of rows as arrays in the order that was asked for."""
    rows = np.concatenate([setting.objective.inputs.rows for setting in settings])
    order = _order(rows, chosen)
    values = [_values(setting, one) for setting, one in zip(settings, found, strict=True)]
    raw = {
        "values": _stacked(values, np.nan)[order],
        "rows": rows[order],
        "answers": torch.cat([setting.objective.answers.cpu() for setting in settings]).numpy()[order],
    }
    first = settings[0].objective.inputs
    if first.x is not None:
        raw["inputs"] = _stacked([_of(s.objective.inputs.x) for s in settings], np.nan)[order]
    else:
        raw["tokens"] = _stacked([_of(s.objective.inputs.tokens) for s in settings], -1)[order]
        raw["at"] = np.concatenate([_of(s.objective.inputs.at) for s in settings])[order]
    if found[0].absorbed is not None:
        raw["absorbed"] = np.concatenate([_of(one.absorbed) for one in found])[order]
    flat = raw["values"].reshape(len(order), -1)
    silent = ~(np.nan_to_num(flat) != 0).any(1)
    raw["values"][silent] = np.nan
    reasons = {int(row): SILENT for row in raw["rows"][silent]}
    for setting, one in zip(settings, found, strict=True):
        reasons.update({int(setting.objective.inputs.rows[at]): reason for at, reason in one.undefined.items()})
    if silent.all():
        raise InputError(
            f"All attributions are zero for each of the {len(order)} rows: what is explained of "
            f"{settings[0].objective.model.name} does not respond to its input by this method."
        )
    return raw, reasons


def _order(rows: NDArray[Any], chosen: Sequence[int]) -> NDArray[np.intp]:
    """Where each row that was asked for stands among those found; a row may be asked for twice."""
    place = {int(row): at for at, row in enumerate(rows)}
    return np.array([place[int(row)] for row in chosen], dtype=np.intp)


def _values(setting: Setting, found: Found) -> NDArray[Any]:
    tokens = setting.objective.inputs.tokens is not None
    return _of(found.per_token() if tokens else found.values)


def _of(value: Tensor | None) -> NDArray[Any]:
    assert value is not None
    return value.detach().cpu().numpy()


def _stacked(parts: Sequence[NDArray[Any]], fill: float) -> NDArray[Any]:
    """Arrays one after another, shorter rows filled up at the end."""
    width = max(part.shape[1] for part in parts)
    if all(part.shape[1] == width for part in parts):
        return np.concatenate(parts)
    filled = []
    for part in parts:
        whole = np.full((len(part), width, *part.shape[2:]), fill, dtype=part.dtype)
        whole[:, : part.shape[1]] = part
        filled.append(whole)
    return np.concatenate(filled)


__all__ = ["Attribution", "parameters", "saliency"]
