"""What a hunt finds: an artefact, the class it decides, and the flips that prove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from exegesis.evidence.intervals import clopper_pearson
from exegesis.explain.core import Arrays, Check, Consequence, Explanation
from exegesis.ir import InputError, Json

if TYPE_CHECKING:
    from exegesis.explain.figure import Picture

Own = TypeVar("Own", bound="Shortcut")
DECIDES = 0.5
"""An artefact decides a class where it turns, or its loss loses, at least half of the held-out inputs."""
BEYOND = 0.25
"""How far the lower bound of the flips has to lie above the largest null."""


@dataclass(frozen=True)
class Flips:
    """How many of so many held-out inputs changed their answer."""

    flipped: int
    of: int

    @property
    def rate(self) -> float:
        """Share, in [0, 1]; NaN where there were no inputs."""
        return self.flipped / self.of if self.of else float("nan")

    @property
    def lower(self) -> float:
        """The lower bound of the share, at 95 % confidence (Clopper–Pearson)."""
        return clopper_pearson(self.flipped, self.of)[0] if self.of else float("nan")

    def record(self) -> dict[str, Json]:
        """As JSON, with bounds."""
        bounds: list[Json] = list(clopper_pearson(self.flipped, self.of)) if self.of else []
        return {"flipped": self.flipped, "of": self.of, "rate": self.rate if self.of else None, "bounds": bounds}


def flip_checks(name: str, meaning: str, flips: Flips, nulls: Mapping[str, Flips]) -> tuple[Check, Check]:
    """The two tests of an insertion or a removal: it turns most inputs, and far more than changes of equal size.

    Args:
        name: `insertion` or `removal`.
        meaning: what was done.
        flips: what it did.
        nulls: what changes of equal size did.
    """
    withholds = Consequence.WITHHOLDS
    if not flips.of:
        reason = "there are no held-out inputs to try it on"
        return Check.undefined(name, meaning, reason), Check.undefined(f"{name} beyond null", meaning, reason)
    rates = {n: f.rate for n, f in nulls.items() if f.of}
    beyond = flips.lower - max(rates.values(), default=0.0)
    said = f"How far the lower bound of the flips ({flips.lower:.3f}) lies above the largest null."
    return (
        Check.at_least(name, meaning, flips.rate, DECIDES, withholds, rates),
        Check.at_least(f"{name} beyond null", said, beyond, BEYOND, withholds),
    )


def needed_check(flips: Flips, nulls: Mapping[str, Flips]) -> Check:
    """For information: an artefact that suffices need not be all that a network has for its class."""
    meaning = "Share of the class's own held-out inputs that leave it without the artefact; few where the rest "
    meaning += "suffices too."
    rates = {n: f.rate for n, f in nulls.items() if f.of}
    if not flips.of:
        return Check.undefined("needed", meaning, "no held-out input of the class has it", Consequence.INFORMS)
    return Check.at_least("needed", meaning, flips.rate, None, Consequence.INFORMS, rates)


@dataclass(frozen=True, eq=False)
class Shortcut(Explanation):
    """An artefact that decides a class whatever else the input shows; withheld where a test spoke against it.

    Attributes:
        details: `artefact` (trigger, region or colour), `class` (its label), `sentence`, `insertion`, `removal`
            (flips with bounds), `nulls`, and where it lies or which colour it is.
    """

    details: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        return str(self.details["sentence"])

    @property
    def label(self) -> str:
        """The class it decides."""
        return str(self.details["class"])

    @property
    def artefact(self) -> str:
        """`trigger`, `region` or `colour`."""
        return str(self.details["artefact"])

    def record(self) -> dict[str, Json]:
        """Everything but the arrays, as JSON."""
        return {**super().record(), "details": dict(self.details)}

    @classmethod
    def restore(cls: type[Own], record: Mapping[str, Any], raw: Arrays) -> Own:
        """The shortcut that a record and its arrays were made from. Raises InputError on anything else."""
        details = record.get("details")
        if not isinstance(details, dict) or not {"sentence", "class", "artefact"} <= details.keys():
            raise InputError("The record of this shortcut does not say what was found.")
        return replace(super().restore(record, raw), details=details)

    def figure(self, *, anyway: bool = False) -> Picture:
        """Held-out inputs with the artefact put in, and what the network says of each."""
        from exegesis.explain.shortcuts.pictures import shortcut_picture

        return shortcut_picture(self, anyway=anyway)
