"""What compression left of a network, trained again on its answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Graph, InputError
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.passes.compressing.quantise_weights import Quantiser
from exegesis.passes.compressing.retrain import retrained


def small() -> tuple[Graph, Bench]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    x = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    graph = lift(network, (torch.from_numpy(x[:3]),)).graph
    return graph, Bench(graph, Argmax(), ArraySplit("train", x))


def test_a_damaged_program_finds_back_and_stays_whole() -> None:
    graph, bench = small()
    program = Quantiser.of(graph, graph, bench).at(0.3)
    last = program[program.outputs[0]]
    wrong = program.tensors[last.tensors["bias"]] + np.array([1, -1, 0], np.float16)
    damaged = program.with_nodes(program.nodes, tensors={last.tensors["bias"]: wrong})
    again = retrained(damaged, graph, bench)
    assert bench.agreement(damaged) < 0.5
    assert bench.agreement(again) > bench.agreement(damaged) + 0.3
    for name, before in program.tensors.items():
        after = again.tensors[name]
        assert after.dtype.kind == before.dtype.kind
        if before.dtype.kind == "i":
            assert not after[before == 0].any()
    same = retrained(damaged, graph, bench)
    assert all(np.array_equal(same.tensors[k], v) for k, v in again.tensors.items())


def test_what_counts_no_steps_is_refused() -> None:
    graph, bench = small()
    with pytest.raises(InputError, match="no weight of the program counts steps"):
        retrained(graph, graph, bench)
