"""The report: one self-contained page that shows a program, how well it was checked, and how it came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

from exegesis.emit.about import About
from exegesis.emit.dataflow import dataflow
from exegesis.emit.diagram import draw
from exegesis.emit.docstrings import percent
from exegesis.emit.outline import Module, outline
from exegesis.emit.pictures import exhibits
from exegesis.evidence import Measurement, Verdict, findings
from exegesis.ir import Graph, price

_WORD = {True: "holds", False: "does not hold", None: "not decided"}


@dataclass(frozen=True)
class Attempt:
    """One thing a pass tried: where, and what became of it."""

    where: str
    outcome: str
    applied: bool


@dataclass(frozen=True)
class Step:
    """What one pass did.

    Attributes:
        name, stage, guarantee: of the pass.
        attempts: what it tried.
        skipped: why it did not run, or None.
        before, after: share of held-out answers that agreed with the network.
        nodes_before, nodes_after: size of the program.
    """

    name: str
    stage: str
    guarantee: str
    attempts: tuple[Attempt, ...] = ()
    skipped: str | None = None
    before: float | None = None
    after: float | None = None
    nodes_before: int = 0
    nodes_after: int = 0

    @property
    def applied(self) -> int:
        """How many attempts changed the program."""
        return sum(a.applied for a in self.attempts)


@dataclass(frozen=True)
class Bar:
    """A measurement as a picture: where value, bounds and null lie between the ends of an axis, in per cent."""

    name: str
    measured: Measurement
    value: float
    low: float
    high: float
    null: float | None


@dataclass(frozen=True)
class Chart:
    """Measurements of one kind on an axis from `start` to 1."""

    title: str
    explains: str
    start: float
    bars: tuple[Bar, ...]


def emit_report(
    graph: Graph,
    *,
    source: str,
    about: About,
    verdict: Verdict,
    steps: Sequence[Step] = (),
    rerun: Sequence[str] = (),
) -> str:
    """The report as HTML without anything outside of it. Equal arguments but for timings give equal bytes.

    Args:
        graph: the program.
        source: its text.
        about: what it says of itself.
        verdict: its claims and figures.
        steps: what each pass did, in order.
        rerun: commands that make and judge this program again.

    Raises:
        GraphError: as `emit_program`.
    """
    figures, cost = verdict.figures, price(graph)
    reasons = [f for f in findings(verdict.claims, figures, verdict.rule) if f.met is not True]
    return _template().render(
        about=about,
        word=_WORD[verdict.holds],
        state={True: "good", False: "bad", None: "open"}[verdict.holds],
        verdict=verdict,
        figures=figures,
        reasons=reasons,
        cards=list(_cards(verdict)),
        charts=_charts(verdict),
        program=Markup(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))),
        lines=source.count("\n"),
        flow=Markup(draw(dataflow(graph))),
        modules=_weighed(outline(graph)),
        found=graph.meta.get("modules") or {},
        exhibits=exhibits(graph.meta.get("modules") or {}),
        cost=cost,
        opaque_share=min(1.0, max(0.0, 1 - verdict.legible_share)),
        steps=steps,
        rerun=rerun,
        code_css=Markup(_code_css()),
    )


def _cards(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """The few figures that matter most: (figure, what it is, detail)."""
    figures = verdict.figures
    for split in ("test", "long"):
        if measured := figures.agreement.get(split):
            lower = "" if measured.lower is None else f"at least {percent(measured.lower)}"
            yield percent(measured.value), f"agreement on {split}", lower
    if figures.joint_interchange is not None:
        yield percent(figures.joint_interchange.value), "joint interchange", "of random subsets of the variables"
    yield percent(verdict.legible_share), "legible", f"{figures.numbers_in_tensors:,} opaque numbers"
    if figures.code_lines is not None:
        yield str(figures.code_lines), "lines of code", f"{figures.numbers_in_code} numbers in them"


def _charts(verdict: Verdict) -> list[Chart]:
    figures = verdict.figures
    joint = {"all together": figures.joint_interchange} if figures.joint_interchange else {}
    kinds: list[tuple[str, str, Mapping[str, Measurement]]] = [
        ("Agreement", "how often program and network say the same, by split", figures.agreement),
        ("Agreement beyond", "on inputs shorter or longer than any in training", figures.agreement_beyond),
        ("Whole inputs", "how often they say the same at every position", figures.sequences_exact),
        (
            "Interchange",
            "a variable's value from another input, put into the network where it lives: how often the network then "
            "says what the program says",
            {**figures.interchange, **joint},
        ),
        (
            "Sufficiency",
            "answers that survive when what the program does not use is ablated",
            figures.sufficiency,
        ),
        ("Necessity", "answers that break, as the program says, when what it uses is ablated", figures.necessity),
        ("Stability", "what two decompilations have in common", figures.stability),
    ]
    return [_chart(title, explains, measured) for title, explains, measured in kinds if measured]


def _chart(title: str, explains: str, measured: Mapping[str, Measurement]) -> Chart:
    ends = [x for m in measured.values() for x in (m.value, m.lower, m.null_value) if x is not None]
    start = min(0.9, max(0.0, int(min(ends) * 10) / 10))

    def along(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - start) / (1 - start))), 2)

    bars = [
        Bar(
            name,
            m,
            along(m.value),
            along(m.value if m.lower is None else m.lower),
            along(m.value if m.upper is None else m.upper),
            None if m.null_value is None else along(m.null_value),
        )
        for name, m in measured.items()
    ]
    return Chart(title, explains, start, tuple(bars))


def _weighed(modules: Sequence[Module]) -> list[tuple[Module, float]]:
    """Each module with its share of all bits, and of the widest bar."""
    most = max((m.opaque_bits + m.symbolic_bits for m in modules), default=0) or 1
    return [(m, (m.opaque_bits + m.symbolic_bits) / most) for m in modules if m.steps]


def bits(value: float) -> str:
    """A number of bits for people."""
    return f"{value:,.0f} bits" if value < 100_000 else f"{value / 8 / 1024:,.0f} KiB"


def _code_css() -> str:
    light, dark = (HtmlFormatter(style=style).get_style_defs(".code") for style in ("friendly", "github-dark"))
    return f"{_tokens_only(light)}\n@media (prefers-color-scheme: dark) {{\n{_tokens_only(dark)}\n}}"


def _tokens_only(css: str) -> str:
    """Rules for tokens; the page has its own background."""
    return "\n".join(line for line in css.splitlines() if line.startswith(".code ."))


@cache
def _template() -> Template:
    text = files("exegesis.emit").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "bits": bits}
    return environment.from_string(text)
