"""Layer-wise relevance propagation over the lifted program (Bach et al. 2015; gamma rule: Montavon et al. 2019).

Every op of the language has its rule (`lrp_rules`), so no network needs a composite of its own. What goes in comes out:
the relevance of inputs and of constants (biases, positions) together is the explained number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.inputs import Inputs
from exegesis.explain.model import Objective
from exegesis.explain.saliency.lrp_rules import Ledger, relevance_of_inputs
from exegesis.explain.saliency.method import Found, Setting, UndefinedMethodError
from exegesis.explain.saliency.program_inputs import program_inputs
from exegesis.explain.target import Reading
from exegesis.ir import Graph, InputError
from exegesis.runtime import Executor


@dataclass(frozen=True)
class LrpEpsilon:
    """Each input of a sum gets relevance by its share of it, the sum kept away from zero by `epsilon`.

    Args:
        epsilon: relative to the mean size of a layer's values.
    """

    epsilon: float = 1e-6

    name: ClassVar[str] = "lrp-epsilon"
    title: ClassVar[str] = "LRP (ε)"
    caveat: ClassVar[str] = "In a network of ReLUs it is gradient × input; much relevance may end at biases."

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise InputError(f"The epsilon of LRP lies between 0 and 1, not at {self.epsilon}.")

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`. Undefined where an op of the program has no rule."""
        return _propagated(setting, self.epsilon, 0.0)


@dataclass(frozen=True)
class LrpGamma:
    """As `LrpEpsilon`, with positive weights made larger by the factor 1 + `gamma`, which damps noise.

    Args:
        gamma: of linear maps and convolutions whose inputs are not negative; elsewhere the rule is ε.
        epsilon: as in `LrpEpsilon`.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6

    name: ClassVar[str] = "lrp-gamma"
    title: ClassVar[str] = "LRP (γ)"
    caveat: ClassVar[str] = "Favours what speaks for the output; much of it can survive random weights."

    def __post_init__(self) -> None:
        if not (0 < self.epsilon < 1 and self.gamma > 0):
            raise InputError(
                f"LRP needs an epsilon in (0, 1) and a positive gamma, not {self.epsilon} and {self.gamma}."
            )

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`. Undefined where an op of the program has no rule."""
        return _propagated(setting, self.epsilon, self.gamma)


def _propagated(setting: Setting, epsilon: float, gamma: float) -> Found:
    objective = setting.objective
    graph = setting.program("LRP")
    _check_outputs(objective, graph)
    chunk = chunk_size(objective, len(objective), setting.chunk)
    values, absorbed, totals = [], [], []
    for part in parts(len(objective), chunk):
        ledger = _one_batch(objective, graph, part, epsilon, gamma)
        values.append(ledger.inputs)
        absorbed.append(ledger.absorbed)
        totals.append(ledger.total)
    return Found(torch.cat(values), chunk, torch.cat(totals), tolerance=1e-4, absorbed=torch.cat(absorbed))


def _one_batch(objective: Objective, graph: Graph, rows: Tensor, epsilon: float, gamma: float) -> Ledger:
    inputs = objective.inputs.select(rows.numpy())
    executor = Executor(graph)
    given = program_inputs(graph, inputs)
    needed = graph.upstream([graph.outputs[0]])
    known = executor.run(given, [node.id for node in graph.nodes if node.id in needed])
    total, seed = _seed(objective.reading, known[graph.outputs[0]], rows)
    return relevance_of_inputs(executor, known, seed, total, epsilon, gamma)


def _seed(reading: Reading, outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The explained number [m], and its relevance at the outputs: what it reads of each, times that output."""
    at = outputs.detach().requires_grad_(True)
    with torch.enable_grad():
        value = reading(at, rows)
        (read,) = torch.autograd.grad(value.sum(), at)
    return value.detach(), read * outputs.detach()


def _check_outputs(objective: Objective, graph: Graph) -> None:
    """The program must give what is explained: a layer's values are none of its outputs."""
    few: Inputs = objective.inputs.take(2)
    given: Mapping[str, Tensor] = program_inputs(graph, few)
    found = Executor(graph).run(given)[graph.outputs[0]]
    own = objective.model(objective.start[: len(few)], few, torch.arange(len(few))).detach()
    if found.shape != own.shape or not torch.allclose(found, own, rtol=1e-3, atol=1e-3 * float(own.abs().max())):
        raise UndefinedMethodError(
            f"The program is not that of {objective.model.name}: LRP needs the program of the whole network."
        )
