"""Explanations on the page of a run: added, replaced, never let out of their panel."""

import base64

import pytest

from exegesis.emit.evidence import Evidence, with_evidence
from exegesis.ir import InputError

PAGE = "<html><body><main>\n<footer>\nSeed 0\n</footer>\n</main></body></html>"


def evidence(title: str = "Anchor of zoo:majority: row 0", svg: str = "<svg/>", said: str = "precision: 1") -> Evidence:
    return Evidence(title, "shown", ("Shown.", said), svg, "what is held")


def test_a_panel_is_put_before_the_foot_with_its_picture_and_checks() -> None:
    page = with_evidence(PAGE, evidence())
    assert page.index("Anchor of zoo:majority") < page.index("<footer>")
    assert base64.b64encode(b"<svg/>").decode() in page
    assert "precision: 1" in page
    assert 'alt="what is held"' in page
    assert page.replace(page[page.index("<h2") : page.index("<footer>")], "") == PAGE


def test_the_same_question_replaces_its_answer_and_another_stands_below() -> None:
    page = with_evidence(with_evidence(PAGE, evidence()), evidence("Importance of zoo:tabular", said="repeats: 1"))
    again = with_evidence(page, evidence(said=r"precision: 0.5 \\1"))
    assert again.count('<div class="panel"') == 2
    assert r"precision: 0.5 \\1" in again
    assert "precision: 1" not in again
    assert again.count("<h2") == 1
    assert again.index("Anchor of") < again.index("Importance of")
    assert with_evidence(again, evidence(said=r"precision: 0.5 \\1")) == again


def test_words_are_words_and_not_markup() -> None:
    page = with_evidence(PAGE, evidence("<script>a</script>", said="a < b"))
    assert "<script>" not in page
    assert "a &lt; b" in page


def test_only_pages_of_runs() -> None:
    with pytest.raises(InputError, match="none that exegesis wrote"):
        with_evidence("<html></html>", evidence())
