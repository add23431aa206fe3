"""Parts of a program, and the program as a module with a submodule for each."""

import copy

import numpy as np
import pytest
import torch
from explain_networks import Convnet
from torch.func import functional_call

from exegesis.explain import Inputs, Model
from exegesis.explain.model import NotDifferentiableError
from exegesis.explain.parts import (
    Member,
    Part,
    ProgramModule,
    TokenProgram,
    part_of,
    part_value,
    program_parts,
    reads_ids,
    real_value,
)
from exegesis.ir import Axis, Function, Graph, InputError, Node, Site, Type
from exegesis.lift import lift
from exegesis.runtime import Executor, Network

EVERY = ("batch", "pos")


def brackets() -> Graph:
    """How many `a` came so far, whether it is more than two, and which letter the head says."""
    axes = {name: Axis(name) for name in ("batch", "pos", "key")}
    axes["token"] = Axis("token", 3, ("a", "b", "c"))
    head = Site("attention", ("batch", "head", "pos", "d_head"), label="L0H1")
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", EVERY, "token")),
        Node("so_far", "symbolic.everywhere", ("tokens",), Type("selector", (*EVERY, "key")), {"causal": True}),
        Node("n1", "symbolic.count", ("so_far", "tokens"), Type("real", (*EVERY, "token")), name="seen", sites=(head,)),
        Node("depth", "symbolic.form", ("n1",), Type("real", EVERY), {"terms": [[1, 0, 0]], "plus": 0}),
        Node("many", "symbolic.compare", ("depth",), Type("bool", EVERY), {"is": ">", "to": 2}),
        Node("answer", "symbolic.largest", ("n1",), Type("category", EVERY, "token"), {"among": [0, 1, 2]}),
    )
    functions = (Function("counts", ("so_far", "n1"), "How often each letter was seen."),)
    return Graph(nodes, ("answer", "many"), axes=axes, functions=functions)


def test_functions_come_first_and_a_part_answers_to_each_of_its_names() -> None:
    parts = program_parts(brackets())
    assert [part.name for part in parts] == ["counts", "depth", "many", "answer"]
    assert parts[0].doc == "How often each letter was seen."
    for name in ("counts", "0", "n1", "seen", "L0H1"):
        assert part_of(parts, name) is parts[0]
    assert [parts[0].label(unit) for unit in (1, 7)] == ["b", "7"]


@pytest.mark.parametrize("wrong", ["9", "nothing", ""])
def test_a_part_that_does_not_exist_is_one_sentence_with_those_that_do(wrong: str) -> None:
    with pytest.raises(InputError, match="0 counts, 1 depth, 2 many, 3 answer"):
        part_of(program_parts(brackets()), wrong)


def test_two_parts_at_one_place_are_told_apart() -> None:
    parts = [Part("x", (Member("a"),), ("L0H0",)), Part("y", (Member("b"),), ("L0H0",))]
    with pytest.raises(InputError, match="2 parts are at L0H0: x, y"):
        part_of(parts, "L0H0")


def test_values_of_every_kind_become_units() -> None:
    graph, tokens = brackets(), torch.tensor([[0, 0, 0, 1]])
    inputs = Inputs(np.arange(1), tokens=tokens, at=torch.tensor([3]))
    found = {}
    for part in program_parts(graph):
        model = TokenProgram(graph, part, "brackets")
        assert isinstance(model, Model)
        found[part.name] = model(model.start(inputs), inputs, torch.arange(1))[0]
    assert found["counts"].tolist() == [[1, 0, 0], [2, 0, 0], [3, 0, 0], [3, 1, 0]]
    assert found["depth"][:, 0].tolist() == [1, 2, 3, 3]
    assert found["many"][:, 0].tolist() == [0, 0, 1, 1]
    assert found["answer"].argmax(-1).tolist() == [0, 0, 0, 0]
    assert found["answer"].sum(-1).tolist() == [1, 1, 1, 1]


def test_a_category_that_is_none_is_zero_everywhere() -> None:
    """A head that has nothing to look at says -1, which is no unit."""
    graph = brackets()
    kind = graph["answer"].type
    assert real_value(torch.tensor([[1, -1]]), kind, graph).tolist() == [[[0, 1, 0], [0, 0, 0]]]


