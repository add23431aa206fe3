"""What the task's own answers are, where the user says so: a function, or a program that is known to be right."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from exegesis.behavior import Answers, Behavior, Sign, Splits, TokenSets
from exegesis.behavior.ragged import offsets_of
from exegesis.ir import InputError

Truth: TypeAlias = Callable[[list[int]], Any]


def load_truth(text: str) -> Truth:
    """`file.py:function`, or the folder of a run, as a function from token ids to one answer per position.

    Raises:
        InputError: it is not there, or cannot be imported.
    """
    path, colon, name = text.rpartition(":")
    if not colon:
        path, name = str(Path(text) / "program.py"), "run"
    if not Path(path).is_file():
        raise InputError(f"There is no file {path}; the truth is a `file.py:function` or the folder of a run.")
    spec = importlib.util.spec_from_file_location(f"_exegesis_truth_{abs(hash(path))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} cannot be imported: {error}.") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise InputError(f"{path} has no function {name!r}.")
    return cast(Truth, found)


def true_answers(
    truth: Truth, behavior: Behavior, ids: Sequence[Sequence[int]], scored: Sequence[Sequence[int]]
) -> Answers:
    """What the truth says at the scored positions of some inputs, one input after the other.

    Raises:
        InputError: it fails, or does not give one answer per position.
    """
    entries: list[object] = []
    for row, places in zip(ids, scored, strict=True):
        tokens = [int(t) for t in row]
        try:
            said = truth(tokens)
        except Exception as error:
            raise InputError(f"The truth fails on {tokens}: {type(error).__name__}: {error}.") from error
        if not isinstance(said, Sequence) or len(said) != len(tokens):
            raise InputError(f"The truth must give a list with one answer per position; on {tokens} it gave {said!r}.")
        entries += [said[p] for p in places]
    found: Answers = behavior.readout.from_entries(entries)
    return found


def with_truth(behavior: Behavior, truth: Truth) -> Behavior:
    """The behaviour whose labels are what the truth says."""
    labelled = {}
    for name in behavior.splits:
        split = behavior.sequences(name)
        answers = true_answers(truth, behavior, [r.input_ids for r in split], [r.scored for r in split])
        expected: Any = answers
        if isinstance(behavior.readout, Sign):
            rows, outputs = np.nonzero(answers)
            width = max(answers.shape[1], len(behavior.vocabulary))
            expected = TokenSets(outputs, offsets_of(np.bincount(rows, minlength=len(answers))), width)
        labelled[name] = replace(split, expected=expected)
    return replace(behavior, splits=Splits(labelled))
