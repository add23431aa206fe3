"""A decompiler for neural networks.

The public API is resolved on first use, so that importing a part of the package (an emitted program imports
:mod:`exegesis.primitives`) costs no more than that part: ``import exegesis.primitives`` needs numpy alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exegesis.behavior import Behavior as Behavior
    from exegesis.explain.shortcuts import hunt_shortcuts as hunt_shortcuts
    from exegesis.pipeline import Program as Program
    from exegesis.pipeline.compressing import compress as compress
    from exegesis.pipeline.concepts import find_concepts as find_concepts
    from exegesis.pipeline.decompile import decompile as decompile
    from exegesis.pipeline.explaining import saliency as saliency
    from exegesis.pipeline.explaining import scoreboard as scoreboard
    from exegesis.pipeline.lesion import lesion as lesion
    from exegesis.pipeline.modules import find_modules as find_modules
    from exegesis.runtime import load as load

__version__ = "0.1.0"

__all__ = [
    "Behavior",
    "Program",
    "__version__",
    "compress",
    "decompile",
    "find_concepts",
    "find_modules",
    "hunt_shortcuts",
    "lesion",
    "load",
    "saliency",
    "scoreboard",
]

_HOME = {
    "Behavior": "exegesis.behavior",
    "Program": "exegesis.pipeline",
    "compress": "exegesis.pipeline.compressing",
    "decompile": "exegesis.pipeline",
    "find_concepts": "exegesis.pipeline.concepts",
    "find_modules": "exegesis.pipeline.modules",
    "hunt_shortcuts": "exegesis.explain.shortcuts",
    "lesion": "exegesis.pipeline.lesion",
    "load": "exegesis.runtime",
    "saliency": "exegesis.pipeline.explaining",
    "scoreboard": "exegesis.pipeline.explaining",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'exegesis' has no attribute '{name}'")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
