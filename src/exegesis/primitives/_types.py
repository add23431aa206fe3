"""What the primitives take and give."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Number: TypeAlias = float | int

NONE = -1
"""The category of nothing: what a position holds that read nothing."""
