"""Watching and changing calls of torch's functions while a network runs, however its author wrote them.

`nn.ReLU()`, `F.relu(x)` and `x.relu()` are the same call here, so no list of module types is needed and none is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

RELU = (F.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_)
CONVOLUTION = (torch.conv2d, F.conv2d)


class Replacing(TorchFunctionMode):
    """Calls of some functions are answered by `answer`, which is given the first argument.

    Attributes:
        count: how many calls were answered.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]], answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._functions = tuple(functions)
        self._answer = answer
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func not in self._functions:
            return func(*args, **named)
        self.count += 1
        return self._answer(args[0] if args else named["input"])


class Recording(TorchFunctionMode):
    """Keeps what calls of some functions return.

    Attributes:
        found: their results, in the order of the calls.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        super().__init__()
        self._functions = tuple(functions)
        self.found: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **dict(kwargs or {}))
        if func in self._functions:
            self.found.append(result)
        return result
