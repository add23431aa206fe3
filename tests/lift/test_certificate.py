"""The certificate, and the faults it must not let pass."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from written_networks import Block, randomised

import exegesis.lift.lifting as lifting
from exegesis.ir import price
from exegesis.lift import Lifted, LiftError, lift
from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.certificate import ValueCheck, check_errors, error
from exegesis.runtime import Executor

IDS = torch.tensor([[0, 1, 2, 3, 4], [5, 6, 5, 4, 3]])


@cache
def of_block() -> tuple[nn.Module, Lifted]:
    module = randomised(Block())
    return module, lift(module, (IDS,))


def test_block_is_certified_in_both_precisions() -> None:
    certificate = of_block()[1].certificate
    assert certificate.worst("float32") < 1e-5
    assert certificate.worst("float64") < 1e-13
    checked = {v.node for v in certificate.values}
    assert {
        "embed",
        "L0.attn.q",
        "L0.attn.scores",
        "L0.attn.mask",
        "L0.attn.pattern",
        "L0.attn.z",
        "L0.mlp.act",
    } <= checked
    assert len(set(certificate.shapes)) > 3
    assert "L0.attn.pattern" in str(certificate)
    assert "100.0% of the numbers" in str(certificate)


@pytest.mark.parametrize("length", [1, 7, 20])
def test_program_equals_network_at_other_sizes(length: int) -> None:
    module, lifted = of_block()
    ids = torch.randint(0, 7, (3, length))
    found = Executor(lifted.graph).run({"tokens": ids})["logits"]
    torch.testing.assert_close(found, module(ids).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("node", ["embed", "L0.attn.k", "L0.attn.out", "logits"])
def test_corrupted_weight_is_found(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth added to a recognised weight must be found, and at that very node or right behind it."""
    freeze = lifting.freeze

    def corrupting(*args: object, **kwargs: object) -> object:
        frozen = freeze(*args, **kwargs)  # type: ignore[arg-type]
        name = frozen.graph[node].tensors["weight"]
        tensors = {**frozen.graph.tensors, name: frozen.graph.tensors[name] + np.float32(1e-3)}
        return replace(frozen, graph=replace(frozen.graph, tensors=tensors))

    monkeypatch.setattr(lifting, "freeze", corrupting)
    where = {"L0.attn.out": "L0.resid_mid"}.get(node, node)
    with pytest.raises(LiftError, match=f"differs from the network at {where} .* in float32, where .* is allowed"):
        lift(randomised(Block()), (IDS,))


def test_wrong_recogniser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recogniser that takes every ReLU for a GELU."""

    def mistaken(bench: Bench) -> int:
        for cell in bench.cells():
            if cell.op == "component.activation":
                cell.attrs = {"kind": "gelu"}
        return 1

    monkeypatch.setattr(lifting, "RECOGNISERS", (*lifting.RECOGNISERS, mistaken))
    with pytest.raises(LiftError, match=r"L0\.mlp\.act"):
        lift(randomised(Block()), (IDS,))


def test_fault_that_only_float64_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    freeze = lifting.freeze

    def rounding(*args: object, **kwargs: object) -> object:
        frozen = freeze(*args, **kwargs)  # type: ignore[arg-type]
        rounded = {
            k: v.astype(np.float16).astype(v.dtype) if k == "L0.ln1.bias" else v
            for k, v in frozen.graph.tensors.items()
        }
        nudged = {
            k: v * (1 + 1e-7) if kwargs["double"] and k == "L0.ln1.bias" else frozen.graph.tensors[k]
            for k, v in rounded.items()
        }
        return replace(frozen, graph=replace(frozen.graph, tensors=nudged))

    monkeypatch.setattr(lifting, "freeze", rounding)
    with pytest.raises(LiftError, match=r"L0\.ln1 .* in float64"):
        lift(randomised(Block()), (IDS,))


def test_error_is_infinite_where_nothing_can_be_compared() -> None:
    assert error(torch.tensor([torch.nan]), torch.tensor([1.0])) == float("inf")
    assert error(torch.ones(2), torch.ones(3)) == float("inf")
    assert error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5])) == 0.5
    assert error(torch.tensor([-torch.inf, 0.0]), torch.tensor([torch.finfo(torch.float32).min, 0.0])) == 0.0
    assert error(torch.tensor([-1e10]), torch.tensor([-1.1e10])) == pytest.approx(0.0909, abs=1e-3)


def test_tolerance_grows_with_the_value_and_never_allows_nan() -> None:
    check_errors(ValueCheck("a", "b", {"float32": 9e-4}, 10.0), ())
    with pytest.raises(LiftError, match=r"at a \(b\) by 0\.0011 in float32, where 0\.001 is allowed"):
        check_errors(ValueCheck("a", "b", {"float32": 1.1e-3}, 10.0), ())
    with pytest.raises(LiftError):
        check_errors(ValueCheck("a", "b", {"float64": float("nan")}, 1.0), ())


def test_double_network_gives_a_double_program() -> None:
    module = randomised(Block()).double()
    found = lift(module, (IDS,))
    assert {t.dtype for t in found.graph.tensors.values()} == {np.dtype("float64")}
    assert set(found.certificate.output.errors) == {"float64"}
    result = Executor(found.graph).run({"tokens": IDS})["logits"]
    torch.testing.assert_close(result, module(IDS).detach(), atol=1e-12, rtol=0)


def test_float_network_as_a_double_program_equals_the_double_network() -> None:
    module = randomised(Block())
    graph = lift(module, (IDS,), dtype=torch.float64).graph
    result = Executor(graph).run({"tokens": IDS})["logits"]
    torch.testing.assert_close(result, module.double()(IDS).detach(), atol=1e-9, rtol=0)


def test_two_lifts_are_equal_and_leave_the_network_as_it_was() -> None:
    module = randomised(Block()).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    a, b = lift(module, (IDS,)).graph, of_block()[1].graph
    assert module.training
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert a.nodes == b.nodes
    assert all(np.array_equal(v, b.tensors[k]) for k, v in a.tensors.items())


def test_meta_counts_weights_of_the_export() -> None:
    module, lifted = of_block()
    graph = lifted.graph
    assert graph.meta["parameters"] == sum(p.numel() for p in module.parameters())
    assert graph.meta["lifted_bits"] == price(graph).opaque_bits > 0
    assert graph.meta["inputs"] == [{"id": "tokens", "name": "input_ids", "dtype": "int64", "dynamic": [0, 1]}]


class Unusual(nn.Module):
    """Nothing in it is known."""

    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(-1).sin() / x.flip(1).exp()


def test_unrecognised_network_still_runs() -> None:
    x = torch.randn(2, 5, 4)
    found = lift(Unusual(), (x,))
    assert found.certificate.share.nodes["component"] == 0
    y = torch.randn(3, 8, 4)
    result = Executor(found.graph).run({"x": y})[found.graph.outputs[0]]
    torch.testing.assert_close(result, Unusual()(y))


def test_bench_lists_cells_after_what_they_read() -> None:
    bench = Bench()
    for name, sources in (("a", ()), ("b", ("a",)), ("c", ("a", "b"))):
        bench.add(Cell(name, "component.add", tuple(Ref(s) for s in sources), shape=(1,)))
    bench.output = "c"
    bench.replace("a", bench.add(Cell("d", "component.add", (Ref("a"),), shape=(1,), rank=0)))
    order = [c.id for c in bench.cells()]
    assert order.index("a") < order.index("d") < order.index("b") < order.index("c")
