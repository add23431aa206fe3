"""Checks, statuses and files of explanations."""

import html
import json
from pathlib import Path

import numpy as np
import pytest

from exegesis.explain import Check, Consequence, Explanation, Provenance, Status, WithheldError
from exegesis.ir import InputError

PASSED = Check.at_most("sum", "Whether it sums up.", 0.01, 0.05, Consequence.WITHHOLDS)
FAILED = Check.at_most("sum", "Whether it sums up.", 0.2, 0.05, Consequence.WITHHOLDS, {"random": 0.9})
MARKED = Check.at_least("rank", "Whether it ranks.", 0.2, 0.5, Consequence.MARKS)
INFORMS = Check.at_most("shift", "Whether it moves.", 9.0, 0.5, Consequence.INFORMS)
UNDEFINED = Check.undefined("labels", "Whether labels matter.", "nobody can train it")


def made(*checks: Check) -> Explanation:
    source = Provenance("drawn", {"n": 3}, 0, 16, "net", "f" * 64, "b")
    raw = {"values": np.array([[1.0, np.nan]], dtype=np.float32), "rows": np.array([4])}
    return Explanation("saliency", raw, checks, source, {4: "it is blank"}, ("a note",))


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ((PASSED,), Status.SHOWN),
        ((PASSED, UNDEFINED, INFORMS), Status.SHOWN),
        ((PASSED, MARKED), Status.MARKED),
        ((FAILED, MARKED), Status.WITHHELD),
        ((), Status.MARKED),  # no check at all is no support
        ((UNDEFINED,), Status.MARKED),
        ((INFORMS,), Status.MARKED),
    ],
)
def test_the_status_follows_from_the_checks(checks: tuple[Check, ...], status: Status) -> None:
    assert made(*checks).status is status


def test_what_is_withheld_refuses_its_arrays_and_says_why() -> None:
    explanation = made(FAILED)
    with pytest.raises(WithheldError, match=r"sum: 0\.2 \(at most 0\.05\), FAILED; nulls: random 0\.9"):
        _ = explanation.arrays
    assert explanation.raw["rows"][0] == 4
    assert made(PASSED).arrays["rows"][0] == 4


def test_equality_passes_and_direction_counts() -> None:
    assert Check.at_most("a", "", 0.5, 0.5).passed is True
    assert Check.at_least("a", "", 0.5, 0.5).passed is True
    assert Check.at_most("a", "", 0.6, 0.5).passed is False
    assert Check.at_least("a", "", 0.4, 0.5).passed is False
    assert Check.at_most("a", "", 0.4, None).passed is None


def test_a_value_that_is_no_number_is_undefined() -> None:
    check = Check.at_most("a", "", float("nan"), 0.5)
    assert check.value is None
    assert check.passed is None
    assert "nan" in check.reason


def test_a_check_without_value_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="either a value or the reason"):
        Check("a", "", None, 0.5)
    with pytest.raises(ValueError, match="either a value or the reason"):
        Check("a", "", 0.1, 0.5, reason="but why")


def test_files_hold_all_of_it(tmp_path: Path) -> None:
    before = made(PASSED, MARKED, UNDEFINED, INFORMS)
    before.save(tmp_path / "new" / "folder")
    after = Explanation.open(tmp_path / "new" / "folder")
    assert after.to_json() == before.to_json()
    assert after.checks == before.checks
    assert after.provenance == before.provenance
    assert dict(after.undefined) == {4: "it is blank"}
    for name, array in before.raw.items():
        np.testing.assert_array_equal(after.raw[name], array)
        assert after.raw[name].dtype == array.dtype


@pytest.mark.parametrize(
    ("path", "lie"),
    [(("status",), "shown"), (("checks", 0, "passed"), True), (("checks", 0, "value"), None), (("schema",), 2)],
)
def test_a_record_that_contradicts_itself_is_refused(tmp_path: Path, path: tuple[str | int, ...], lie: object) -> None:
    made(FAILED).save(tmp_path)
    file = tmp_path / "explanation.json"
    record = json.loads(file.read_text())
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = lie
    file.write_text(json.dumps(record))
    with pytest.raises(InputError):
        Explanation.open(tmp_path)


def test_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        made(PASSED).raw["values"][0] = 1.0


def test_what_has_no_picture_of_its_own_shows_its_checks_in_notebooks() -> None:
    shown = made(PASSED)._repr_html_()
    assert shown.startswith("<figure")
    assert PASSED.sentence() in html.unescape(shown)
    assert "Withheld" in made(FAILED)._repr_html_()
