"""The tensors that a program could not do without, beside its `program.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exegesis.primitives._types import Array


class Tensors:
    """The tensors of one file by name, each read when it is first asked for and kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        """One tensor.

        Raises:
            KeyError: the file holds no tensor of that name.
            FileNotFoundError: there is no such file.
        """
        if name not in self._read:
            from safetensors import SafetensorError, safe_open

            with safe_open(self._path, framework="numpy") as file:
                try:
                    self._read[name] = np.asarray(file.get_tensor(name))
                except SafetensorError:
                    raise KeyError(f"{self._path} holds no tensor {name!r}.") from None
        return self._read[name]


def load_tensors(program: str | Path) -> Tensors:
    """The tensors in `tensors.safetensors` next to a program: `TENSORS = load_tensors(__file__)`."""
    return Tensors(Path(program).resolve().parent / "tensors.safetensors")
