"""Files that are read with one clear sentence when they cannot be."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from exegesis.ir import InputError

Arrays = Mapping[str, np.ndarray]


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        InputError: it is missing, no file, or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror or error}.") from error


def read_text(path: Path) -> str:
    """The file's content as UTF-8 text.

    Raises:
        InputError: it is missing, cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 (byte {error.start}).") from error


def read_json_object(path: Path) -> dict[str, object]:
    """The JSON object in the file.

    Raises:
        InputError: it is missing, not JSON, or not an object.
    """
    text = read_text(path)
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} does not hold a JSON object.")
    return value


def tensor_bytes(arrays: Arrays) -> bytes:
    """The arrays as safetensors; equal arrays give equal bytes, whatever their order or memory layout."""
    # np.ascontiguousarray would give a scalar an axis.
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name.

    Raises:
        InputError: it is missing, damaged, or has a dtype that numpy lacks.
    """
    names = tensor_names(path)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, TypeError, AttributeError) as error:
        raise InputError(f"{path} holds a tensor that numpy cannot read: {error}.") from error
    for name, tensor in found.items():
        if tensor.dtype.isbuiltin != 1:  # a package that happens to be imported taught numpy this one
            raise InputError(f"{path} holds a tensor that numpy cannot read: {name} is {tensor.dtype}.")
    return found


def tensor_names(path: Path) -> tuple[str, ...]:
    """The names in a safetensors file, after a check of its header and its length.

    Raises:
        InputError: it is missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing.")
    try:
        with safe_open(path, framework="numpy") as file:
            return tuple(sorted(file.keys()))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a whole safetensors file: {error}.") from error
