"""Networks whose owner builds them in Python: `file.py:function`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from torch import nn

from exegesis.ir import InputError


def build_from_file(path: Path, function: str) -> nn.Module:
    """What a function in a Python file returns. The file is run, under a module name of its own.

    Raises:
        InputError: no such file or function, an error in either, or a result that is no network.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    module = _import(path.resolve())
    build = getattr(module, function, None)
    if not callable(build):
        raise InputError(f"{path} has no function {function!r}.")
    try:
        with _siblings_importable(path.resolve().parent):
            network = build()
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}:{function} fails: {_reason(error)}.") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{path}:{function} returns {type(network).__name__}, not a torch.nn.Module.")
    return network


def _import(path: Path) -> ModuleType:
    name = f"_exegesis_network_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling in the file look their module up by name
    try:
        with _siblings_importable(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"{path} cannot be imported: {_reason(error)}.") from error
    return module


@contextmanager
def _siblings_importable(folder: Path) -> Iterator[None]:
    """As if the file were run as a script: its folder comes first among the places to import from."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _reason(error: BaseException) -> str:
    message = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
    return f"{type(error).__name__}: {message}"
