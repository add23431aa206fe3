"""How much there is to explain: what answers depend on beyond the token where they are given, and whether they are the
task's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from exegesis.behavior.behavior import Behavior
from exegesis.behavior.readout import Answers, Readout, Value
from exegesis.behavior.sequences import SequenceSplit, TokenSets
from exegesis.behavior.splits import Split
from exegesis.evidence import Measurement


def substance(behavior: Behavior, said: Callable[[str], Answers], seed: int) -> tuple[float, Measurement | None]:
    """How much a network does on a behaviour's held-out inputs: `answer_bits` and `accuracy_of` there.

    Args:
        behavior: what it is asked, on split `test` or the first besides `train`.
        said: its answers on a split, by name, in the split's order.
        seed: of the null.
    """
    held_out = sorted(behavior.splits, key=lambda name: (name != "test", name == "train"))[0]
    split, answers = behavior.split(held_out), said(held_out)
    return answer_bits(split, answers, behavior.readout), accuracy_of(split, answers, behavior.readout, seed)


def answer_bits(split: Split, answers: Answers, readout: Readout) -> float:
    """Entropy of answers given the token at the position of each, in bits per answer (the plug-in estimate).

    It is 0 for a constant answer, and for one that a table over the tokens gives: nothing is computed from anywhere
    else. Over arrays, where there are no tokens, it is the entropy of the answers alone.

    Args:
        split: where the answers were asked for.
        answers: one per scored place, in the order of the split.
        readout: numbers within its tolerance count as one.
    """
    said = _codes(answers, readout)
    if not isinstance(split, SequenceSplit):
        return _entropy(said)
    tokens = split.tokens[split.scored]
    return _entropy(np.stack([tokens, said], 1)) - _entropy(tokens)


def accuracy_of(split: Split, answers: Answers, readout: Readout, seed: int) -> Measurement | None:
    """How often answers are those that the split expects, beside the same for expected answers dealt out at random.

    None where the split does not say what is expected.
    """
    expected = split.expected if isinstance(split, SequenceSplit) else split.y
    if expected is None:
        return None
    wanted = expected.dense(np.arange(len(expected))) if isinstance(expected, TokenSets) else expected
    dealt = wanted[np.random.default_rng(seed).permutation(len(wanted))]
    right = int(readout.equal(answers, wanted).sum())
    chance = float(readout.equal(answers, dealt).mean())
    return Measurement.proportion("answers that are the task's own", right, len(wanted), null_value=chance, seed=seed)


def _codes(answers: Answers, readout: Readout) -> Int[np.ndarray, " n"]:
    if isinstance(readout, Value):
        answers = np.round(answers / max(readout.tolerance, 1e-9))
    codes: NDArray[np.int64] = np.unique(answers, axis=0, return_inverse=True)[1].reshape(-1)
    return codes


def _entropy(values: NDArray[np.int64]) -> float:
    """Of the rows of an array, in bits."""
    counts = np.unique(values, axis=0, return_counts=True)[1]
    shares = counts / counts.sum()
    return abs(float(shares @ np.log2(shares)))
