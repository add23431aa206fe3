"""Tensors beside a program are read by name, one at a time."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from exegesis.primitives import load_tensors


def test_tensors_are_read_by_name(tmp_path: Path) -> None:
    save_file({"w": np.arange(6.0).reshape(2, 3), "b": np.ones(3, np.float32)}, tmp_path / "tensors.safetensors")
    tensors = load_tensors(tmp_path / "program.py")
    np.testing.assert_array_equal(tensors["w"], np.arange(6.0).reshape(2, 3))
    assert tensors["b"].dtype == np.float32
    assert tensors["w"] is tensors["w"]


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    tensors = load_tensors(tmp_path / "program.py")
    with pytest.raises(FileNotFoundError):
        tensors["w"]


def test_a_name_that_the_file_lacks(tmp_path: Path) -> None:
    save_file({"w": np.ones(1)}, tmp_path / "tensors.safetensors")
    with pytest.raises(KeyError, match="holds no tensor 'x'"):
        load_tensors(tmp_path / "program.py")["x"]
