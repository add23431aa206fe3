"""The report stands alone, shows what the verdict says, and is the same for the same run."""

import re
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser

import pytest

from exegesis.emit import About, Attempt, Step, emit_report, outline
from exegesis.evidence import Claim, Figures, Measurement, Status, Verdict, VerdictRule
from exegesis.ir import Graph, price

Graphs = Mapping[str, Callable[[], Graph]]
VOID = {"meta", "br", "link", "img", "hr", "input"}
STEPS = (
    Step(
        "raise_heads",
        "raise",
        "statistical",
        (Attempt("h.0 head 0", "everywhere", True), Attempt("h.1 head 1", "no <idiom> fits", False)),
        None,
        1.0,
        0.998,
        39,
        12,
    ),
    Step("raise_readout", "raise", "statistical", skipped="nothing to read"),
)


class Balance(HTMLParser):
    """Raises where tags are not closed in the order in which they were opened, and collects text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def proportion(right: int, n: int, null: float | None = None) -> Measurement:
    return Measurement.proportion("agreement", right, n, null_value=null)


def verdict(graph: Graph, *, right: int = 995, seconds: float = 1.0) -> Verdict:
    cost = price(graph)
    lifted = 3 * cost.total_bits
    figures = Figures(
        agreement={"test": proportion(right, 1000), "long": proportion(right, 1000)},
        sequences_exact={"test": proportion(90, 100)},
        legible_share=1 - cost.unread_bits / lifted,
        opaque_bits=cost.opaque_bits,
        unread_bits=cost.unread_bits,
        lifted_bits=lifted,
        interchange={"shares": proportion(480, 500, 0.12)},
        code_lines=20,
        numbers_in_code=4,
        numbers_in_tensors=700,
        seconds=seconds,
        seed=7,
        versions={"python": "3.11"},
    )
    claims = (
        Claim(statement="It says what the network says.", domain="split test", status=Status.CONJECTURED),
        Claim(
            statement="Order does not matter.", domain="all strings", status=Status.REFUTED, witness={"input_ids": [1]}
        ),
    )
    return Verdict.of(claims, figures, VerdictRule())


def report(graph: Graph, judged: Verdict, *, about: About | None = None, rerun: Sequence[str] = ("run it",)) -> str:
    about = about or About("mixed", "a net", "Says something.")
    return emit_report(graph, source="x = 1 < 2\n", about=about, verdict=judged, steps=STEPS, rerun=rerun)


@pytest.mark.parametrize("name", ["majority", "unique_copy", "dyck", "abcde", "bin_majority", "mixed"])
def test_a_report_is_one_well_formed_page(name: str, programs: Graphs) -> None:
    graph = programs[name]()
    html = report(graph, verdict(graph))
    page = Balance()
    page.feed(html)
    assert page.open == []
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|<script|https?://", html)
    for module in outline(graph):
        assert module.name in html


def test_what_the_verdict_says_is_shown(programs: Graphs) -> None:
    graph = programs["mixed"]()
    html = report(graph, verdict(graph))
    page = Balance()
    page.feed(html)
    text = " ".join(" ".join(page.text).split())
    for shown in (
        "does not hold",
        "refuted: Order does not matter.",
        "99.5 % agreement on test",
        "null 12 %",
        "conjectured",
        "2 tried, 1 applied, 1 refused · 39 → 12 nodes",
        "no <idiom> fits",
        "nothing to read",
        "run it",
        "Seed 7",
        "700 opaque numbers",
    ):
        assert shown in text, shown


def test_two_runs_of_one_seed_give_the_same_bytes(programs: Graphs) -> None:
    graph = programs["mixed"]()
    assert report(graph, verdict(graph, seconds=1.0)) == report(graph, verdict(graph, seconds=9.0))
    assert report(graph, verdict(graph)) != report(graph, verdict(graph, right=900))


def test_text_from_outside_is_escaped(programs: Graphs) -> None:
    graph = programs["majority"]()
    about = About("<script>alert(1)</script>", "<q>", "<s>")
    html = report(graph, verdict(graph), about=about, rerun=("<u>",))
    assert not re.search(r"<(script|q|s|u)>", html)
    assert "&lt;script&gt;" in html


def test_the_program_is_highlighted_and_escaped(programs: Graphs) -> None:
    graph = programs["majority"]()
    html = report(graph, verdict(graph))
    assert re.search(r'<span class="mi">1</span>\s*<span class="o">&lt;</span>', html)
    assert "prefers-color-scheme: dark" in html


def test_bars_lie_within_their_axis(programs: Graphs) -> None:
    graph = programs["mixed"]()
    html = report(graph, verdict(graph, right=3))
    places = [float(p) for p in re.findall(r"left:([\d.]+)%", html)]
    assert places
    assert all(0 <= p <= 100 for p in places)


def test_the_outline_nests_functions_and_prices_them(programs: Graphs) -> None:
    from dataclasses import replace

    from exegesis.ir import Function

    graph = programs["mixed"]()
    functions = (
        Function("mlp", ("up", "act"), "Both."),
        Function("norm", ("normed",), "Norm.", parent="mlp"),
    )
    modules = outline(replace(graph, functions=functions))
    assert [(m.name, m.depth, m.steps) for m in modules] == [("mlp", 0, 2), ("norms", 1, 1), ("run", 0, 8)]
    total = price(graph)
    assert sum(m.opaque_bits for m in modules) == pytest.approx(total.opaque_bits)
