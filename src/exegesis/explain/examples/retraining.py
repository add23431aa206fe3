"""The test of influence by retraining: do summed influences of subsets rank what networks trained on them say?

The linear datamodeling score of S. M. Park et al., *TRAK: attributing model behavior at scale* (ICML 2023, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr
from torch import Tensor

from exegesis.explain.core import Check, Consequence
from exegesis.ir import InputError
from exegesis.runtime import Network, output_tensor

if TYPE_CHECKING:
    from exegesis.explain.examples.influence import Question

Retrain = Callable[[Int[np.ndarray, " m"], int], Network]
"""Trains a network on these rows of the training split, with a seed."""
RANKS = 0.1
NULLS = 200
FEWEST = 8
NAME = "linear datamodeling score"
MEANING = "Rank correlation of summed influence with the answer's margin in networks trained on half of the rows."


def margin(logits: Float[Tensor, "n k"], answers: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """How far an answer's logit lies above the logarithm of the summed exponentials of the others."""
    own = logits.gather(1, answers[:, None])[:, 0]
    return own - logits.scatter(1, answers[:, None], -torch.inf).logsumexp(1)


@dataclass(frozen=True, eq=False)
class Retrained:
    """What networks trained on subsets of the rows say of the answers in question.

    Args:
        masks: which rows each was trained on.
        margins: of the answers in each.
    """

    masks: Bool[np.ndarray, "s m"]
    margins: Float[np.ndarray, "s n"]

    @classmethod
    def of(cls, question: Question, retrain: Retrain, subsets: int, seed: int) -> Retrained:
        """Trains on so many random halves of the rows. Raises InputError where they are too few to be ranked."""
        if subsets < FEWEST:
            raise InputError(f"{subsets} subsets are too few to rank; at least {FEWEST} are needed.")
        draws, count = np.random.default_rng(seed), len(question.train)
        masks = np.stack([draws.permutation(count) < count // 2 for _ in range(subsets)])
        margins = []
        for number, mask in enumerate(masks):
            network = retrain(np.flatnonzero(mask), seed + number)
            with torch.no_grad():
                logits = output_tensor(network.module(question.x), network.name)
            margins.append(margin(logits, question.answers).numpy())
        return cls(masks, np.stack(margins))

    def select(self, at: slice) -> Retrained:
        """Some of the networks."""
        return Retrained(self.masks[at], self.margins[at])

    def score(self, scores: Float[Tensor, "n m"]) -> float:
        """The linear datamodeling score."""
        return mean_rank(self._foretold(scores), self.margins)

    def check(self, scores: Float[Tensor, "n m"], others: Mapping[str, Float[Tensor, "n m"]], seed: int) -> Check:
        """The score beside that of networks dealt to other subsets, of random influence, and of what else is given."""
        draws, own = np.random.default_rng([seed, 1]), self._foretold(scores)
        # Questions are alike, so their correlations are too: the null deals the retrained networks to other subsets.
        dealt = [mean_rank(own, self.margins[draws.permutation(len(own))]) for _ in range(NULLS)]
        bar = float(np.quantile(dealt, 0.99))
        figures = {
            "networks dealt to other subsets, 99 %": bar,
            "random": self.score(torch.from_numpy(draws.normal(size=tuple(scores.shape)))),
            **{name: self.score(other) for name, other in others.items()},
        }
        return Check.at_least(NAME, MEANING, self.score(scores), max(RANKS, bar), Consequence.WITHHOLDS, figures)

    def _foretold(self, scores: Float[Tensor, "n m"]) -> Float[np.ndarray, "s n"]:
        """Summed influence of each subset on each question."""
        found: Float[np.ndarray, "s n"] = self.masks.astype(np.float64) @ scores.numpy().T.astype(np.float64)
        return found


def mean_rank(foretold: Float[np.ndarray, "s n"], actual: Float[np.ndarray, "s n"]) -> float:
    """The mean over questions of the rank correlation over subsets; 0 where nothing differs between them."""
    varies = (np.ptp(foretold, axis=0) > 0) & (np.ptp(actual, axis=0) > 0)
    found = [spearmanr(a, b).statistic if v else 0.0 for a, b, v in zip(foretold.T, actual.T, varies, strict=True)]
    return float(np.mean(found))


def untested() -> Check:
    """The check where nobody can train the network again."""
    return Check.undefined(NAME, MEANING, "nobody said how the network is trained", Consequence.MARKS)
