"""Networks of every kind: lifted exactly, and written as programs on numpy that answer as they do."""

from __future__ import annotations

from collections.abc import Callable

import any_networks
import numpy as np
import pytest
import torch
from any_networks import CASES, Packed, TokenGRU, build

import exegesis as ex
from exegesis.behavior import Argmax, Behavior
from exegesis.emit import About, emit_program
from exegesis.ir import Graph, GraphError
from exegesis.lift import Lifted, LiftError, lift
from exegesis.runtime import Executor
from exegesis.runtime.network import output_tensor

TOKENS = sorted(n for n in CASES if n.startswith("token") or n == "llama")


def running(source: str, graph: Graph) -> Callable[[np.ndarray], object]:
    """The `run` of a written program, with the tensors of its graph."""
    space: dict[str, object] = {"TENSORS_GIVEN": graph.tensors}
    exec(source.replace("load_tensors(__file__)", "TENSORS_GIVEN"), space)
    run = space["run"]
    assert callable(run)
    return run


def lifted(name: str) -> tuple[Lifted, torch.Tensor, torch.Tensor]:
    """A lifted network, and what it and its program say on other inputs, of another number."""
    network, example = build(name)
    found = lift(network, example)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(4)) % len(example[0])
    other = tuple(e[order] if e.dtype == torch.long or name == "tabular" else e[order] * 0.9 + 0.05 for e in example)
    with torch.no_grad():
        said = output_tensor(network(*other), name)
    program = Executor(found.graph)
    mine = program.run(dict(zip((n.id for n in found.graph.inputs), other, strict=True)))[found.graph.outputs[0]]
    return found, said, mine


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_network_is_lifted_exactly_and_runs_on_numpy(name: str) -> None:
    found, said, mine = lifted(name)
    assert found.certificate.worst("float32") < 1e-5
    assert found.certificate.worst("float64") < 1e-12
    assert float(said.std()) > 1e-3
    torch.testing.assert_close(mine, said, atol=1e-5, rtol=1e-5)
    if len(found.graph.inputs) > 1:
        return  # a program takes one input
    run = running(emit_program(found.graph, about=About(name), readout=Argmax()), found.graph)
    _, example = build(name)
    network, _ = build(name)
    with torch.no_grad():
        expected = output_tensor(network(*example), name).argmax(-1)
    assert [run(x) for x in example[0].numpy()] == expected.tolist()


@pytest.mark.parametrize("name", TOKENS)
def test_networks_over_tokens_take_any_length(name: str) -> None:
    network, _ = build(name)
    graph = lift(network, (torch.randint(0, 5, (3, 7)),)).graph
    for length in (1, 4, 19):
        ids = torch.randint(0, 5, (2, length), generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            said = network(ids)
        torch.testing.assert_close(Executor(graph).run({"tokens": ids})[graph.outputs[0]], said, atol=1e-5, rtol=1e-5)


def test_recurrent_layers_over_tokens_are_one_component_each() -> None:
    for kind, gates in ((torch.nn.GRU, "gru"), (torch.nn.LSTM, "lstm"), (torch.nn.RNN, "rnn_tanh")):
        graph = lift(TokenGRU(kind, layers=2, both=True).eval(), (torch.randint(0, 5, (3, 6)),)).graph
        layers = [n for n in graph.nodes if n.op == "component.recurrent"]
        assert [(n.attrs["kind"], n.attrs.get("reverse", False)) for n in layers] == [(gates, False), (gates, True)] * 2
        assert {n.op for n in graph.nodes} <= {
            "input.tokens", "component.embed", "component.recurrent", "component.join", "component.linear",
        }  # fmt: skip


def test_swapped_gates_are_found_by_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    from exegesis.lift.recognise import whole_layers

    right = whole_layers.maps
    turned = {"reset": "update", "update": "reset"}
    monkeypatch.setattr(
        whole_layers,
        "maps",
        lambda kind, tensors: {
            f"{turned.get(k.split('_')[0], k.split('_')[0])}_{k.split('_', 1)[1]}": v
            for k, v in right(kind, tensors).items()
        },
    )
    with pytest.raises(LiftError, match="differs from the network"):
        lift(TokenGRU().eval(), (torch.randint(0, 5, (3, 6)),))


def test_the_batch_stays_open() -> None:
    """`len(x)`, an einsum of three values, and a batch as large as another axis fix nothing."""
    for name in ("vit", "cell_loop", "first_expert"):
        network, example = build(name)
        notes = lift(network, example).certificate.notes
        assert not [n for n in notes if n.startswith("axis 0") or "batch" in n], name


def test_the_networks_own_len_comes_back() -> None:
    network, example = build("vit")
    lift(network, example)
    assert "len" not in vars(any_networks)
    assert torch.isfinite(network(*example)).all()


def test_packed_sequences_are_refused_in_one_sentence() -> None:
    torch.manual_seed(0)
    with pytest.raises(LiftError) as error:
        lift(Packed().eval(), (torch.randn(3, 4, 3), torch.tensor([4, 2, 3])))
    assert "\n" not in str(error.value)


def rows_of(name: str, network: torch.nn.Module, example: torch.Tensor, n: int) -> tuple[object, object]:
    """Random inputs, with what the network says of them."""
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, *example.shape[1:], generator=generator)
    with torch.no_grad():
        return x.numpy(), output_tensor(network(x), name).argmax(-1).numpy()


@pytest.mark.parametrize("name", ["actor_critic", "best_experts", "norms", "vit", "cell_loop", "radial"])
def test_what_is_lifted_can_be_decompiled(name: str) -> None:
    """A program that runs, agrees and has a verdict, whatever the network is made of."""
    network, (example,) = build(name)
    splits = {s: rows_of(name, network, example, n) for s, n in (("train", 120), ("test", 90))}
    program = ex.decompile(network, Behavior.from_arrays(name, splits, Argmax()), seed=0)
    assert program.verdict.figures.agreement["test"].value >= 0.95
    x, said = splits["test"]
    run = running(program.source, program.graph)
    assert np.mean([run(row) == answer for row, answer in zip(x, said, strict=True)]) >= 0.95


def test_an_operator_that_numpy_lacks_is_named() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = torch.nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(torch.erfinv(x.tanh() / 2))

    graph = lift(Odd().eval(), (torch.randn(3, 4),)).graph
    with pytest.raises(GraphError, match=r"operator aten\.erfinv\.default, which a program on numpy"):
        emit_program(graph, about=About("odd"), readout=Argmax())
