"""One table per network: which attribution methods may be trusted here, by the checks they pass and fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exegesis.behavior import Behavior
from exegesis.explain.checks import CHECKS, Checker, Retrain
from exegesis.explain.checks.road import BRIGHTNESS
from exegesis.explain.checks.road import NAME as IMPUTED
from exegesis.explain.checks.roar import NAME as REMOVED
from exegesis.explain.checks.roar import PLACES
from exegesis.explain.core import Check, Consequence, Status
from exegesis.explain.figure import PALETTE, Picture, blank, caption
from exegesis.explain.model import Model, NotDifferentiableError
from exegesis.explain.saliency import METHODS, Method, UndefinedMethodError
from exegesis.explain.saliency.attribution import saliency
from exegesis.explain.target import Explained
from exegesis.ir import Graph, InputError, Json
from exegesis.ir.files import write_text
from exegesis.runtime import Network

ROWS = 8
GREY = "#8a8a8a"
KEY = "● passed   ○ failed   grey: it decides nothing   – could not be made   ✗ failed a check that decides"
RANDOMISED = ("cascading randomisation", "independent randomisation")


@dataclass(frozen=True)
class Score:
    """How one method did.

    Args:
        method, title: which one.
        status: what may be done with its results; None where it is undefined here.
        checks: what was measured.
        why_not: why it is undefined; empty where it is not.
    """

    method: str
    title: str
    status: Status | None
    checks: tuple[Check, ...]
    why_not: str = ""

    @property
    def trusted(self) -> bool | None:
        """Whether it passed every deciding check that could be made, at least one; None where it is undefined here."""
        return None if self.status is None else self.status is Status.SHOWN

    def failed(self) -> tuple[Check, ...]:
        """The deciding checks that it failed."""
        return tuple(c for c in self.checks if c.passed is False and c.consequence is not Consequence.INFORMS)

    def check(self, name: str) -> Check | None:
        """One check by name, or None."""
        return next((c for c in self.checks if c.name == name), None)

    def record(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "method": self.method,
            "title": self.title,
            "trusted": self.trusted,
            "status": None if self.status is None else self.status.value,
            "undefined": self.why_not,
            "checks": [check.record() for check in self.checks],
        }


@dataclass(frozen=True)
class Scoreboard:
    """Which methods may be trusted on one network.

    Args:
        network, behavior: on what.
        seed: of everything that was drawn.
        scores: one per method, in the order of the methods.
    """

    network: str
    behavior: str
    seed: int
    scores: tuple[Score, ...]

    def __getitem__(self, method: str) -> Score:
        """The score of a method by name. Raises InputError where there is none."""
        for score in self.scores:
            if score.method == method:
                return score
        raise InputError(f"The scoreboard of {self.network} has no method {method!r}.")

    def sentences(self) -> tuple[str, ...]:
        """What follows, in words."""
        groups = {True: [], False: [], None: []}  # type: dict[bool | None, list[str]]
        for score in self.scores:
            groups[score.trusted].append(score.title)
        said = []
        if groups[True]:
            said.append(f"On {self.network} these passed every check that could be made: {', '.join(groups[True])}.")
        else:
            said.append(f"On {self.network} no method passed every check that could be made.")
        deaf = [(s, c) for s in self.scores for c in s.failed() if c.name in RANDOMISED]
        for name in RANDOMISED:
            same = [f"{s.title} ({c.value:.2f})" for s, c in deaf if c.name == name]
            if same:
                said.append(f"Hardly changed by random weights ({name}), no sign of learning: {', '.join(same)}.")
        for score in self.scores:
            others = [c.name for c in score.failed() if c.name not in RANDOMISED]
            if others:
                said.append(f"{score.title} failed: {', '.join(others)}.")
        said.extend(_of_brightness(self.scores))
        said.extend(_of_removal([c for s in self.scores if (c := s.check(REMOVED)) and c.value is not None]))
        if groups[None]:
            said.append(f"Undefined here: {', '.join(groups[None])}.")
        return tuple(said)

    def record(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "network": self.network,
            "behavior": self.behavior,
            "seed": self.seed,
            "scores": [score.record() for score in self.scores],
            "sentences": list(self.sentences()),
        }

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, whole or not at all."""
        path = Path(path)
        write_text(path, json.dumps(self.record(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path

    def figure(self) -> Picture:
        """A table of dots: filled for passed, ringed for failed (grey where that decides nothing), a dash where a check
        could not be made. A check that could be made of no method has no column."""
        made = {c.name for s in self.scores for c in s.checks if c.value is not None}
        every = dict.fromkeys(c.name for s in self.scores for c in s.checks)
        names, left_out = [n for n in every if n in made], [n for n in every if n not in made]
        rows = [s for s in self.scores if s.status is not None]

        def draw() -> object:
            figure, axes = blank(2.6 + 1.0 * len(names), 0.9 + 0.27 * len(rows))
            ax = axes[0, 0]
            for y, score in enumerate(rows):
                for x, name in enumerate(names):
                    check = score.check(name)
                    if check is None or check.value is None:
                        ax.text(x, y, "–", ha="center", va="center", color=GREY)
                        continue
                    failed = check.passed is False
                    ink = _ink(check)
                    ax.plot(x - 0.24, y, "o", ms=6, mfc="white" if failed else ink, mec=ink, mew=1.6)
                    ax.text(x - 0.1, y, f"{check.value:.2g}", va="center", fontsize=7.5)
            ax.set_xticks(range(len(names)), [n.replace(" ", "\n", 1) for n in names], fontsize=7.5)
            ax.xaxis.tick_top()
            ax.set_yticks(range(len(rows)), [("" if s.trusted else "✗ ") + s.title for s in rows])
            ax.set(xlim=(-0.5, len(names) - 0.4), ylim=(len(rows) - 0.5, -0.5))
            ax.tick_params(length=0)
            for spine in ax.spines.values():
                spine.set_visible(False)
            for y in range(1, len(rows)):
                ax.axhline(y - 0.5, color="#e6e6e6", linewidth=0.6, zorder=0)
            figure.suptitle(f"Which methods may be trusted on {self.network}", x=0.01, ha="left", fontsize=9)
            caption(figure, [KEY, *([f"Not made of any: {', '.join(left_out)}."] if left_out else [])], alarm=False)
            return figure

        return Picture(draw, " ".join(self.sentences()))

    def _repr_html_(self) -> str:
        return self.figure()._repr_html_()


def _of_brightness(scores: Sequence[Score]) -> list[str]:
    """Which methods find no more of what decides than where the ink is; nothing where that was not measured."""
    made = [(s.title, c.value, c.nulls) for s in scores if (c := s.check(IMPUTED)) and c.value is not None]
    worse = [title for title, value, nulls in made if BRIGHTNESS in nulls and value >= nulls[BRIGHTNESS]]
    if not worse:
        return []
    kept = next(nulls[BRIGHTNESS] for _, _, nulls in made)
    return [
        f"{IMPUTED[0].upper()}{IMPUTED[1:]}: brightness alone, whatever the network, leaves {kept:.0%} of the answers; "
        f"no better than that: {', '.join(worse)}."
    ]


def _of_removal(checks: Sequence[Check]) -> list[str]:
    """Whether remove and retrain tells any method from chance here, and why not; nothing where it was not made."""
    if not checks:
        return []
    values = [c.value for c in checks if c.value is not None]
    chance = min(c.nulls["random"] for c in checks)
    better = sum(value < c.nulls["random"] for value, c in zip(values, checks, strict=True))
    said = (
        f"{REMOVED[0].upper()}{REMOVED[1:]}: {better} of {len(checks)} methods took more from a network than removal "
        f"at random ({_span(values)} right, at random {chance:.0%})"
    )
    places = [c.nulls[PLACES] for c in checks if PLACES in c.nulls]
    told = [place for place, c in zip(places, checks, strict=False) if place >= c.nulls["random"]]
    if not told:
        return [f"{said}."]
    return [
        f"{said}. For {len(told)} of them a network that sees only which places are gone is right {_span(told)} of the "
        "time: the map spells the class by its shape, so this removal says nothing of them; remove and impute does."
    ]


def _span(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{value:.0%}" for value in (min(values), max(values))))


def _ink(check: Check) -> str:
    """Green for passed, orange for failed, grey where a failure decides nothing or there was no bound."""
    if check.passed is None or (not check.passed and check.consequence is Consequence.INFORMS):
        return GREY
    return PALETTE[2] if check.passed else PALETTE[5]


def scoreboard(
    network: Network,
    behavior: Behavior,
    *,
    methods: Sequence[Method] | None = None,
    split: str = "test",
    index: Sequence[int] | range | None = None,
    target: Explained | None = None,
    checks: Sequence[Checker] = CHECKS,
    seed: int = 0,
    chunk: int | None = None,
    lift: Callable[[Model], Graph] | None = None,
    retrain: Retrain | None = None,
    watch: Callable[[str], None] = lambda method: None,
) -> Scoreboard:
    """Try every method on a network, and every check on every method.

    Args:
        network, behavior, split, index, target, checks, seed, chunk, lift, retrain: as for `saliency` (8 rows).
        methods: which to try; None for all.
        watch: told the name of each method before its turn.

    Raises:
        InputError: rows or a target that do not exist.
    """
    rows = range(min(ROWS, len(behavior.split(split)))) if index is None else index
    scores = []
    for method in [make() for make in METHODS] if methods is None else methods:
        watch(method.name)
        try:
            found = saliency(
                network,
                behavior,
                method,
                split=split,
                index=rows,
                target=target,
                checks=checks,
                seed=seed,
                chunk=chunk,
                lift=lift,
                retrain=retrain,
            )
        except (UndefinedMethodError, NotDifferentiableError) as error:
            scores.append(Score(method.name, method.title, None, (), str(error)))
            continue
        scores.append(Score(method.name, method.title, found.status, found.checks))
    return Scoreboard(network.name, behavior.name, seed, tuple(scores))
