"""Networks of the zoo: their programs hold; a twin of another architecture agrees and is told apart."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exegesis import zoo
from exegesis.evidence import VerdictRule
from exegesis.ir import InputError
from exegesis.lift import lift
from exegesis.pipeline import Program, decompile
from exegesis.runtime import Network, load
from exegesis.verify import shuffled, verify


class RunningMean(nn.Module):
    """The majority network's task by another algorithm: a running mean of values takes the place of attention.

    The attention is still there, and what it writes is pushed out of the stream by a gate that never opens.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        n: Any = self.inner
        x = n.token_embedding(input_ids) + n.position_embedding(position_ids)
        h = n.attention_norm(x)
        scores = n.query(h) @ n.key(h).transpose(-2, -1) / math.sqrt(h.shape[-1])
        length = input_ids.shape[1]
        past = torch.ones(length, length, dtype=torch.bool).tril()
        weights = scores.masked_fill(~past, float("-inf")).softmax(dim=-1)
        z = weights @ n.value(h)
        mean = n.value(h).cumsum(1) / torch.arange(1, length + 1)[:, None]
        x = x + n.output(mean) + self.gate * n.output(z)
        return n.unembedding(n.final_norm(x))


@pytest.fixture(scope="module")
def majority() -> Program:
    return decompile("zoo:majority", zoo.behavior_path("majority"))


def test_the_zoo_s_majority_holds(majority: Program) -> None:
    verdict = majority.verify("zoo:majority", zoo.behavior_path("majority"), budget="60s")
    assert verdict.holds is True, verdict.table()[0]
    assert any("program.py and program.json are one program" in c.statement for c in verdict.claims)
    assert verdict.figures.code_lines == majority.verdict.figures.code_lines


def test_a_network_over_arrays_is_judged_too() -> None:
    network = load("zoo:digits")
    graph = lift(network.module, {"x": torch.rand(3, 64)}).graph
    behavior = zoo.behavior("digits")
    rule = VerdictRule.for_splits(behavior.splits).model_copy(update={"min_legible_share": -1.0})  # it is all opaque
    verdict = verify(graph, network, behavior, budget="60s", rule=rule)
    assert verdict.holds is True, verdict.table()[0]
    joint: Any = verdict.figures.joint_interchange
    assert joint.value == 1.0
    assert verdict.figures.interchange_one_position == {}
    assert verify(graph, shuffled(network, 0), behavior, budget="60s", rule=rule).holds is False


def test_a_twin_of_another_architecture_is_told_apart(majority: Program) -> None:
    twin = Network(RunningMean(zoo.build("majority")), "running mean")
    try:
        verdict = verify(majority.graph, twin, zoo.behavior("majority"), budget="60s")
    except InputError as refusal:  # its attention may stand under another name; then nothing can be judged
        pytest.fail(f"the twin has no such site: {refusal}")
    assert verdict.figures.agreement["test"].value >= 0.99
    assert verdict.holds is False
    joint: Any = verdict.figures.joint_interchange
    assert joint.value < 0.9


def test_a_shuffled_zoo_network_holds_for_nobody(majority: Program) -> None:
    verdict = verify(majority.graph, shuffled(load("zoo:majority"), 0), zoo.behavior("majority"), budget="60s")
    assert verdict.holds is False