def test_a_program_of_ids_takes_ids_and_nothing_between() -> None:
    graph = brackets()
    model = TokenProgram(graph, part_of(program_parts(graph), "depth"), "brackets")
    assert model.reads_ids
    assert reads_ids(model)
    inputs = Inputs(np.arange(1), tokens=torch.tensor([[0, 0, 0, 1]]), at=torch.tensor([3]))
    start = model.start(inputs)
    other = torch.where(start == 0, 1.0, 0.0)
    assert model(other, inputs, torch.arange(1))[0, :, 0].tolist() == [
        0,
        0,
        0,
        1,
    ]  # the ids that were given, not its own
    with pytest.raises(NotDifferentiableError, match="between two ids there is nothing"):
        model(start + 0.5, inputs, torch.arange(1))


@pytest.fixture
def lifted() -> tuple[Convnet, Graph, torch.Tensor]:
    torch.manual_seed(0)
    module, x = Convnet().eval(), torch.rand(5, 1, 12, 12)
    return module, lift(module, (x[:3],)).graph, x


def test_a_program_is_a_module_with_the_networks_values_in_its_submodules(
    lifted: tuple[Convnet, Graph, torch.Tensor],
) -> None:
    module, graph, x = lifted
    parts = program_parts(graph)
    made = ProgramModule(graph, parts)
    seen: dict[str, torch.Tensor] = {}
    for part in parts:
        made.get_submodule(part.key).register_forward_hook(lambda m, given, out, at=part.name: seen.update({at: out}))
    assert torch.allclose(made(x), module(x), atol=1e-5)
    for part in parts:
        node = part.members[0].node
        assert torch.equal(seen[part.name], Executor(graph).run({graph.inputs[0].id: x}, [node])[node])
    at = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(made(at)[:, 0].sum(), at)
    (own,) = torch.autograd.grad(module(at)[:, 0].sum(), at)
    assert torch.allclose(slope, own, atol=1e-5)


def test_other_weights_in_a_copy_or_in_a_call_change_what_it_computes(
    lifted: tuple[Convnet, Graph, torch.Tensor],
) -> None:
    _, graph, x = lifted
    made = Network(ProgramModule(graph, program_parts(graph)), "program").module
    before = made(x)
    other = copy.deepcopy(made)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(2.0)
    assert not torch.allclose(other(x), before)
    assert torch.equal(made(x), before)
    zeros = {name: torch.zeros_like(weight) for name, weight in made.named_parameters()}
    assert torch.equal(functional_call(made, zeros, (x,)), torch.zeros_like(before))
    assert torch.equal(made(x), before)


def test_the_program_up_to_a_part_has_the_weights_of_the_module(lifted: tuple[Convnet, Graph, torch.Tensor]) -> None:
    _, graph, x = lifted
    made = ProgramModule(graph, program_parts(graph))
    weights = dict(made.state_dict())
    node = next(node.id for node in graph.nodes if node.op == "component.conv2d")
    given = {graph.inputs[0].id: x}
    plain = Executor(graph).run(given, [node])[node]
    assert torch.equal(Executor(made.program(weights, node)).run(given)[node], plain)
    doubled = {name: 2 * value for name, value in weights.items()}
    assert torch.allclose(Executor(made.program(doubled, node)).run(given)[node], 2 * plain, atol=1e-5)


def test_units_of_several_layers_stand_side_by_side(lifted: tuple[Convnet, Graph, torch.Tensor]) -> None:
    _, graph, x = lifted
    convs = [node.id for node in graph.nodes if node.op == "component.conv2d"]
    dense = next(node.id for node in graph.nodes if node.op == "component.linear")
    values = Executor(graph).run({graph.inputs[0].id: x}, [convs[0], dense])
    part = Part("module 0", (Member(convs[0], (1, 3)), Member(dense, (0,))))
    found = part_value(part, values, graph)
    expected = torch.cat([values[convs[0]][:, [1, 3]].mean((2, 3)), values[dense][:, :1]], 1)
    assert torch.allclose(found, expected)


def test_programs_are_refused_where_they_read_something_else(lifted: tuple[Convnet, Graph, torch.Tensor]) -> None:
    _, graph, _ = lifted
    with pytest.raises(InputError, match="reads tokens"):
        ProgramModule(brackets(), ())
    with pytest.raises(InputError, match="reads arrays"):
        TokenProgram(graph, program_parts(graph)[0], "convnet")
