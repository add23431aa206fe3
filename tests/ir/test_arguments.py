"""Arguments of tensor-level ops: to JSON and back."""

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exegesis.ir import GraphError
from exegesis.ir.arguments import decode_argument, encode_argument


class Input:
    def __init__(self, index: int) -> None:
        self.index = index


def index_of(value: object) -> int | None:
    return value.index if isinstance(value, Input) else None


def of_torch(kind: str, name: str) -> object:
    return torch.device(name) if kind == "device" else getattr(torch, name)


def there_and_back(value: object, inputs: list[Any] | None = None) -> object:
    text = json.dumps(encode_argument(value, index_of), allow_nan=False)
    return decode_argument(json.loads(text), (inputs or []).__getitem__, of_torch)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_plain_arguments_come_back_as_they_were(value: object) -> None:
    assert there_and_back(value) == value


def test_nan_comes_back() -> None:
    back = there_and_back(math.nan)
    assert isinstance(back, float)
    assert math.isnan(back)


def test_tuples_come_back_as_lists() -> None:
    assert there_and_back((1, (2, "x"))) == [1, [2, "x"]]


@pytest.mark.parametrize(
    "value", [torch.float64, torch.bool, torch.strided, torch.contiguous_format, torch.device("cpu")], ids=str
)
def test_objects_of_torch_come_back(value: object) -> None:
    assert there_and_back(value) == value


def test_inputs_stand_where_nodes_stood() -> None:
    assert encode_argument([Input(1), 3, Input(0)], index_of) == [{"node": 1}, 3, {"node": 0}]
    assert there_and_back([Input(1), 3, [Input(0)]], ["first", "second"]) == ["second", 3, ["first"]]


@pytest.mark.parametrize("value", [object(), {"a": 1}, 1j, torch.zeros(1)], ids=lambda v: type(v).__name__)
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(GraphError, match=type(value).__name__):
        encode_argument(value, index_of)


@pytest.mark.parametrize(
    "value",
    [{}, {"node": "0"}, {"node": True}, {"float": "1.5"}, {"dtype": 3}, {"file": "x"}, {"node": 0, "dtype": "int8"}],
    ids=str,
)
def test_what_was_never_written_is_refused(value: object) -> None:
    with pytest.raises(GraphError, match="is no argument"):
        decode_argument(value, ["input"].__getitem__, of_torch)
