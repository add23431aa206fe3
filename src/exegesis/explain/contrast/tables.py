"""Networks over tables: what becomes of their outputs as one feature changes, and which features they need.

Partial dependence (J. Friedman 2001), individual conditional expectation (A. Goldstein et al. 2015), accumulated
local effects (D. Apley, J. Zhu 2020) and permutation importance (L. Breiman 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.contrast.pictures import dependence_picture, importance_picture
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.inputs import names_of
from exegesis.explain.shortcuts.access import Forward, differentiable, two_splits
from exegesis.ir import InputError
from exegesis.runtime import Network

CORRELATED = 0.5


@dataclass(frozen=True, eq=False)
class Table:
    """A network over features and what it is asked about.

    Args:
        forward: outputs [n, outputs] of features [n, d].
        x: held-out inputs [n, d] (images are laid flat).
        shape: of one input as the network takes it.
    """

    forward: Forward
    x: Float[Tensor, "n d"]
    shape: tuple[int, ...]

    def output(self, x: Float[Tensor, "m d"], output: int, chunk: int = 2048) -> Float[np.ndarray, " m"]:
        """One output, [m]; bounded memory."""
        with torch.no_grad():
            parts = [self.forward(part.view(-1, *self.shape))[:, output] for part in torch.split(x, chunk)]
        return torch.cat(parts).numpy().astype(np.float64)

    @classmethod
    def of(cls, network: Network, behavior: Behavior, limit: int, seed: int, output: int = 0) -> Table:
        """Raises InputError for tokens, too few inputs, or an output that does not exist."""
        if behavior.is_sequence:
            raise InputError(f"Behaviour {behavior.name} is over tokens, which are no features of a table.")
        held_out = two_splits(behavior, seed)[1].take(limit, seed)
        if len(held_out) < 20:
            raise InputError(f"{len(held_out)} held-out inputs are too few; 20 are needed.")
        x, forward = torch.from_numpy(held_out.x), differentiable(network)
        with torch.no_grad():
            outputs = forward(x[:1]).shape[1]
        if not 0 <= output < outputs:
            raise InputError(f"There is no output {output}: the network has {outputs}, counted from 0.")
        return cls(forward, x.flatten(1), tuple(x.shape[1:]))

    def feature(self, number: int, name: str) -> Float[np.ndarray, " n"]:
        """Its values. Raises InputError where there is none, or where it never changes."""
        if not 0 <= number < self.x.shape[1]:
            raise InputError(f"There is no feature {number}: inputs have {self.x.shape[1]}, counted from 0.")
        values: Float[np.ndarray, " n"] = self.x[:, number].numpy().astype(np.float64)
        if np.ptp(values) == 0:
            raise InputError(f"Feature {name} is the same in all inputs, so nothing can depend on it here.")
        return values


@dataclass(frozen=True, eq=False)
class Dependence(Explanation):
    """Arrays: `grid` [g], `mean` [g] (partial dependence), `each` [n, g] (ICE, centred at the first grid point),
    `edges` [b + 1] and `local` [b + 1] (accumulated local effects, centred), `values` [n] of the feature."""

    def figure(self, *, anyway: bool = False) -> Picture:
        """The three curves in one picture, above the curves of single inputs."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return dependence_picture(self)


