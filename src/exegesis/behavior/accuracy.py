"""How often a network gives the task's own answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from exegesis.behavior.behavior import Behavior
from exegesis.ir import InputError


def task_accuracy(behavior: Behavior, split: str, outputs: Callable[[Any], NDArray[Any]]) -> float:
    """Share of scored answers of a network that are the task's own.

    Args:
        behavior: the behaviour.
        split: name of a split.
        outputs: the network, from a batch of the split to outputs [b, s, outputs] (sequences) or [b, outputs] (arrays).

    Raises:
        InputError: the split has no expected answers, or the outputs have another shape.
    """
    rows = behavior.split(split)
    right = 0
    for batch in rows.batches():
        if batch.expected is None:
            raise InputError(f"Split {split} of behaviour {behavior.name} does not say what answers are expected.")
        answers = behavior.readout.answers(batch.at_scored(outputs(batch)))
        right += int(behavior.readout.equal(answers, batch.expected).sum())
    return right / rows.n_scored
