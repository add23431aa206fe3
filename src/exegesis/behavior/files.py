"""Reading and writing the files of a behaviour, each checked in full as it is read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from exegesis.behavior.arrays import ArrayInput, ArraySplit, check_arrays
from exegesis.behavior.readout import Argmax, Readout, Sign, Value
from exegesis.behavior.schema import parse_row
from exegesis.behavior.sequences import SequenceRow, SequenceSplit, pack_rows
from exegesis.ir import InputError


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises InputError where it is missing, empty or cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    if not content.strip():
        raise InputError(f"{path} is empty.")
    return content


def read_sequences(
    path: Path, name: str, readout: Readout, n_tokens: int, n_labels: int, n_answers: int | None
) -> SequenceSplit:
    """Read a `.jsonl` split. See `checked_rows` for the arguments and the errors, which name file and line."""
    lines = [(i, line) for i, line in enumerate(read_bytes(path).splitlines(), start=1) if line.strip()]
    where = [f"{path} line {i}" for i, _ in lines]
    rows = (parse_row(line, readout, at) for (_, line), at in zip(lines, where, strict=True))
    return checked_rows(name, rows, where, readout, n_tokens, n_labels, n_answers)


def checked_rows(
    name: str,
    rows: Iterable[SequenceRow],
    where: Sequence[str],
    readout: Readout,
    n_tokens: int,
    n_labels: int,
    n_answers: int | None,
) -> SequenceSplit:
    """A split of rows, each of which makes sense.

    Args:
        name: name of the split.
        rows: the rows; scored positions may come in any order.
        where: how to call each row in an error.
        readout: how answers are read.
        n_tokens: size of the vocabulary.
        n_labels: how many outputs have a label.
        n_answers: how many outputs the network has, as far as the behaviour says so; None where it does not.

    Raises:
        InputError: a token, position or answer out of range, or lists of different lengths.
    """
    checked = []
    for row, at in zip(rows, where, strict=True):
        _check_row(row, at, readout, n_tokens, n_answers)
        order = np.argsort(row.scored).tolist()
        expected = None if row.expected is None else [row.expected[i] for i in order]
        checked.append(SequenceRow(row.input_ids, [row.scored[i] for i in order], row.position_ids, expected))
    return pack_rows(name, checked, readout, n_labels, where)


def _check_row(row: SequenceRow, at: str, readout: Readout, n_tokens: int, n_answers: int | None) -> None:
    length = len(row.input_ids)
    if (worst := max(row.input_ids)) >= n_tokens:
        raise InputError(f"{at}: token id {worst} exceeds the vocabulary of {n_tokens} tokens.")
    if (last := max(row.scored)) >= length:
        raise InputError(f"{at}: scored position {last} lies outside the {length} positions of the row.")
    if len(set(row.scored)) < len(row.scored):
        raise InputError(f"{at}: a scored position is named twice.")
    if row.position_ids is not None and len(row.position_ids) != length:
        raise InputError(f"{at}: {len(row.position_ids)} position_ids for {length} input_ids.")
    if row.expected is None:
        return
    if len(row.expected) != len(row.scored):
        raise InputError(f"{at}: {len(row.expected)} expected answers for {len(row.scored)} scored positions.")
    if not isinstance(readout, Value):
        _check_answers(row.expected, at, readout, n_answers)


def _check_answers(expected: list[Any], at: str, readout: Argmax | Sign, n_answers: int | None) -> None:
    answers = set(expected) if isinstance(readout, Argmax) else set(chain.from_iterable(expected))
    if isinstance(readout, Sign) and any(len(set(entry)) < len(entry) for entry in expected):
        raise InputError(f"{at}: an expected set names an output twice.")
    if isinstance(readout, Argmax) and readout.outputs is not None and (others := answers - set(readout.outputs)):
        raise InputError(f"{at}: expected answer {min(others)} is none of the outputs that the readout names.")
    if n_answers is not None and (largest := max(answers, default=0)) >= n_answers:
        raise InputError(f"{at}: expected answer {largest} exceeds the {n_answers} outputs.")


def sequences_text(split: SequenceSplit) -> bytes:
    """The split as lines of JSON, in the order of its rows."""
    lines = []
    for row in split:
        fields = {
            "input_ids": row.input_ids,
            "position_ids": row.position_ids,
            "scored": row.scored,
            "expected": row.expected,
        }
        present = {name: value for name, value in fields.items() if value is not None}
        lines.append(json.dumps(present, separators=(",", ":"), allow_nan=False) + "\n")
    return "".join(lines).encode()


def read_arrays(path: Path, name: str, readout: Readout, layout: ArrayInput, n_labels: int | None) -> ArraySplit:
    """Read an `.npz` split with arrays `x` and, where the task has labels, `y`.

    Raises:
        InputError: missing, corrupt or pickled file, other arrays in it, another shape or dtype than `layout`, NaN.
    """
    content = read_bytes(path)
    try:
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is a single array, not an .npz file.")
        with archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path} is not a readable .npz file ({str(error).splitlines()[0][:80]}).") from None
    if "x" not in arrays or set(arrays) - {"x", "y"}:
        raise InputError(f"{path} holds the arrays {sorted(arrays)}; it needs x and, where there are labels, y.")
    x, y = check_arrays(name, arrays["x"], arrays.get("y"), readout, n_labels, str(path))
    if x.shape[1:] != layout.shape or x.dtype != np.dtype(layout.stored):
        raise InputError(
            f"{path}: x holds {x.dtype} inputs of shape {list(x.shape[1:])}, "
            f"but behavior.json announces {layout.stored} of shape {list(layout.shape)}."
        )
    return ArraySplit(name, x, y, layout.scale)


def arrays_bytes(split: ArraySplit) -> bytes:
    """The split as a compressed `.npz` file; the same split gives the same bytes."""
    buffer = io.BytesIO()
    if split.y is None:
        np.savez_compressed(buffer, x=split.stored)
    else:
        np.savez_compressed(buffer, x=split.stored, y=split.y)
    return buffer.getvalue()
