"""What a check of an attribution works with: the method, where it was applied, what it found, how to do it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Check
from exegesis.explain.model import Model, Objective
from exegesis.explain.parts import reads_ids
from exegesis.explain.saliency.method import Found, Method, Setting, UndefinedMethodError
from exegesis.runtime import Network

# Trains a network like the one in question on a behaviour, from a seed.
Retrain: TypeAlias = Callable[[Behavior, int], Network]
Maps: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Trial:
    """An attribution on trial.

    Args:
        method: the method.
        settings: where it was applied, one per shape of rows.
        found: what it found there.
        behavior: the behaviour; None where inputs were made by hand.
        retrain: trains a network like it; None where nobody can.
        seed: of everything that the checks draw.
    """

    method: Method
    settings: tuple[Setting, ...]
    found: tuple[Found, ...]
    behavior: Behavior | None = None
    retrain: Retrain | None = None
    seed: int = 0

    def again(self, model: Model) -> list[Maps]:
        """The maps of the same rows under another model, one [n, ...] per setting."""
        maps = []
        for setting in self.settings:
            changed = replace(setting, objective=setting.objective.under(model))
            maps.append(map_of(setting, self.method.attribute(changed)))
        return maps

    @property
    def of_ids(self) -> bool:
        """Whether what is explained is a function of the ids of tokens, which take no noise and no shift."""
        return reads_ids(self.settings[0].objective.model)

    @property
    def maps(self) -> list[Maps]:
        """The maps on trial, one [n, ...] per setting."""
        return [map_of(setting, found) for setting, found in zip(self.settings, self.found, strict=True)]

    def random_maps(self, *words: int) -> list[Maps]:
        """Maps that know nothing: normal numbers in the same shapes."""
        draws = np.random.default_rng([self.seed, 77, *words])
        return [draws.standard_normal(m.shape) for m in self.maps]

    def likeness_of_nulls(self, *words: int) -> dict[str, float]:
        """How like the maps are those that know nothing, by name."""
        found = {"random": mean_similarity(self.maps, self.random_maps(*words))}
        if (of_input := self.edge_maps()) is not None:
            found["edges"] = mean_similarity(self.maps, of_input)
        return found

    def edge_maps(self) -> list[Maps] | None:
        """Maps that know the input only: how strong its edges are (Sobel). None where inputs are no images."""
        found = []
        for setting in self.settings:
            x = setting.objective.inputs.x
            if x is None or x.ndim != 4:
                return None
            found.append(edges(x))
        return found


def map_of(setting: Setting, found: Found) -> Maps:
    """Values as one number per place: colour channels are summed, and the entries of embeddings (`Found.per_token`)."""
    tokens = setting.objective.inputs.tokens is not None
    values: Maps = (found.per_token() if tokens else found.values).detach().cpu().double().numpy()
    return np.asarray(values.sum(1)) if values.ndim == 4 else values


def map_at(trial: Trial, setting: Setting, objective: Objective) -> Maps | None:
    """The map of a setting at other real inputs; None where the method reads the ids of tokens themselves."""
    by_ids = objective.inputs.tokens is not None
    changed = replace(setting, objective=objective, lift=None if by_ids else setting.lift)
    try:
        return map_of(setting, trial.method.attribute(changed))
    except UndefinedMethodError:
        if not by_ids:
            raise
        return None  # it asked for the program, which begins at the ids


def edges(x: Float[Tensor, "n c y x"]) -> Float[np.ndarray, "n y x"]:
    """The size of the gradient of the mean over channels, by Sobel's operator."""
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=x.dtype)
    both = torch.stack([kernel, kernel.T])[:, None]
    grey = torch.nn.functional.pad(x.mean(1, keepdim=True).cpu(), (1, 1, 1, 1), mode="replicate")
    found: NDArray[np.floating] = torch.nn.functional.conv2d(grey, both).square().sum(1).sqrt().double().numpy()
    return found


def rank_similarity(first: Sequence[Maps], second: Sequence[Maps]) -> Float[np.ndarray, " n"]:
    """Spearman's rank correlation of the two maps of each row, signs kept; NaN where one of them is constant.

    Signs are kept because without them all maps of a small network look alike: where the input is blank, most are zero.
    """
    return np.concatenate([_row_correlation(_ranks(a), _ranks(b)) for a, b in zip(first, second, strict=True)])


def mean_similarity(first: Sequence[Maps], second: Sequence[Maps]) -> float:
    """The mean of `rank_similarity` over rows where it is defined; NaN where it is for none.

    A map that vanishes is neither like nor unlike another: counted as unlike, a method that breaks down would pass.
    """
    return mean_known([rank_similarity(first, second)])


def mean_known(parts: Sequence[Maps]) -> float:
    """The mean over rows of all parts where there is a figure; NaN where there is none."""
    every = np.concatenate(parts)
    known = every[np.isfinite(every)]
    return float(known.mean()) if len(known) else float("nan")


def ranked(maps: Maps, draws: np.random.Generator) -> Int[np.ndarray, "n ..."]:
    """The place of each number in its row, 0 for the largest; equal ones in a drawn order, not in that of the page."""
    flat = np.nan_to_num(maps).reshape(len(maps), -1)
    order = np.lexsort((draws.random(flat.shape), -flat), axis=1)
    return order.argsort(1).reshape(maps.shape)


def _ranks(maps: Maps) -> Maps:
    from scipy.stats import rankdata

    rounded = np.round(maps.reshape(len(maps), -1), 12)  # equal up to rounding is equal
    return np.asarray(rankdata(np.nan_to_num(rounded), axis=1))


def _row_correlation(a: Maps, b: Maps) -> Maps:
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.asarray(np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0))


Checker: TypeAlias = Callable[[Trial], Check]
