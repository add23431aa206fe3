"""Attention rollout: attention patterns multiplied through the layers (Abnar and Zuidema 2020, arXiv 2005.00928)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from exegesis.explain.saliency.method import Found, Setting, UndefinedMethodError
from exegesis.explain.saliency.program_inputs import program_inputs
from exegesis.explain.target import Target
from exegesis.runtime import Executor


@dataclass(frozen=True)
class AttentionRollout:
    """The row of the explained position in Π (A + I)/2, A the mean over heads of each layer's attention."""

    name: ClassVar[str] = "attention-rollout"
    title: ClassVar[str] = "Attention rollout"
    caveat: ClassVar[str] = (
        "A baseline only: it never looks at what heads read and write, nor at which output is explained, and is the "
        "same for every class."
    )

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`. Undefined without attention over the tokens of a sequence."""
        objective = setting.objective
        if objective.inputs.tokens is None:
            raise UndefinedMethodError("Attention rollout is for sequences of tokens.")
        graph = setting.program("Attention rollout")
        patterns = [node.id for node in graph.nodes if node.op == "component.softmax"]
        if not patterns:
            raise UndefinedMethodError(f"No attention pattern is known in the program of {objective.model.name}.")
        found = Executor(graph).run(program_inputs(graph, objective.inputs), patterns)
        rolled: Tensor | None = None
        length = objective.inputs.tokens.shape[1]
        for name in patterns:
            pattern = found[name]
            if pattern.shape[-2:] != (length, length):
                raise UndefinedMethodError("Attention rollout needs patterns from tokens to tokens in every layer.")
            layer = (pattern.mean(1) + torch.eye(length)) / 2
            rolled = layer if rolled is None else layer @ rolled
        assert rolled is not None
        at = objective.inputs.at
        if isinstance(objective.explained, Target) and objective.explained.position is not None:
            at = torch.full((len(objective),), objective.explained.position % length)
        if at is None:
            raise UndefinedMethodError("Attention rollout needs the position whose output is explained.")
        return Found(rolled[torch.arange(len(objective)), at], None)
