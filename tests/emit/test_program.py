"""Programs as they are written: their text, what they say, and what is refused."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from exegesis.behavior import Argmax, Sign, Value
from exegesis.emit import About, count_code_lines, emit_program
from exegesis.ir import Axis, Function, Graph, GraphError, Node, Site, Type
from exegesis.runtime import Executor

ABOUT = About("A program.")
Run = Callable[[str], Callable[..., list[object]]]
Graphs = Mapping[str, Callable[[], Graph]]
Imports = Callable[[str, Mapping[str, np.ndarray]], ModuleType]


def test_the_text_of_programs(written: tuple[str, str], repository: Path) -> None:
    """Every program reads as the file under `written/` does; look at the difference before you accept a new text."""
    name, source = written
    expected = repository / "tests" / "emit" / "written" / f"{name}.py.txt"
    if os.environ.get("ACCEPT_WRITTEN"):
        expected.write_text(source)
    assert source == expected.read_text()


def test_programs_are_short(written: tuple[str, str]) -> None:
    name, source = written
    assert count_code_lines(source) <= (25 if name == "mixed" else 15)
    assert max(map(len, source.splitlines())) <= 100


def test_majority(run: Run) -> None:
    program = run("majority")
    rng = np.random.default_rng(0)
    ids = [26, *rng.integers(0, 5, 40).tolist(), 27]
    for s, said in enumerate(program(ids)[1:], 1):
        held = Counter(i for i in ids[: s + 1] if i < 26)
        assert said == min(held, key=lambda c: (-held[c], c))


def test_unique_copy(run: Run) -> None:
    word = np.random.default_rng(1).permutation(150)[:30].tolist()
    said = run("unique_copy")([150, *word, 151, *word])
    assert said[32:] == [*word[1:], 152]


def test_dyck(run: Run) -> None:
    said = run("dyck")([2, 0, 0, 1, 1, 0, 1])
    assert said == [[0, 4], [0, 1], [1], [0, 1], [0, 4], [0, 1], [0, 4]]


def test_abcde(run: Run) -> None:
    assert run("abcde")([5, 0, 1, 4, 8]) == [[0], [0, 1], [1, 2], [4, 7], []]


def test_bin_majority(run: Run) -> None:
    assert run("bin_majority")([2, 1, 1, 0, 0, 0, 3]) == [0, 1, 1, 1, 0, 0, 0]


def test_a_program_with_an_opaque_tail(run: Run, programs: Graphs) -> None:
    import torch

    ids = [2, 0, 1, 1, 0]
    logits = Executor(programs["mixed"](), dtype=torch.float64).run({"tokens": torch.tensor([ids])})["logits"][0]
    assert run("mixed")(ids) == logits[:, :2].argmax(-1).tolist()


def test_programs_run_on_numpy_alone(written: tuple[str, str], tmp_path: Path) -> None:
    name, source = written
    if name == "mixed":
        pytest.skip("reads tensors, for which safetensors is there too")
    (tmp_path / "program.py").write_text(source)
    check = "import program, sys; program.run([0, 1]); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert {"torch", "pydantic", "safetensors", "jaxtyping", "scipy"}.isdisjoint(loaded.stdout.split())


def test_the_bytes_do_not_depend_on_the_process(tmp_path: Path, repository: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "print(*(c.source_of(n, make()) for n, make in c.WRITTEN.items()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code, str(repository / "tests" / "emit")],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def array_graph() -> Graph:
    """A small convolutional network over images."""
    rng = np.random.default_rng(0)
    tensors = {
        "conv.weight": rng.normal(size=(3, 1, 2, 2)).astype(np.float32),
        "conv.bias": rng.normal(size=3).astype(np.float32),
        "out.weight": rng.normal(size=(27, 4)).astype(np.float32),
    }
    image, flat = Type("real", ("batch", "channel", "y", "x")), Type("real", ("batch", "feature"))
    sized = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    conv = {"weight": "conv.weight", "bias": "conv.bias"}
    pool = {"kind": "max", "size": [2, 2], "stride": [2, 2], "padding": [0, 0]}
    nodes = (
        Node("image", "input.array", (), image),
        Node("unit", "component.scale", ("image",), image, {"by": 2, "plus": -1}),
        Node("conv", "component.conv2d", ("unit",), image, sized, conv),
        Node("act", "component.activation", ("conv",), image, {"kind": "relu"}),
        Node("pool", "component.pool2d", ("act",), image, pool),
        Node("flat", "component.flatten", ("pool",), flat),
        Node("logits", "component.linear", ("flat",), Type("real", ("batch", "digit")), {}, {"weight": "out.weight"}),
    )
    names = ("batch", "channel", "y", "x", "feature")
    axes = {**{n: Axis(n) for n in names}, "digit": Axis("digit", 4)}
    return Graph(nodes, ("logits",), tensors, axes)


@pytest.mark.parametrize("kind", ["argmax", "among", "sign"])
def test_a_network_over_arrays(kind: str, imports: Imports) -> None:
    import torch

    graph = array_graph()
    readout = {"argmax": Argmax(), "among": Argmax((3, 1)), "sign": Sign()}[kind]
    program = imports(emit_program(graph, about=ABOUT, readout=readout), graph.tensors)
    x = np.random.default_rng(3).random((1, 7, 7)).astype(np.float32)
    logits = Executor(graph).run({"image": torch.from_numpy(x)[None]})["logits"].numpy()
    assert program.run(x) == readout.to_entries(readout.answers(logits))[0]
    assert program.run(x.tolist()) == program.run(x)


def test_kept_entries_and_weights_that_count_steps(imports: Imports) -> None:
    import torch

    graph = array_graph()
    kept = Type("real", ("batch", "=5"))
    mask = np.zeros(27, dtype=bool)
    mask[[0, 4, 9, 20, 26]] = True
    rng = np.random.default_rng(1)
    tensors = {
        "mask": mask,
        "conv.weight": rng.integers(-3, 4, size=(3, 1, 2, 2)).astype(np.int8),
        "conv.bias": np.array([0.5, -1, 2], np.float16),
        "out.weight": rng.integers(-3, 4, size=(5, 4)).astype(np.int8),
    }
    nodes = [
        replace(n, attrs={**n.attrs, "step": 0.25}, inputs=("few",) if n.id == "logits" else n.inputs)
        if n.id in ("conv", "logits")
        else n
        for n in graph.nodes
    ]
    few = Node("few", "component.keep", ("flat",), kept, {"axis": 1}, {"mask": "mask"})
    graph = replace(graph.with_nodes([*nodes, few]), tensors=tensors)
    source = emit_program(graph, about=ABOUT, readout=Argmax())
    assert '0.25 * TENSORS["out.weight"]' in source
    x = rng.random((1, 7, 7)).astype(np.float32)
    values = Executor(graph).run({"image": torch.from_numpy(x)[None]}, ["flat", "few", "logits"])
    assert (values["few"][0].numpy() == values["flat"][0].numpy()[mask]).all()
    by_hand = values["few"].numpy() @ (0.25 * tensors["out.weight"])
    np.testing.assert_allclose(values["logits"].numpy(), by_hand, rtol=1e-5)
    assert imports(source, graph.tensors).run(x) == int(by_hand.argmax())


def test_attention_whose_weights_count_steps(imports: Imports) -> None:
    import torch

    rng = np.random.default_rng(4)
    shapes = {"embed": (5, 6), "q": (2, 6, 3), "out": (2, 3, 6), "logits": (6, 5)}
    tensors = {f"{n}.weight": rng.integers(-9, 10, size=s).astype(np.int8) for n, s in shapes.items()}
    stream, per_head = Type("real", ("batch", "pos", "=6")), Type("real", ("batch", "=2", "pos", "=3"))
    steps = {"embed": 0.5, "q": 0.02, "out": 0.1, "logits": 0.04}
    ops = (
        ("embed", "embed", ("tokens",), stream),
        ("q", "heads", ("embed",), per_head),
        ("scores", "scores", ("q", "q"), Type("real", ("batch", "=2", "pos", "key"))),
        ("mask", "mask", ("scores",), Type("real", ("batch", "=2", "pos", "key"))),
        ("pattern", "softmax", ("mask",), Type("real", ("batch", "=2", "pos", "key"))),
        ("z", "mix", ("pattern", "q"), per_head),
        ("out", "write", ("z",), stream),
        ("logits", "linear", ("out",), Type("real", ("batch", "pos", "token"))),
    )
    attrs: dict[str, dict[str, object]] = {"scores": {"scale": 1}, "mask": {"causal": True, "fill": -1e9}}
    nodes = [Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token"))]
    for name, op, inputs, type in ops:
        has = {"step": steps[name]} if name in steps else attrs.get(name, {})
        roles = {"weight": f"{name}.weight"} if name in steps else {}
        nodes.append(Node(name, f"component.{op}", inputs, type, has, roles))
    axes = {**{n: Axis(n) for n in ("batch", "pos", "key")}, "token": Axis("token", 5)}
    graph = Graph(tuple(nodes), ("logits",), tensors, axes)
    source = emit_program(graph, about=ABOUT, readout=Argmax())
    for name, step in steps.items():
        assert f'{step:g} * TENSORS["{name}.weight"]' in source
    run = imports(source, graph.tensors).run
    for _ in range(5):
        ids = rng.integers(0, 5, 7).tolist()
        values = Executor(graph, dtype=torch.float64).run({"tokens": torch.tensor([ids])})["logits"][0]
        assert run(ids) == values.argmax(-1).tolist()


@pytest.mark.parametrize("axis", [1, 2])
def test_parts_are_joined(axis: int, imports: Imports) -> None:
    import torch

    graph = array_graph()
    pool = graph["pool"]
    sizes = [3, 3, 3]
    sizes[axis - 1] *= 2
    joined = Type("real", ("batch", *(f"={s}" for s in sizes)))
    sized = Type("real", ("batch", "=3", "=3", "=3"))
    again = replace(pool, id="again", type=sized, attrs={**pool.attrs, "kind": "mean"})
    nodes = [replace(n, type=sized) if n.id == "pool" else n for n in graph.nodes]
    nodes = [replace(n, inputs=("join",)) if n.id == "flat" else n for n in nodes]
    join = Node("join", "component.join", ("pool", "again"), joined, {"axis": axis})
    tensors = {"out.weight": np.random.default_rng(5).normal(size=(54, 4)).astype(np.float32)}
    graph = graph.with_nodes([*nodes, again, join], tensors=tensors)
    source = emit_program(graph, about=ABOUT, readout=Argmax())
    assert "np.concatenate(" in source
    program = imports(source, graph.tensors)
    for seed in range(5):
        x = np.random.default_rng(seed).random((1, 7, 7)).astype(np.float32)
        values = Executor(graph).run({"image": torch.from_numpy(x)[None]}, ["pool", "again", "flat", "logits"])
        by_hand = np.concatenate([values["pool"][0].numpy(), values["again"][0].numpy()], axis - 1).ravel()
        np.testing.assert_array_equal(values["flat"][0].numpy(), by_hand)
        assert program.run(x) == int(values["logits"].argmax())


def test_a_value_is_a_float(imports: Imports) -> None:
    graph = array_graph()
    picked = Node("first", "component.pick", ("logits",), Type("real", ("batch",)), {"axis": 1, "at": 2})
    graph = graph.with_nodes([*graph.nodes, picked], outputs=("first",))
    source = emit_program(graph, about=ABOUT, readout=Value(0.1))
    x = np.ones((1, 7, 7), np.float32)
    said = imports(source, graph.tensors).run(x)
    assert isinstance(said, float)
    assert "[2])" in source


def test_tensors_are_read_only_when_they_are_used(programs: Graphs) -> None:
    assert "TENSORS" not in emit_program(programs["majority"](), about=ABOUT, readout=Argmax())
    assert 'TENSORS["unembed"]' in emit_program(programs["mixed"](), about=ABOUT, readout=Argmax())


def test_documentation_survives_quotes_and_newlines(programs: Graphs) -> None:
    about = About('It says """no""" and \\ and "quote"', "", "    two\n    lines", ("One.", 'Two "quotes"'))
    source = emit_program(programs["majority"](), about=about, readout=Argmax())
    documented = ast.get_docstring(ast.parse(source))
    assert documented is not None
    assert "It says '''no''' and \\ and \"quote\"" in documented
    assert '    two\n    lines\n\nOne.\n\nTwo "quotes"' in documented


def test_where_a_function_lives_and_how_it_was_checked(programs: Graphs) -> None:
    about = replace(ABOUT, evidence={"follower": "Interchange: 99 %.", "previous token": "Interchange: 98 %."})
    source = emit_program(programs["unique_copy"](), about=about, readout=Argmax())
    assert "In the network: head 0 of transformer.h.0.attn. Interchange: 98 %." in source
    assert "In the network: head 0 of transformer.h.1.attn. Interchange: 99 %." in source


def test_comments_say_what_variables_hold(programs: Graphs) -> None:
    graph = programs["dyck"]()
    nodes = [replace(n, doc="How many brackets are open.") if n.id == "depth" else n for n in graph.nodes]
    source = emit_program(graph.with_nodes(nodes), about=ABOUT, readout=Sign())
    assert "    # How many brackets are open.\n    depth = " in source


def test_several_places_are_told_apart() -> None:
    from exegesis.emit.docstrings import places

    def site(module: str | None, *index: tuple[str, int]) -> Site:
        return Site("v", ("batch", "head"), module, "output", index)

    kind = Type("real", ("batch",))
    nodes = [
        Node("a", "component.softmax", (), kind, sites=(site("h.0", ("head", 1)), site("h.0", ("head", 3)))),
        Node("b", "component.softmax", (), kind, sites=(site("h.0", ("head", 1)), site(None))),
    ]
    assert places(nodes) == "heads 1, 3 of h.0; v"


def test_an_exported_operator_is_refused() -> None:
    axes = {n: Axis(n, 3) for n in ("batch", "position", "token")}
    tokens = Node("tokens", "input.tokens", (), Type("category", ("batch", "position"), "token"))
    odd = Node("odd", "tensor.aten.fft_fft.default", ("tokens",), Type("real", ("batch", "position")))
    with pytest.raises(GraphError, match=r"'odd' is still the exported operator aten\.fft_fft\.default"):
        emit_program(Graph((tokens, odd), ("odd",), {}, axes), about=ABOUT, readout=Argmax())


def test_a_function_that_would_be_interrupted_is_refused(programs: Graphs) -> None:
    graph = programs["unique_copy"]()
    split = (Function("split", ("one_back", "follower")),)
    with pytest.raises(GraphError, match="'split' cannot be one definition"):
        emit_program(replace(graph, functions=split), about=ABOUT, readout=Argmax())


def test_an_answer_of_the_wrong_kind_is_refused(programs: Graphs) -> None:
    with pytest.raises(GraphError, match="has no signs"):
        emit_program(programs["majority"](), about=ABOUT, readout=Sign())
    with pytest.raises(GraphError, match="of which no largest entry"):
        emit_program(programs["dyck"](), about=ABOUT, readout=Argmax())


def test_a_set_of_outputs_is_only_an_answer(programs: Graphs) -> None:
    graph = programs["dyck"]()
    after = Node("after", "symbolic.not", ("answer",), Type("bool", ("batch", "position", "token")))
    with pytest.raises(GraphError, match="only ever an answer"):
        emit_program(graph.with_nodes([*graph.nodes, after], outputs=("after",)), about=ABOUT, readout=Sign())


def test_a_graph_that_breaks_the_specification_is_refused(programs: Graphs) -> None:
    graph = programs["majority"]()
    nodes = [replace(n, attrs={}) if n.id == "so_far" else n for n in graph.nodes]
    with pytest.raises(GraphError, match="lacks attribute 'causal'"):
        emit_program(graph.with_nodes(nodes), about=ABOUT, readout=Argmax())


def test_every_operation_of_the_language_can_be_written() -> None:
    from exegesis.emit.body import _BUILD
    from exegesis.ir.levels import SPECS

    assert set(_BUILD) == {op for op in SPECS if not op.startswith("input.")}


def test_what_is_always_allowed_needs_no_condition(programs: Graphs) -> None:
    graph = programs["dyck"]()
    allowed = replace(graph["answer"], inputs=("tokens",), attrs={"gives": [], "always": [1, 4]})
    source = emit_program(graph.replacing({"answer": "all"}, [replace(allowed, id="all")]), about=ABOUT, readout=Sign())
    assert "return allow(tokens, always={B, EOS})" in source


def test_a_condition_that_lives_in_the_network_is_not_looked_through(programs: Graphs) -> None:
    """Conditions on one variable become a table of what is allowed; one that has a place of its own stays."""
    graph = programs["abcde"]()
    assert "return allow_by(tokens" in emit_program(graph, about=ABOUT, readout=Sign())
    found = replace(graph["may_7"], sites=(Site("L0.attn.z", ("batch", "position")),))
    graph = graph.replacing({"may_7": "found"}, [replace(found, id="found")])
    source = emit_program(graph, about=ABOUT, readout=Sign())
    assert "allow_by" not in source
    assert "return allow(tokens" in source


@pytest.mark.parametrize(
    ("labels", "numbers", "said"),
    [
        ("0123456", {1: 1, 2: 2, 3: 3, 4: 4}, "range(5)"),
        ("0123456", {2: 2, 3: 3, 4: 4, 5: 5}, "range(2, 6)"),
        ("0123456", {1: 1, 2: 2, 4: 4, 5: 5}, "{1: 1, 2: 2, 4: 4, 5: 5}"),
        ("0123456", {1: 1, 2: 2, 3: 3, 4: 5}, "{1: 1, 2: 2, 3: 3, 4: 5}"),
        ("abcdefg", {1: 1, 2: 2, 3: 3, 4: 4}, "{B: 1, C: 2, D: 3, E: 4}"),
    ],
)
def test_numbers_that_stand_for_themselves_are_a_rule(labels: str, numbers: dict[int, int], said: str) -> None:
    real = Type("real", ("batch", "position"))
    terms = [[value, 0, token] for token, value in numbers.items()]
    axes = {n: Axis(n) for n in ("batch", "position")} | {"token": Axis("token", len(labels), tuple(labels))}
    tokens = Node("tokens", "input.tokens", (), Type("category", ("batch", "position"), "token"))
    form = Node("number", "symbolic.form", ("tokens",), real, {"terms": terms, "plus": 0})
    graph = Graph((tokens, form), ("number",), axes=axes)
    assert f"worth(tokens, {said})" in emit_program(graph, about=ABOUT, readout=Value(0.1))


def test_what_finds_a_variable_is_called_otherwise(programs: Graphs) -> None:
    """A function for a truth says whether; one for `previous_token` gives `previous`; another finds."""
    from exegesis.emit.naming import function_names

    graph = programs["unique_copy"]()
    first = graph.functions[0]
    inside = graph[first.nodes[-1]]
    for name, kind, called in (
        ("left_open", "bool", "whether_left_open"),
        ("digit_sum", "int", "find_digit_sum"),
        ("some_token", "int", "some_token"),
    ):
        nodes = [replace(n, name=name, type=Type(kind, n.type.axes)) if n is inside else n for n in graph.nodes]
        named = replace(graph, nodes=tuple(nodes), functions=(replace(first, name=name),))
        assert function_names(named) == {name: called}


@pytest.mark.parametrize(
    ("coefficients", "plus", "said"),
    [
        ((-1.0,), 21, "21 - a"),
        ((-1.0, 2.0), 3, "2 * b - a + 3"),
        ((-2.0,), -1, "-2 * a - 1"),
        ((-1.0, -1.0), 0, "-a - b"),
    ],
)
def test_a_sum_begins_with_what_is_positive(coefficients: tuple[float, ...], plus: int, said: str) -> None:
    from exegesis.emit.code import Term, linear, name

    assert linear([Term(c, name(v)) for c, v in zip(coefficients, "ab", strict=False)], plus).text == said


def test_scores_are_called_after_what_they_allow(programs: Graphs) -> None:
    graph = programs["dyck"]()
    nodes = [replace(n, name=None) if n.id == "depth" else n for n in graph.nodes]
    source = emit_program(graph.with_nodes(nodes), about=ABOUT, readout=Sign())
    assert "b_score = seen[:, A] - seen[:, B]" in source  # b is allowed where it is large, a where it is small
    assert "B: b_score > 0, EOS: b_score <= 0" in source


@pytest.mark.parametrize(("plus", "dense"), [(0, True), (1, False)])
def test_a_form_over_most_classes_of_a_count_is_a_product(programs: Graphs, plus: int, dense: bool) -> None:
    graph = programs["bin_majority"]()
    terms = [[k - 2, 0, k] for k in range(6) if k != 2]
    nodes = [
        replace(n, attrs={"terms": terms, "plus": plus}, name="sum") if n.op == "symbolic.form" else n
        for n in graph.nodes
    ]
    source = emit_program(graph.with_nodes(nodes), about=ABOUT, readout=Argmax())
    assert ("seen @ [-2, -1, 0, 1, 2, 3]" in source) is dense
