"""What is said of modules and layers in a program: one card each, and sentences made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from exegesis.ir import Json
from exegesis.measure.lesions import Effects
from exegesis.measure.modularity.names import Name
from exegesis.measure.modularity.roles import Module, Role
from exegesis.measure.units import Layer
from exegesis.passes.grouping.telling import Telling

Shares = tuple[tuple[str, float], ...]
_LEAST = 0.05  # of a class; a smaller loss is not mentioned
_ROWS = 4  # classes that are listed apart


@dataclass(frozen=True, eq=False)
class InNetwork:
    """The units of a module in the network itself.

    Attributes:
        lost: share of answers lost by class when they are silenced there.
        same_when_swapped: how often program and network agree when the units have another input's values in both.
    """

    lost: Float[np.ndarray, " classes"]
    same_when_swapped: float


@dataclass(frozen=True, eq=False)
class Card:
    """What is known of one module.

    Attributes:
        slug: the end of its functions' names.
        title: what people call it: `for 3, 5`, or `module 2` where no name held.
        units: how many hidden units it has, by layer number.
        lost, random_lost: share of answers lost without it by class, and what random modules of equal size cost on
            average; None where none of its units is ever active.
        importance, random_importance, p: the same over all inputs, and how often random modules cost as much.
        driven_by: the class that drives it most, the area under the curve, and that of random modules.
        why: why it has its name, or none.
        labels: of the classes.
        there: the same units in the network itself; None where these are not known.
        reads, feeds: which modules most of what reaches it comes from, and most of what leaves it goes to.
        answers: the outputs that get most of what it gives, with shares.
        strength: by layer number, how much each unit of the layer matters.
        concept: what else it tells, beside classes; empty where nothing passed its null.
    """

    slug: str
    title: str
    units: Mapping[int, int]
    lost: Float[np.ndarray, " classes"] | None
    random_lost: Float[np.ndarray, " classes"] | None
    importance: float
    random_importance: float
    p: float
    driven_by: tuple[str, float, float] | None
    why: str
    labels: tuple[str, ...]
    there: InNetwork | None = None
    reads: Shares = ()
    feeds: Shares = ()
    answers: Shares = ()
    strength: Mapping[int, Float[np.ndarray, " u"]] = field(default_factory=dict)
    concept: str = ""

    @classmethod
    def of(
        cls, module: Module, role: Role | None, name: Name | None, labels: tuple[str, ...], taken: Sequence[str]
    ) -> Card:
        """A card that has no name which another one has."""
        called = None if name is None else name.name
        wanted = slug([labels[c] for c in name.classes]) if name is not None and called else slug([module.name])
        free = wanted if wanted not in taken else f"{wanted}_{slug([module.name])}"
        with np.errstate(invalid="ignore"):
            usual = None if role is None else np.nan_to_num(role.random_lost.mean(0))
        return cls(
            slug=free,
            title=called or module.name,
            units={k: len(u) for k, u in module.hidden.items()},
            lost=None if role is None else role.lost,
            random_lost=usual,
            importance=0.0 if role is None else role.importance,
            random_importance=0.0 if role is None else role.random_importance,
            p=1.0 if role is None else role.importance_p,
            driven_by=None if name is None else (labels[name.driven_by], name.auc, name.auc_random),
            why="none of its units is ever active" if name is None else name.why,
            labels=labels,
        )

    def record(self, functions: Sequence[str], pictures: Json) -> Json:
        """As JSON, with the names of its functions and the pictures that belong to it."""

        def by_class(values: Float[np.ndarray, " classes"] | None) -> Json:
            return None if values is None else [None if np.isnan(v) else round(float(v), 4) for v in values]

        return {
            "name": self.title,
            "slug": self.slug,
            "functions": list(functions),
            "doc": self.says(),
            "labels": list(self.labels),
            "lost": by_class(self.lost),
            "random_lost": by_class(self.random_lost),
            "lost_in_network": by_class(None if self.there is None else self.there.lost),
            "pictures": pictures,
        }

    def says(self) -> str:
        """What is known of it: a table of what its loss costs, and a sentence or two."""
        return "\n\n".join(
            s
            for s in (
                self._loss(),
                " ".join(s for s in (self._drive(), self.concept, self._ties(), self._swaps()) if s),
            )
            if s
        )

    def _loss(self) -> str:
        if self.lost is None or self.random_lost is None:
            return "None of its units is ever active."
        lost = np.nan_to_num(self.lost)
        hit = [c for c in np.argsort(-lost, kind="stable") if lost[c] >= _LEAST][:_ROWS]
        named = [self.labels[c] for c in hit]
        rest = [c for c in range(len(lost)) if c not in hit and not np.isnan(self.lost[c])]
        rows = [[c] for c in hit] + ([rest] if rest else [])
        columns = [("here", lost), ("random units", self.random_lost)]
        if self.there is not None:
            columns.insert(1, ("in the network", np.nan_to_num(self.there.lost)))
        width = max(map(len, [*named, "all others" if hit else "all answers"]))
        head = f"Answers lost without it:{' ' * max(0, width - 20)}" + "".join(f"  {name}" for name, _ in columns)
        lines = [head]
        for label, classes in zip([*named, "all others" if hit else "all answers"], rows, strict=False):
            cells = "".join(f"  {_percent(v[classes].mean()):>{len(name)}}" for name, v in columns)
            lines.append(f"    {label:<{max(width, 20)}}{cells}")
        return "\n".join(lines)

    def _drive(self) -> str:
        if self.driven_by is None:
            return ""
        name, auc, usual = self.driven_by
        return f"Most active where the answer is {name} (area under the curve {auc:.2f}, random units {usual:.2f})."

    def _swaps(self) -> str:
        if self.there is None:
            return ""
        share = _percent(self.there.same_when_swapped)
        return f"Given another input's values here and in the network, both say the same in {share}."

    def _ties(self) -> str:
        said = []
        if self.reads:
            said.append(f"What reaches it comes from {_shares(self.reads)}.")
        if self.answers:
            said.append(f"It decides on {_shares(self.answers)}.")
        elif self.feeds:
            said.append(f"It feeds {_shares(self.feeds)}.")
        return " ".join(said)


def part_doc(card: Card, layer: int) -> str:
    """What the function of a module in one layer says: all that is known in its last layer, a line elsewhere."""
    count = card.units[layer]
    said = f"Module {_quoted(card.title)}: {count} unit{'s' if count > 1 else ''} of layer {layer + 1}."
    return f"{said}\n\n{card.says()}" if layer == max(card.units) else said


def layer_doc(
    layer: Layer, lost: Effects, chosen: Int[np.ndarray, " c"], labels: Sequence[str], told: Telling | None = None
) -> str:
    """What single units of a layer cost, and which concept one of them tells."""
    what = "channel" if layer.kind == "conv" else "unit"
    order = np.argsort(-lost.lost, kind="stable")[:4]
    said = []
    for i in order:
        if lost.lost[i] < 0.01:
            continue
        classes = np.nan_to_num(1 - lost.by_class[i])
        worst = [
            labels[c] for c in np.argsort(-classes, kind="stable")[:2] if classes[c] >= max(_LEAST, classes.max() / 2)
        ]
        hit = f", mostly {_listed(worst)}" if worst else ""
        said.append(f"{what} {chosen[i]} costs {_percent(lost.lost[i])} of the answers{hit}")
    some = f" of the {len(chosen)} that vary most" if len(chosen) < layer.units else ""
    concept = "" if told is None else f" {told.says(f'{what} {chosen[told.unit]}')}"
    if not said:
        return f"{layer.units} {what}s. Silencing any one{some} changes fewer than 1 % of the answers.{concept}"
    return f"{layer.units} {what}s. Silenced alone, {'; '.join(said)}.{concept}"


def slug(labels: Sequence[str]) -> str:
    """Labels as the end of an identifier: `3_and_5`."""
    return "_and_".join(re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_") or "other" for text in labels)


def _quoted(title: str) -> str:
    return f"“{title}”" if not title.startswith("module ") else title.removeprefix("module ")


def _percent(share: float) -> str:
    return f"{100 * float(share):.0f} %"


def _shares(shares: Shares) -> str:
    return _listed([f"{name} ({_percent(s)})" for name, s in shares])


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
