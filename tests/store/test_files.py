"""Files that cannot be read are one sentence."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from exegesis.ir import InputError
from exegesis.store import files


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"a": 1', "is not valid JSON"),
        (b"[1]", "does not hold a JSON object"),
        (b"\xff{}", r"is not text in UTF-8 \(byte 0\)"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_damaged_json_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        files.read_json_object(path)


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        files.read_bytes(tmp_path / "absent")
    with pytest.raises(InputError, match="Is a directory"):
        files.read_bytes(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        files.read_tensors(tmp_path / "absent.safetensors")


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "turned": np.arange(12, dtype=np.int64).reshape(3, 4).T,
        "swapped": np.arange(3, dtype=">f8"),
        "flags": np.array([True, False]),
    }
    path = tmp_path / "a.safetensors"
    path.write_bytes(files.tensor_bytes(arrays))
    back = files.read_tensors(path)
    reference = safetensors.torch.load_file(path)
    assert back.keys() == arrays.keys() == reference.keys()
    for name, array in arrays.items():
        assert back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)
        np.testing.assert_array_equal(reference[name].numpy(), array)


def test_equal_arrays_give_equal_bytes() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(4)
    assert files.tensor_bytes({"a": a, "b": b}) == files.tensor_bytes({"b": b, "a": np.asfortranarray(a)})
    assert files.tensor_bytes({"a": a}) != files.tensor_bytes({"a": a.reshape(3, 2)})


def test_damaged_tensors_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    whole = safetensors.numpy.save({"w": np.arange(8.0)})
    for damaged in (whole[:-1], whole[:20], b"", b"\x80\x04pickle", whole + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is not a whole safetensors file"):
            files.tensor_names(path)


@pytest.mark.parametrize("taught", [False, True])
def test_a_dtype_that_numpy_lacks_is_one_sentence(tmp_path: Path, taught: bool) -> None:
    if taught:
        pytest.importorskip("ml_dtypes")  # from now on numpy knows bfloat16 by that package
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"w": torch.ones(2, dtype=torch.bfloat16)}, path)
    assert files.tensor_names(path) == ("w",)
    with pytest.raises(InputError, match="holds a tensor that numpy cannot read"):
        files.read_tensors(path)
