"""The splits of a behaviour by name, read when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from exegesis.behavior.arrays import ArrayBatch, ArraySplit
from exegesis.behavior.sequences import SequenceBatch, SequenceSplit, TokenSets
from exegesis.ir import InputError

Split: TypeAlias = SequenceSplit | ArraySplit
Batch: TypeAlias = SequenceBatch | ArrayBatch


class Splits:
    """Splits by name (train, test, then the others), each read and checked when it is first asked for.

    A mapping in all but inheritance: a type checker at run time looks into what is known to be a mapping, and would
    read files by doing so.
    """

    def __init__(self, sources: Mapping[str, Split | Callable[[], Split]]) -> None:
        if not sources:
            raise InputError("A behaviour needs at least one split.")
        order = {"train": 0, "test": 1}
        self._sources = {name: sources[name] for name in sorted(sources, key=lambda name: (order.get(name, 2), name))}

    def __getitem__(self, name: str) -> Split:
        source = self._sources[name]
        if callable(source):
            source = self._sources[name] = source()
        return source

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __contains__(self, name: object) -> bool:
        return name in self._sources

    def __len__(self) -> int:
        return len(self._sources)

    def values(self) -> Iterator[Split]:
        """The splits in order, each read as it is reached."""
        return (self[name] for name in self)

    def items(self) -> Iterator[tuple[str, Split]]:
        """Names and splits in order, each read as it is reached."""
        return ((name, self[name]) for name in self)


def split_paths(named: dict[str, str] | None, path: Path, suffix: str) -> dict[str, Path]:
    """Files of the splits by name.

    Args:
        named: file by name of split, relative to `path`; None for all files with the suffix beside it.
        path: the behaviour's `behavior.json`.
        suffix: `jsonl` or `npz`.

    Raises:
        InputError: there are none, or one does not exist.
    """
    if named is not None:
        paths = {name: path.parent / file for name, file in named.items()}
    else:
        paths = {file.stem: file for file in path.parent.glob(f"*.{suffix}")}
    if not paths:
        raise InputError(f"{path.parent} holds no split; a behaviour needs train.{suffix} beside behavior.json.")
    for file in paths.values():
        if not file.is_file():
            raise InputError(f"{file} does not exist.")
    return paths


def arrays_of(split: Split) -> list[NDArray[Any]]:
    """Every array that makes up a split, in a fixed order."""
    if isinstance(split, ArraySplit):
        return [split.stored] if split.y is None else [split.stored, split.y]
    parts: list[NDArray[Any]] = [split.tokens, split.offsets, split.scored]
    if split.positions is not None:
        parts.append(split.positions)
    match split.expected:
        case None:
            return parts
        case TokenSets():
            return [*parts, split.expected.ids, split.expected.offsets]
        case _:
            return [*parts, split.expected]


def outputs_needed(split: Split) -> int:
    """How many outputs a network needs to give every answer that the split expects."""
    expected = split.expected if isinstance(split, SequenceSplit) else split.y
    match expected:
        case None:
            return 0
        case TokenSets():
            return int(expected.ids.max(initial=-1)) + 1
        case _ if expected.ndim == 2:
            return int(expected.shape[1])
        case _:
            return int(expected.max(initial=-1)) + 1
