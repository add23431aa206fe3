"""Programs on disk: exact round trips, equal bytes, and a refusal for everything that was not written by us."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from exegesis.ir import (
    Axis,
    Function,
    Graph,
    GraphError,
    InputError,
    Node,
    Origin,
    Site,
    Type,
    diff,
    graph_from_record,
    graph_record,
    load_graph,
    records,
    save_graph,
)

BP = ("batch", "position")
TOKEN = Type("category", BP, "token")
AXES = {a.name: a for a in (*map(Axis, BP), Axis("token", 2, ("a", "b")), Axis("head", 2))}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
ARRAYS = st.tuples(
    st.sampled_from(["float32", "float64", "float16", "int64", "int8", "uint8", "bool"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 2**31),
)


def array(dtype: str, shape: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, shape).astype(dtype)


def graph(tensors: dict[str, Any] | None = None, meta: Any = None, value: Any = 1) -> Graph:
    """Every field of every part holds something."""
    tensors = {"W": np.arange(6, dtype=np.float32).reshape(2, 3), "basis": np.eye(2), **(tensors or {})}
    sites = (Site("add_1", (*BP, "head"), "blocks.0", "output", (("head", 1),), "basis"), Site("mul", BP))
    nodes = (
        Node("tokens", "input.tokens", (), TOKEN),
        Node("x", "component.embed", ("tokens",), Type("real", (*BP, "=3")), tensors={"weight": "W"}),
        Node("raw", "tensor.aten.abs.default", ("x",), Type("real", (*BP, "=3")), {"args": value}),
        Node(
            "a",
            "symbolic.always",
            ("x",),
            TOKEN,
            {"value": 1},
            {},
            "first",
            "One, always.",
            Origin("hand", ("x",), "test"),
            sites,
        ),
    )
    functions = (Function("main", ("x",), "Reads."), Function("inner", ("a",), parent="main"))
    return Graph(nodes, ("a", "raw"), tensors, AXES, functions, {} if meta is None else {"meta": meta})


@given(value=JSON, meta=JSON, entry=ARRAYS)
def test_a_program_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, value: Any, meta: Any, entry: tuple[str, list[int], int]
) -> None:
    folder = tmp_path_factory.mktemp("program")
    saved = graph({"more": array(*entry)}, meta, value)
    save_graph(saved, folder)
    loaded = load_graph(folder)
    assert not diff(saved, loaded)
    for field in dataclasses.fields(Graph):
        if field.name != "tensors":
            assert getattr(loaded, field.name) == getattr(saved, field.name)
    for name, tensor in saved.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    bytes_before = [(folder / name).read_bytes() for name in ("program.json", "tensors.safetensors")]
    save_graph(loaded, folder)
    assert [(folder / name).read_bytes() for name in ("program.json", "tensors.safetensors")] == bytes_before


@pytest.mark.parametrize("kind", [Axis, Function, Node, Origin, Site, Type])
def test_the_file_has_a_place_for_every_field(kind: type) -> None:
    record = getattr(records, f"_{kind.__name__}")
    assert set(record.model_fields) == {f.name for f in dataclasses.fields(kind)}


def test_the_order_of_tensors_and_keys_leaves_no_trace(tmp_path: Path) -> None:
    one, two = graph(), graph()
    two = dataclasses.replace(two, tensors=dict(reversed(two.tensors.items())), axes=dict(reversed(two.axes.items())))
    save_graph(one, tmp_path / "one")
    save_graph(two, tmp_path / "two")
    for name in ("program.json", "tensors.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    "odd",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.arange(9.0)[::-2],
        np.arange(3, dtype=">i4"),
        np.array(2.5),
        np.broadcast_to(np.float32(1), (2, 2)),
    ],
    ids=["transposed", "reversed", "big-endian", "scalar", "broadcast"],
)
def test_the_layout_of_an_array_does_not_change_what_is_saved(tmp_path: Path, odd: np.ndarray) -> None:
    save_graph(graph({"odd": odd}), tmp_path)
    np.testing.assert_array_equal(load_graph(tmp_path).tensors["odd"], odd)
    np.testing.assert_array_equal(load_file(tmp_path / "tensors.safetensors")["odd"], odd)


def test_a_program_without_tensors_has_an_empty_file(tmp_path: Path) -> None:
    plain = Graph((Node("tokens", "input.tokens", (), TOKEN),), ("tokens",), axes=AXES)
    save_graph(plain, tmp_path)
    assert not diff(plain, load_graph(tmp_path))


def test_a_record_is_what_the_files_hold(tmp_path: Path) -> None:
    saved = graph(value=(1, (2, 3)))
    record, arrays = graph_record(saved)
    save_graph(saved, tmp_path)
    assert json.loads((tmp_path / "program.json").read_text()) == record
    loaded = load_file(tmp_path / "tensors.safetensors")
    assert arrays.keys() == loaded.keys()
    assert all(np.array_equal(arrays[name], loaded[name]) for name in arrays)


def test_a_graph_comes_back_from_its_record_and_shares_nothing_mutable_with_it() -> None:
    saved = graph(value=[1, [2, 3]])
    record, arrays = graph_record(saved)
    restored = graph_from_record(record, arrays)
    assert not diff(saved, restored)
    record["nodes"][2]["attrs"]["args"][1].append(9)
    assert saved["raw"].attrs["args"] == [1, [2, 3]]


def test_a_record_says_how_its_sources_are_called() -> None:
    record, arrays = graph_record(graph())
    with pytest.raises(InputError, match=r"^step 3 has schema 7;"):
        graph_from_record({**record, "schema": 7}, arrays, source="step 3")
    with pytest.raises(InputError, match=r"^its file does not belong to the program beside it: it lacks tensor 'W'"):
        graph_from_record(record, {"basis": arrays["basis"]}, arrays_source="its file")


def rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "program.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def replace_text(old: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "program.json"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return apply


def with_tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "tensors.safetensors")
        change(tensors)
        save_file(tensors, folder / "tensors.safetensors")

    return apply


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no program": (lambda f: (f / "program.json").unlink(), "program.json does not exist"),
    "no tensors": (lambda f: (f / "tensors.safetensors").unlink(), "tensors.safetensors does not exist"),
    "empty": (cut("program.json", 0), "is not JSON"),
    "cut": (cut("program.json", 100), "is not JSON"),
    "not text": (lambda f: (f / "program.json").write_bytes(b"\xff\xfe\x00"), "is not JSON"),
    "deep": (lambda f: (f / "program.json").write_text("[" * 200_000), "is not JSON"),
    "another file": (lambda f: (f / "program.json").write_text("[1]"), "is no program of exegesis"),
    "another format": (rewrite(lambda c: c.update(format="onnx")), "is no program of exegesis"),
    "newer schema": (rewrite(lambda c: c.update(schema=2)), "has schema 2; this version of exegesis reads schema 1"),
    "schema is no number": (rewrite(lambda c: c.update(schema="1")), "has schema '1'"),
    "unknown field": (rewrite(lambda c: c.update(colour="red")), "colour: Extra inputs"),
    "unknown node field": (rewrite(lambda c: c["nodes"][0].update(colour="red")), "nodes.0.colour: Extra inputs"),
    "missing field": (rewrite(lambda c: c["nodes"][0].pop("id")), "nodes.0.id: Field required"),
    "field of another type": (rewrite(lambda c: c["axes"]["head"].update(size="2")), "axes.head.size"),
    "negative size": (rewrite(lambda c: c["axes"]["head"].update(size=-2)), "axes.head.size"),
    "unknown kind": (rewrite(lambda c: c["nodes"][0]["type"].update(kind="magic")), "nodes.0.type.kind"),
    "unknown op": (
        rewrite(lambda c: c["nodes"][1].update(op="component.magic")),
        "no valid program: Node 'x' has an op",
    ),
    "unknown level": (rewrite(lambda c: c["nodes"][1].update(op="magic")), "whose prefix is no level"),
    "broken order": (rewrite(lambda c: c["nodes"].reverse()), "before it is computed"),
    "unknown output": (rewrite(lambda c: c.update(outputs=["ghost"])), "gives 'ghost'"),
    "key twice": (replace_text('"op":', '"op": "input.tokens", "op":'), "the key 'op' stands twice"),
    "NaN": (replace_text('"value": 1', '"value": NaN'), "NaN is no JSON"),
    "tensor missing": (with_tensors(lambda t: t.pop("W")), "it lacks tensor 'W'"),
    "tensor too many": (with_tensors(lambda t: t.update(Z=np.zeros(1))), "it holds the unknown tensor 'Z'"),
    "tensor changed": (with_tensors(lambda t: t["W"].__setitem__((0, 0), 9)), "its tensor 'W' is another one"),
    "tensor reshaped": (with_tensors(lambda t: t.update(W=t["W"].reshape(3, 2))), "its tensor 'W' is another one"),
    "tensor retyped": (with_tensors(lambda t: t.update(W=t["W"].view(np.int32))), "its tensor 'W' is another one"),
    "tensors a folder": (
        lambda f: ((f / "tensors.safetensors").unlink(), (f / "tensors.safetensors").mkdir()),
        "tensors.safetensors cannot be read",
    ),
    "tensors cut": (cut("tensors.safetensors", 40), "is no valid safetensors file"),
    "tensors pickled": (
        lambda f: (f / "tensors.safetensors").write_bytes(b"\x80\x04K\x01."),
        "no valid safetensors file",
    ),
}


@pytest.mark.parametrize(("plant", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_refused_in_one_sentence(tmp_path: Path, plant: Callable[[Path], Any], message: str) -> None:
    save_graph(graph(value=[1]), tmp_path)
    plant(tmp_path)
    with pytest.raises(InputError, match=message):
        load_graph(tmp_path)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (graph(value={1: 2}), "the key 1, which is no string"),
        (graph(value=[float("nan")]), "holds nan, which JSON does not have"),
        (graph(value=np.int64(3)), "which JSON does not have"),
        (graph(meta=object()), "meta holds <object"),
        (graph({"z": np.zeros(2, dtype=complex)}), "cannot be saved"),
        (dataclasses.replace(graph(), outputs=("ghost",)), "gives 'ghost'"),
    ],
    ids=["key", "nan", "numpy", "object", "dtype", "invalid"],
)
def test_what_cannot_be_saved_is_refused_and_nothing_is_written(tmp_path: Path, broken: Graph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        save_graph(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_program_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_graph(graph(), tmp_path)

    def denied(*args: object, **kwargs: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(InputError, match=r"program\.json cannot be read: Permission denied"):
        load_graph(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        save_graph(graph(), tmp_path / "file" / "out")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_graph(graph(), tmp_path)
    before = (tmp_path / "program.json").read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        save_graph(graph(meta=1), tmp_path)
    assert (tmp_path / "program.json").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["program.json", "tensors.safetensors"]
