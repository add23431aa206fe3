"""Which training examples made the network say this: scores by three methods, and their test by retraining.

G. Pruthi et al., *Estimating training data influence by tracing gradient descent* (NeurIPS 2020) for TracIn; EK-FAC
is in `ek_fac`; the test is in `retraining`. A score is positive where a training example speaks for the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Check, Explanation, Provenance, Status
from exegesis.explain.examples.pictures import influence_picture
from exegesis.explain.examples.retraining import Retrain, Retrained, margin, untested
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.framing import profile
from exegesis.explain.inputs import names_of
from exegesis.ir import InputError, Json
from exegesis.runtime import Network, output_tensor

ROOM = 1 << 24
"""Numbers of gradients that are held at a time."""
EACH = 5


@dataclass(frozen=True, eq=False)
class Question:
    """Of what influence is asked.

    Args:
        network: as trained.
        x, answers: the inputs in question [n, ...], and what the network says of them [n].
        train, labels: what it was trained on, [m, ...] and [m].
        seed: of what is drawn.
    """

    network: Network
    x: Float[Tensor, "n ..."]
    answers: Int[Tensor, " n"]
    train: Float[Tensor, "m ..."]
    labels: Int[Tensor, " m"]
    seed: int = 0


@runtime_checkable
class Scorer(Protocol):
    """Scores every training example for every question."""

    @property
    def title(self) -> str:
        """What the method is called."""
        ...

    def settings(self) -> dict[str, Json]:
        """Its settings, as JSON."""
        ...

    def scores(self, question: Question) -> Float[Tensor, "n m"]:
        """Influence [n, m], positive where a training example speaks for the answer."""
        ...


@dataclass(frozen=True, eq=False)
class Influence(Explanation):
    """Arrays: `scores` [n_test, n_train], positive where a training example speaks for the answer; `rows` [n_test] and
    `inputs` [n_test, ...] of the questions, `answers` [n_test]; `examples` [n_test, 2, k], the training rows that speak
    most for and most against, their `example_inputs` [n_test, 2, k, ...] and `example_labels` [n_test, 2, k]."""

    def strongest(self, query: int, count: int = 5) -> tuple[Int[np.ndarray, " count"], Int[np.ndarray, " count"]]:
        """The training rows that speak most for, and most against, the answer to a query; withheld with the rest."""
        order = np.argsort(-self.arrays["scores"][query], kind="stable")
        return order[:count], order[::-1][:count]

    def figure(self, *, anyway: bool = False) -> Picture:
        """Each question with the training examples that speak most for and most against its answer."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return influence_picture(self)


@dataclass(frozen=True, eq=False)
class TracIn:
    """Inner products of loss gradients with respect to the last linear layer, summed over checkpoints with their
    learning rates.

    For cross-entropy that gradient is (p − y) hᵀ, so that a product of two is (p − y)·(p′ − y′) (h·h′ + 1).

    Args:
        checkpoints: the network at several steps of its training; the network itself unless told.
        rates: learning rate at each; 1 unless told.
    """

    checkpoints: tuple[Network, ...] = ()
    rates: tuple[float, ...] = ()

    title = "TracIn on the last layer"

    def settings(self) -> dict[str, Json]:
        """See `Scorer.settings`."""
        return {"checkpoints": max(1, len(self.checkpoints)), "rates": list(self.rates)}

    def scores(self, question: Question) -> Float[Tensor, "n m"]:
        """See `Scorer.scores`. Raises InputError for rates that do not fit, or no last linear layer."""
        checkpoints = self.checkpoints or (question.network,)
        if self.rates and len(self.rates) != len(checkpoints):
            raise InputError(f"There are {len(checkpoints)} checkpoints, but {len(self.rates)} learning rates.")
        found = torch.zeros(len(question.x), len(question.train))
        for network, rate in zip(checkpoints, self.rates or (1.0,) * len(checkpoints), strict=True):
            found += rate * last_layer_products(network, question.x, question.answers, question.train, question.labels)
        return found


