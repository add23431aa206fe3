"""The figures of a run."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exegesis.evidence import Figures, Measurement, legible_share


@given(opaque=st.floats(0, 1e9), lifted=st.floats(1e-3, 1e9))
def test_the_legible_share_is_what_is_left(opaque: float, lifted: float) -> None:
    assert legible_share(opaque, lifted) * lifted + opaque == pytest.approx(lifted, rel=1e-9, abs=1e-9 * (opaque + 1))


def test_the_ends_of_the_legible_share() -> None:
    assert legible_share(0.0, 7.0) == 1.0
    assert legible_share(7.0, 7.0) == 0.0
    assert legible_share(14.0, 7.0) == -1.0


@pytest.mark.parametrize("lifted", [0.0, -1.0, float("nan")])
def test_no_share_of_nothing(lifted: float) -> None:
    with pytest.raises(ValueError, match="positive description length"):
        legible_share(1.0, lifted)


def test_a_share_that_does_not_follow_from_the_lengths_is_refused(figures: Callable[..., Figures]) -> None:
    assert figures(unread_bits=25.0, lifted_bits=100.0, legible_share=0.75).legible_share == 0.75
    with pytest.raises(ValidationError, match=r"legible share of 0\.75, not 0\.95"):
        figures(unread_bits=25.0, lifted_bits=100.0, legible_share=0.95)


def test_the_splits_do_not_change(figures: Callable[..., Figures]) -> None:
    given_splits = {"test": Measurement.proportion("agreement", 5, 5)}
    made = figures(agreement=given_splits)
    given_splits["long"] = given_splits["test"]
    assert set(made.agreement) == {"test"}
    with pytest.raises(TypeError):
        made.agreement["long"] = given_splits["test"]  # type: ignore[index]


@pytest.mark.parametrize(
    "planted", [{"code_lines": -1}, {"seconds": -0.1}, {"opaque_bits": float("inf")}, {"hours": 2}]
)
def test_a_faulty_figure_is_refused(figures: Callable[..., Figures], planted: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        figures(**planted)
