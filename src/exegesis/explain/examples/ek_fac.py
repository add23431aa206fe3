"""Influence functions with the eigenvalue-corrected Kronecker-factored curvature (EK-FAC), computed by kronfluence.

R. Grosse et al., *Studying large language model generalization with influence functions* (2023). Influence is
∇m · (G + λ)⁻¹ ∇(−L): the gradient of the answer's margin, and that of a training example's loss, in the metric of the
Gauss–Newton matrix G, of which every linear and convolutional layer has its own block.
"""

from __future__ import annotations

import copy
import logging
import math
import tempfile
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from exegesis.explain.examples.influence import Question
from exegesis.explain.examples.retraining import margin
from exegesis.ir import ExegesisError, InputError, Json
from exegesis.runtime import output_tensor

ROWS = 256
DAMPINGS = (None, 1e-3, 1e-2, 1e-1)
"""Of the mean loss, in nats: what is tried where retrained networks can choose."""


@dataclass(frozen=True)
class EkFac:
    """EK-FAC.

    Args:
        damping: what is added to every eigenvalue of the curvature of the mean loss (λ above): directions of less
            curvature are taken to be set by how training went, not by its examples. None for a tenth of the mean
            eigenvalue of each layer, as in the paper; a network that was trained briefly needs more.
    """

    damping: float | None = None

    title = "EK-FAC"

    def __post_init__(self) -> None:
        if self.damping is not None and not (math.isfinite(self.damping) and self.damping > 0):
            raise InputError(f"Damping is a positive number, not {self.damping}.")

    def settings(self) -> dict[str, Json]:
        """See `Scorer.settings`."""
        return {"damping": self.damping}

    def scores(self, question: Question) -> Float[Tensor, "n m"]:
        """See `Scorer.scores`. Labels of the curvature are drawn from the network's own answers, by the seed.

        Raises:
            InputError: no linear or convolutional layer.
            ExegesisError: kronfluence is not installed.
        """
        kronfluence = _kronfluence()
        name = question.network.name
        module = copy.deepcopy(question.network.module).eval()
        if not any(isinstance(part, nn.Linear | nn.Conv2d) for part in module.modules()):
            raise InputError(f"The network {name} has no linear or convolutional layer, which EK-FAC is defined for.")

        class Answers(kronfluence.Task):  # type: ignore[misc, name-defined]
            """Cross-entropy, and the margin of an answer."""

            def compute_train_loss(self, batch: list[Tensor], model: nn.Module, sample: bool = False) -> Tensor:
                logits = output_tensor(model(batch[0]), name)
                drawn = torch.multinomial(logits.detach().softmax(1), 1)[:, 0] if sample else batch[1]
                return F.cross_entropy(logits, drawn, reduction="sum")

            def compute_measurement(self, batch: list[Tensor], model: nn.Module) -> Tensor:
                return -margin(output_tensor(model(batch[0]), name), batch[1]).sum()

        task = Answers()
        train = TensorDataset(question.train, question.labels)
        asked = TensorDataset(question.x, question.answers)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.random.fork_rng():
            warnings.filterwarnings("ignore", category=FutureWarning, message=".*GradScaler")
            torch.manual_seed(question.seed)
            analyzer = kronfluence.Analyzer(
                "influence", kronfluence.prepare_model(module, task), task, cpu=True,
                log_level=logging.ERROR, disable_tqdm=True, output_dir=folder,
            )  # fmt: skip
            analyzer.fit_all_factors("factors", train, per_device_batch_size=ROWS)
            analyzer.compute_pairwise_scores(
                "scores", "factors", asked, train, per_device_query_batch_size=ROWS, per_device_train_batch_size=ROWS,
                score_args=kronfluence.ScoreArguments(damping_factor=self.damping),
            )  # fmt: skip
            found: Tensor = analyzer.load_pairwise_scores("scores")["all_modules"]
        return found.float().clone()


@dataclass(frozen=True)
class _Kronfluence:
    """What is used of it."""

    Analyzer: Any
    Task: Any
    ScoreArguments: Any
    prepare_model: Any


def _kronfluence() -> _Kronfluence:
    """Raises ExegesisError, naming the extra, where kronfluence is not installed."""
    try:
        analyzer, arguments, task = (import_module(f"kronfluence.{name}") for name in ("analyzer", "arguments", "task"))
    except ImportError:
        raise ExegesisError("EK-FAC needs kronfluence: pip install 'exegesis[influence]'.") from None
    return _Kronfluence(analyzer.Analyzer, task.Task, arguments.ScoreArguments, analyzer.prepare_model)