@dataclass(frozen=True, eq=False)
class GradientProduct:
    """The inner product of the gradients of the answer's margin and of a training example's (negative) loss, over all
    parameters of the network as it is: TracIn at the end of training. It takes the curvature to be the same everywhere,
    and is what EK-FAC has to beat."""

    title = "gradient product"

    def settings(self) -> dict[str, Json]:
        """See `Scorer.settings`."""
        return {}

    def scores(self, question: Question) -> Float[Tensor, "n m"]:
        """See `Scorer.scores`; bounded memory."""
        module = question.network.module
        weights = {name: p.detach() for name, p in module.named_parameters()}
        kept = {name: b.detach() for name, b in module.named_buffers()}
        size = max(1, ROOM // max(1, 2 * sum(p.numel() for p in weights.values())))

        def outputs(given: dict[str, Tensor], x: Tensor) -> Tensor:
            return output_tensor(functional_call(module, {**given, **kept}, (x[None],)), question.network.name)

        def loss(given: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(outputs(given, x), y[None])

        def less(given: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return -margin(outputs(given, x), y[None])[0]

        def rows(of: Callable[..., Tensor], x: Tensor, y: Tensor) -> Float[Tensor, "n p"]:
            found = vmap(grad(of), in_dims=(None, 0, 0))(weights, x, y)
            return torch.cat([part.flatten(1) for part in found.values()], 1)

        found = torch.empty(len(question.x), len(question.train))
        for queries in torch.split(torch.arange(len(question.x)), size):
            own = rows(less, question.x[queries], question.answers[queries])
            for part in torch.split(torch.arange(len(question.train)), size):
                found[queries[:, None], part] = own @ rows(loss, question.train[part], question.labels[part]).T
        return found


def influence_of(
    network: Network,
    behavior: Behavior,
    rows: Sequence[int],
    scorer: Scorer | Sequence[Scorer] = (),
    *,
    split: str = "test",
    among: str = "train",
    retrain: Retrain | None = None,
    subsets: int = 16,
    seed: int = 0,
) -> Influence:
    """Influence of every training example on the network's answer to some inputs.

    Args:
        network: as trained.
        behavior: over arrays, with an argmax readout and labels on the training split.
        rows: of `split`, the inputs in question.
        scorer: the method; `TracIn` at the network as it is unless told. Of several, as of one at several dampings, the
            one that ranks half of the retrained networks best is kept, and tested on the other half.
        split, among: names of splits.
        retrain: trains on a subset; with it the result is tested by retraining, without it nothing tests it.
        subsets: how many subsets of half the training rows it is tested by; twice as many where one has to be chosen.
        seed: of the subsets.

    Raises:
        InputError: no labels, rows that do not exist, or what the method asks for is missing.
    """
    scorers = (scorer,) if isinstance(scorer, Scorer) else tuple(scorer) or (TracIn(),)
    train, queries = behavior.arrays(among), behavior.arrays(split)
    if not isinstance(behavior.readout, Argmax) or train.y is None:
        raise InputError(
            f"Split {among} of behaviour {behavior.name} has no classes as labels, of which influence is traced."
        )
    if not len(rows):
        raise InputError("No rows were named whose answers are asked about.")
    if wrong := [row for row in rows if not 0 <= row < len(queries)]:
        raise InputError(f"Split {split} has no row {wrong[0]}: it has {len(queries)}, counted from 0.")
    asked = torch.from_numpy(queries.gather(np.asarray(rows)).x)
    with torch.no_grad():
        answers = output_tensor(network.module(asked), network.name).argmax(1)
    question = Question(network, asked, answers, torch.from_numpy(train.x), torch.from_numpy(train.y), seed)
    chosen, scores, check = _chosen(scorers, question, retrain, subsets, seed)
    source = Provenance(
        chosen.title, {**chosen.settings(), "split": split, "among": among, "chosen among": len(scorers)}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    raw = {
        "scores": scores.numpy(),
        "rows": np.asarray(rows),
        "inputs": asked.numpy(),
        "answers": answers.numpy(),
        **profile(train.x),
    }
    return Influence("influence", {**raw, **_examples(scores, question)}, (check,), source, names=names_of(behavior))


def _chosen(
    scorers: Sequence[Scorer], question: Question, retrain: Retrain | None, subsets: int, seed: int
) -> tuple[Scorer, Float[Tensor, "n m"], Check]:
    """The scorer that ranks half of the retrained networks best, and its test on the other half."""
    if retrain is None:
        return scorers[0], scorers[0].scores(question), untested()
    tested = Retrained.of(question, retrain, subsets * (1 if len(scorers) == 1 else 2), seed)
    found = [one.scores(question) for one in scorers]
    best = 0
    if len(scorers) > 1:
        first = tested.select(slice(0, None, 2))
        best = int(np.argmax([first.score(scores) for scores in found]))
        tested = tested.select(slice(1, None, 2))
    plain = GradientProduct()
    others = {} if isinstance(scorers[best], GradientProduct) else {plain.title: plain.scores(question)}
    return scorers[best], found[best], tested.check(found[best], others, seed)


def _examples(scores: Float[Tensor, "n m"], question: Question) -> dict[str, np.ndarray]:
    """The rows that speak most for and most against, with what they hold."""
    count = min(EACH, scores.shape[1] // 2)
    order = (-scores).argsort(stable=True, dim=1)
    rows = torch.stack([order[:, :count], order.flip(1)[:, :count]], 1)
    return {
        "examples": rows.numpy(),
        "example_inputs": question.train[rows].numpy(),
        "example_labels": question.labels[rows].numpy(),
    }


def last_layer_products(
    network: Network, a: Float[Tensor, "n ..."], a_labels: Int[Tensor, " n"], b: Tensor, b_labels: Tensor
) -> Float[Tensor, "n m"]:
    """Inner products of loss gradients with respect to the last linear layer, weights and bias."""
    sides = []
    for x, y in ((a, a_labels), (b, b_labels)):
        logits, inner = _last_layer(network, x)
        residual = logits.softmax(1)
        residual[torch.arange(len(y)), y] -= 1.0
        sides.append((residual, inner))
    (left, inner), (right, other) = sides
    return (left @ right.T) * (inner @ other.T + 1.0)


def _last_layer(network: Network, x: Tensor, chunk: int = 256) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"]]:
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
