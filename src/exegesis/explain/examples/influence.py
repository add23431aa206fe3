"""Which training examples made the network say this: TracIn over checkpoints, on the last linear layer, and its test
by retraining.

G. Pruthi et al., *Estimating training data influence by tracing gradient descent* (NeurIPS 2020); the linear
datamodeling score is that of S. M. Park et al., *TRAK* (ICML 2023): do the summed influences of subsets rank what
networks trained on them say?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Check, Consequence, Explanation, Provenance
from exegesis.ir import InputError
from exegesis.runtime import Network, output_tensor

Retrain = Callable[[Int[np.ndarray, " m"], int], Network]
"""Trains a network on these rows of the training split, with a seed."""
RANKS = 0.1
NULLS = 200


@dataclass(frozen=True, eq=False)
class Influence(Explanation):
    """Arrays: `scores` [n_test, n_train], positive where a training example speaks for the answer; `rows` [n_test]."""

    def strongest(self, query: int, count: int = 5) -> tuple[Int[np.ndarray, " count"], Int[np.ndarray, " count"]]:
        """The training rows that speak most for, and most against, the answer to a query; withheld with the rest."""
        order = np.argsort(-self.arrays["scores"][query], kind="stable")
        return order[:count], order[::-1][:count]


def tracin(
    checkpoints: Sequence[Network],
    behavior: Behavior,
    rows: Sequence[int],
    *,
    rates: Sequence[float] | None = None,
    split: str = "test",
    among: str = "train",
    retrain: Retrain | None = None,
    subsets: int = 16,
    seed: int = 0,
) -> Influence:
    """Influence of every training example on the network's answer to some inputs.

    For cross-entropy, the gradient with respect to a last linear layer is (p − y) hᵀ, so that an inner product of two
    gradients is (p − y)·(p′ − y′) (h·h′ + 1); it is summed over checkpoints with their learning rates.

    Args:
        checkpoints: the network at several steps of its training, the last one last; one will do.
        behavior: over arrays, with an argmax readout and labels on the training split.
        rows: of `split`, the inputs in question.
        rates: learning rate at each checkpoint; 1 unless told.
        split, among: names of splits.
        retrain: trains on a subset; with it the result is tested by retraining, without it nothing tests it.
        subsets: how many subsets of half the training rows are trained on.
        seed: of the subsets.

    Raises:
        InputError: no labels, rows that do not exist, no last linear layer, or rates that do not fit.
    """
    if not checkpoints:
        raise InputError("Influence needs the network, or several checkpoints of it; there is none.")
    if rates is not None and len(rates) != len(checkpoints):
        raise InputError(f"There are {len(checkpoints)} checkpoints, but {len(rates)} learning rates.")
    train, queries = behavior.arrays(among), behavior.arrays(split)
    if not isinstance(behavior.readout, Argmax) or train.y is None:
        raise InputError(
            f"Split {among} of behaviour {behavior.name} has no classes as labels, of which influence is traced."
        )
    if wrong := [row for row in rows if not 0 <= row < len(queries)]:
        raise InputError(f"Split {split} has no row {wrong[0]}: it has {len(queries)}, counted from 0.")
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    asked = torch.from_numpy(queries.gather(np.asarray(rows)).x)
    answers = _outputs(checkpoints[-1], asked)[0].argmax(1)
    scores = torch.zeros(len(asked), len(x))
    for network, rate in zip(checkpoints, rates or [1.0] * len(checkpoints), strict=True):
        scores += rate * last_layer_products(network, asked, answers, x, y)
    check = _tested(scores, answers, asked, len(x), retrain, subsets, seed)
    last = checkpoints[-1]
    source = Provenance(
        "TracIn on the last layer", {"checkpoints": len(checkpoints), "split": split, "among": among}, seed, None,
        last.name, last.fingerprint, behavior.name,
    )  # fmt: skip
    return Influence("influence", {"scores": scores.numpy(), "rows": np.asarray(rows)}, (check,), source)


def last_layer_products(
    network: Network, a: Float[Tensor, "n ..."], a_labels: Int[Tensor, " n"], b: Tensor, b_labels: Tensor
) -> Float[Tensor, "n m"]:
    """Inner products of loss gradients with respect to the last linear layer, weights and bias."""
    sides = []
    for x, y in ((a, a_labels), (b, b_labels)):
        logits, inner = _outputs(network, x)
        residual = logits.softmax(1)
        residual[torch.arange(len(y)), y] -= 1.0
        sides.append((residual, inner))
    (left, inner), (right, other) = sides
    return (left @ right.T) * (inner @ other.T + 1.0)


def _outputs(network: Network, x: Tensor, chunk: int = 256) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"]]:
    """Logits, and what the last linear layer reads."""
    linears = [m for m in network.module.modules() if isinstance(m, nn.Linear)]
    if not linears:
        raise InputError(f"The network {network.name} has no linear layer, on which influence could be traced.")
    seen: list[tuple[Tensor, Tensor]] = []

    def look(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append((given[0].detach(), out.detach()))

    hooks = [m.register_forward_hook(look) for m in linears]
    logits, inner = [], []
    try:
        with torch.no_grad():
            for part in torch.split(x, chunk):
                seen.clear()
                out = output_tensor(network.module(part), network.name)
                if not seen or seen[-1][1].shape != out.shape or not torch.equal(seen[-1][1], out):
                    raise InputError(f"The outputs of {network.name} are not those of a last linear layer.")
                logits.append(out)
                inner.append(seen[-1][0])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(logits), torch.cat(inner)


def _tested(
    scores: Float[Tensor, "n m"],
    answers: Int[Tensor, " n"],
    asked: Tensor,
    count: int,
    retrain: Retrain | None,
    subsets: int,
    seed: int,
) -> Check:
    """The linear datamodeling score: the mean over queries of a rank correlation over subsets."""
    meaning = "Rank correlation of summed influence with the answer's margin in networks trained on half of the rows."
    name = "linear datamodeling score"
    if retrain is None:
        return Check.undefined(name, meaning, "nobody said how the network is trained", Consequence.MARKS)
    draws = np.random.default_rng(seed)
    masks = np.stack([draws.permutation(count) < count // 2 for _ in range(subsets)])
    margins = []
    for number, mask in enumerate(masks):
        logits = _outputs(retrain(np.flatnonzero(mask), seed + number), asked)[0]
        own = logits.gather(1, answers[:, None])[:, 0]
        margins.append((own - logits.scatter(1, answers[:, None], -torch.inf).logsumexp(1)).numpy())
    actual = np.stack(margins)
    foretold = masks.astype(np.float64) @ scores.numpy().T.astype(np.float64)
    # Queries are alike, so their correlations are too: the null deals the retrained networks to other subsets.
    mixed = [_mean_rank(foretold, actual[draws.permutation(subsets)]) for _ in range(NULLS)]
    bar = float(np.quantile(mixed, 0.99))
    return Check.at_least(
        name, meaning, _mean_rank(foretold, actual), max(RANKS, bar), Consequence.WITHHOLDS,
        {"networks dealt to other subsets, 99 %": bar},
    )  # fmt: skip


def _mean_rank(foretold: Float[np.ndarray, "s n"], actual: Float[np.ndarray, "s n"]) -> float:
    found = [spearmanr(foretold[:, k], actual[:, k]).statistic for k in range(actual.shape[1])]
    return float(np.nanmean(found))
