"""Selector idioms: what a head looks at. Each proposes selectors for one head; the cheapest that keeps the behaviour
wins.

An idiom is a function `(HeadView, Draft) -> list[str]` that drafts selector nodes and returns their ids. To add one:
write its file, put it in `SELECTORS`, test it against an independent reference. A *partition* proposes selectors that
look everywhere only together; they are offered as they are, since a head may mix them in any proportion.
"""

from collections.abc import Callable

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import HeadView
from exegesis.passes.raising.selectors.aside import asides
from exegesis.passes.raising.selectors.back import back
from exegesis.passes.raising.selectors.everywhere import everywhere
from exegesis.passes.raising.selectors.first import first
from exegesis.passes.raising.selectors.gated import gated
from exegesis.passes.raising.selectors.greatest import greatest
from exegesis.passes.raising.selectors.latest import latest
from exegesis.passes.raising.selectors.match import match
from exegesis.passes.raising.selectors.order import order
from exegesis.passes.raising.selectors.pairwise import pairwise
from exegesis.passes.raising.selectors.phase import phases
from exegesis.passes.raising.selectors.resting import resting
from exegesis.passes.raising.selectors.where import where

SelectorIdiom = Callable[[HeadView, Draft], list[str]]

SELECTORS: tuple[SelectorIdiom, ...] = (
    everywhere,
    back,
    first,
    gated,
    resting,
    match,
    order,
    greatest,
    where,
    latest,
    pairwise,
)

PARTITIONS: tuple[SelectorIdiom, ...] = (asides, phases)
