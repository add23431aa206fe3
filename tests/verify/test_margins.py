"""Margins against their definition, one answer at a time."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior import Argmax, Sign, Value
from exegesis.verify.margins import margins

LOGITS = st.lists(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4), min_size=1, max_size=6)


@given(logits=LOGITS, seed=st.integers(0, 99))
def test_argmax(logits: list[list[float]], seed: int) -> None:
    said = np.random.default_rng(seed).integers(4, size=len(logits))
    for readout, competing in ((Argmax(), range(4)), (Argmax((3, 1, 2)), (1, 2, 3))):
        found = margins(torch.tensor(logits), said, readout)
        for row, answer in enumerate(said):
            others = [logits[row][i] for i in competing if i != answer]
            if answer in competing:
                assert np.isclose(float(found[row]), logits[row][answer] - max(others), atol=1e-5)
            else:
                assert float(found[row]) <= 0.0


@given(logits=LOGITS, seed=st.integers(0, 99))
def test_a_positive_margin_is_agreement_and_a_negative_one_is_none(logits: list[list[float]], seed: int) -> None:
    out = np.array(logits)
    rng = np.random.default_rng(seed)
    for readout, said in (
        (Argmax(), rng.integers(4, size=len(out))),
        (Sign(), rng.random((len(out), 4)) < 0.5),
    ):
        found = margins(torch.from_numpy(out), said, readout).numpy()
        same = readout.equal(said, readout.answers(out))
        assert same[found > 0].all()
        assert not same[found < 0].any()


def test_value() -> None:
    found = margins(torch.tensor([[1.0], [2.0]]), np.array([1.25, 5.0]), Value(0.5))
    assert found.tolist() == [0.25, -2.5]


def test_an_answer_that_no_output_stands_for_is_never_favoured() -> None:
    assert (margins(torch.tensor([[1.0, 4.0]]), np.array([-1]), Argmax()) == torch.tensor([-3.0])).all()
    assert (margins(torch.tensor([[1.0, 4.0]]), np.array([7]), Argmax()) < 0).all()


def test_sets_of_another_width() -> None:
    narrow = margins(torch.tensor([[1.0, -2.0, -3.0]]), np.array([[True]]), Sign())
    wide = margins(torch.tensor([[1.0]]), np.array([[True, False]]), Sign())
    assert (narrow.tolist(), wide.tolist()) == ([1.0], [1.0])