def dependence(
    network: Network,
    behavior: Behavior,
    feature: int,
    *,
    output: int = 0,
    points: int = 20,
    limit: int = 500,
    seed: int = 0,
) -> Dependence:
    """How an output depends on one feature: averaged, for single inputs, and locally.

    The checks: does the feature depend on others in the data (then partial dependence asks about inputs that do not
    exist, and is marked); do partial dependence and local effects agree; for information, how much single inputs
    differ from the mean.

    Raises:
        InputError: a feature or output that does not exist, a feature that never changes, or tokens.
    """
    table = Table.of(network, behavior, limit, seed, output)
    known = behavior.features
    values = table.feature(feature, known[feature] if 0 <= feature < len(known) else str(feature))
    grid = np.unique(np.quantile(values, np.linspace(0, 1, points)))
    each = np.stack([table.output(_with(table.x, feature, float(g)), output) for g in grid], 1)
    edges, local = _accumulated(table, feature, values, output, points)
    mean = each.mean(0)
    at_edges = np.interp(edges, grid, mean)
    spread = float((each - each.mean(1, keepdims=True)).std())
    gap = float(np.abs((at_edges - at_edges.mean()) - (local - local.mean())).max())
    reach = max(float(np.ptp(mean)), float(np.ptp(local)), 1e-9)
    strongest = _strongest_correlation(table.x.numpy(), feature)
    heterogeneity = float((each - mean - (each.mean(1, keepdims=True) - mean.mean())).std() / max(spread, 1e-9))
    checks = (
        Check.at_most(
            "independent", "Largest correlation of the feature with another; high: the curve asks about inputs "
            "unlike the data.",
            strongest, CORRELATED, Consequence.MARKS,
        ),
        Check.at_most(
            "curves agree", "Largest gap between partial dependence and local effects, over their "
            "range.", gap / reach, 0.25,
            Consequence.MARKS,
        ),
        Check.at_most(
            "inputs differ", "Spread of single inputs' curves around the mean's, over the spread of all; 0: no "
            "interaction.",
            heterogeneity, None, Consequence.INFORMS,
        ),
    )  # fmt: skip
    source = Provenance(
        "dependence", {"feature": feature, "output": output, "points": points}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    raw = {"grid": grid, "mean": mean, "each": each - each[:, :1], "edges": edges, "local": local, "values": values}
    return Dependence("dependence", raw, checks, source, names=names_of(behavior))


def _with(x: Float[Tensor, "n d"], feature: int, value: float) -> Float[Tensor, "n d"]:
    changed = x.clone()
    changed[:, feature] = value
    return changed


def _accumulated(
    table: Table, feature: int, values: NDArray[np.float64], output: int, bins: int
) -> tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"]]:
    """Quantile edges, and the effects accumulated up to each, centred over the data."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    at = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
    low, high = table.x.clone(), table.x.clone()
    low[:, feature] = torch.from_numpy(edges[at]).to(low)
    high[:, feature] = torch.from_numpy(edges[at + 1]).to(high)
    step = table.output(high, output) - table.output(low, output)
    counts = np.bincount(at, minlength=len(edges) - 1)
    effects = np.bincount(at, step, minlength=len(edges) - 1) / np.maximum(counts, 1)
    curve = np.concatenate([[0.0], np.cumsum(effects)])
    middle = (curve[:-1] + curve[1:]) / 2
    return edges, curve - float((middle * counts).sum() / counts.sum())


def _strongest_correlation(x: Float[np.ndarray, "n d"], feature: int) -> float:
    if x.shape[1] < 2:
        return 0.0
    centred = x - x.mean(0)
    norms = np.linalg.norm(centred, axis=0)
    alive = (norms > 0) & (np.arange(x.shape[1]) != feature)
    if not alive.any():
        return 0.0
    cosines = centred[:, alive].T @ centred[:, feature] / (norms[alive] * norms[feature])
    return float(np.abs(cosines).max())


@dataclass(frozen=True, eq=False)
class Importance(Explanation):
    """Arrays: `drops` [repeats, d], how much agreement with the network's own answers is lost when a feature is dealt
    out anew."""

    def figure(self, *, anyway: bool = False) -> Picture:
        """The features that matter most as bars, with the spread over repeats."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return importance_picture(self)


def permutation_importance(
    network: Network, behavior: Behavior, *, repeats: int = 20, limit: int = 500, seed: int = 0
) -> Importance:
    """Which features the network's answers need: each is dealt out anew among the inputs.

    The checks: are two halves of the inputs of one mind (rank correlation); the null puts in features that are not
    there. Features that go together share their importance; a note says so where some do.

    Raises:
        InputError: no classes, tokens, or too few inputs.
    """
    if not isinstance(behavior.readout, Argmax):
        raise InputError(f"Behaviour {behavior.name} has no classes; answers that are lost are counted among classes.")
    table = Table.of(network, behavior, limit, seed)
    generator = torch.Generator().manual_seed(seed)
    competing = torch.tensor(behavior.readout.outputs or range(_outputs(table)))
    said = _answers(table, table.x, competing)
    lost = np.stack([_lost(table, said, competing, generator) for _ in range(repeats)])  # [repeats, n, d]
    drops = lost.mean(1)
    half = len(said) // 2
    order = torch.randperm(len(said), generator=generator).numpy()
    halves = [lost[:, part].mean((0, 1)) for part in (order[:half], order[half:])]
    alike = _rank_correlation(halves[0], halves[1])
    meaning = "Rank correlation of importances between two halves of the inputs."
    if np.isnan(alike):
        check = Check.undefined(
            "repeats", meaning, "no feature matters, so there is nothing to rank", Consequence.MARKS
        )
    else:
        dealt = _rank_correlation(halves[0], np.random.default_rng(seed).permutation(halves[1]))
        check = Check.at_least("repeats", meaning, alike, 0.5, Consequence.WITHHOLDS, {"features dealt out": dealt})
    together = np.corrcoef(table.x.numpy()[:, table.x.std(0).numpy() > 0].T)
    tied = together.ndim == 2 and bool((np.abs(together - np.eye(len(together))) > 0.8).any())
    notes = (
        ("Some features are correlated by more than 0.8; they share importance, and each alone looks weak.",)
        if tied
        else ()
    )
    source = Provenance(
        "permutation importance", {"repeats": repeats}, seed, None, network.name, network.fingerprint, behavior.name
    )
    return Importance("importance", {"drops": drops}, (check,), source, notes=notes, names=names_of(behavior))


def _outputs(table: Table) -> int:
    with torch.no_grad():
        return int(table.forward(table.x[:1].view(-1, *table.shape)).shape[1])


def _answers(table: Table, x: Tensor, competing: Tensor, chunk: int = 2048) -> Int[np.ndarray, " n"]:
    with torch.no_grad():
        parts = [table.forward(p.view(-1, *table.shape))[:, competing].argmax(1) for p in torch.split(x, chunk)]
    return torch.cat(parts).numpy()


def _lost(table: Table, said: np.ndarray, competing: Tensor, generator: torch.Generator) -> Float[np.ndarray, "n d"]:
    """Which answers change when each feature in turn comes from another input."""
    found = np.zeros(table.x.shape)
    for feature in range(table.x.shape[1]):
        if float(table.x[:, feature].std()) > 0:
            dealt = table.x[torch.randperm(len(table.x), generator=generator), feature]
            changed = table.x.clone()
            changed[:, feature] = dealt
            found[:, feature] = _answers(table, changed, competing) != said
    return found


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)
