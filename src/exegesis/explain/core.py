"""What every explanation is: arrays, the checks that could have refuted it, and where it came from.

An explanation whose check fails is *withheld* (its arrays are refused until somebody asks for `raw`) or *marked* (drawn
and printed with the failure beside it). Nothing is shown as if it held when no check ran.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from exegesis.explain.figure import Picture, sentence_picture
from exegesis.ir import ExegesisError, InputError, Json
from exegesis.ir.files import write_bytes, write_text
from exegesis.store.files import read_json_object, read_tensors, tensor_bytes

Arrays = Mapping[str, NDArray[Any]]
Own = TypeVar("Own", bound="Explanation")  # typing.Self is nothing that a checker at run time can read in a method
FORMAT, SCHEMA = "exegesis explanation", 1
JSON_FILE, ARRAY_FILE = "explanation.json", "arrays.safetensors"


class WithheldError(ExegesisError):
    """An explanation was asked for whose check failed."""


class Status(StrEnum):
    """What may be done with an explanation."""

    SHOWN = "shown"
    MARKED = "marked"
    WITHHELD = "withheld"


class Bound(StrEnum):
    """On which side of its threshold a value passes; equality passes."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


class Consequence(StrEnum):
    """What follows when a check fails."""

    WITHHOLDS = "withholds"
    MARKS = "marks"
    INFORMS = "informs"


@dataclass(frozen=True)
class Check:
    """A test that an explanation could have failed.

    Make one with `at_most`, `at_least` or `undefined`.

    Args:
        name: a short name, e.g. `completeness`.
        meaning: one sentence: what is measured, and what a failure says.
        value: what was measured; None where that is undefined.
        threshold: what it was held against; None where nothing was (the check then informs).
        bound: on which side of the threshold it passes.
        consequence: what follows when it fails.
        nulls: the same figure for explanations that know nothing, by name (`random`, `edges` …).
        reason: why the value is undefined; empty where it is not.
    """

    name: str
    meaning: str
    value: float | None
    threshold: float | None
    bound: Bound = Bound.AT_MOST
    consequence: Consequence = Consequence.MARKS
    nulls: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nulls", MappingProxyType(dict(self.nulls)))
        if (self.value is None) == (not self.reason):
            raise ValueError(f"Check {self.name} needs either a value or the reason why it has none.")
        numbers = {"its value": self.value, "its threshold": self.threshold, **self.nulls}
        for what, number in numbers.items():
            if number is not None and not math.isfinite(number):
                raise ValueError(f"Check {self.name}: {what} is {number}; what cannot be measured is undefined.")

    @classmethod
    def at_most(
        cls,
        name: str,
        meaning: str,
        value: float,
        threshold: float | None,
        consequence: Consequence = Consequence.MARKS,
        nulls: Mapping[str, float] | None = None,
    ) -> Check:
        """A check that passes where value <= threshold. A value that is NaN makes it undefined."""
        return cls._made(name, meaning, value, threshold, Bound.AT_MOST, consequence, nulls)

    @classmethod
    def at_least(
        cls,
        name: str,
        meaning: str,
        value: float,
        threshold: float | None,
        consequence: Consequence = Consequence.MARKS,
        nulls: Mapping[str, float] | None = None,
    ) -> Check:
        """A check that passes where value >= threshold. A value that is NaN makes it undefined."""
        return cls._made(name, meaning, value, threshold, Bound.AT_LEAST, consequence, nulls)

    @classmethod
    def undefined(cls, name: str, meaning: str, reason: str, consequence: Consequence = Consequence.MARKS) -> Check:
        """A check that could not be made, and why."""
        return cls(name, meaning, None, None, Bound.AT_MOST, consequence, {}, reason)

    @classmethod
    def _made(
        cls,
        name: str,
        meaning: str,
        value: float,
        threshold: float | None,
        bound: Bound,
        consequence: Consequence,
        nulls: Mapping[str, float] | None,
    ) -> Check:
        if not math.isfinite(value):
            return cls.undefined(name, meaning, f"what was measured is {value}", consequence)
        known = {key: float(null) for key, null in (nulls or {}).items() if math.isfinite(null)}
        return cls(name, meaning, float(value), threshold, bound, consequence, known)

    @property
    def passed(self) -> bool | None:
        """Whether it passes; None where it is undefined or has no threshold."""
        if self.value is None or self.threshold is None:
            return None
        return self.value <= self.threshold if self.bound is Bound.AT_MOST else self.value >= self.threshold

    def sentence(self) -> str:
        """One line for people."""
        if self.value is None:
            return f"{self.name}: undefined, since {self.reason}"
        nulls = ", ".join(f"{name} {value:.3g}" for name, value in self.nulls.items())
        failed = "not met, which informs" if self.consequence is Consequence.INFORMS else "FAILED"
        said = {True: "passed", False: failed, None: "for information"}[self.passed]
        asked = "" if self.threshold is None else f" ({self.bound.value} {self.threshold:.3g})"
        return f"{self.name}: {self.value:.3g}{asked}, {said}" + (f"; nulls: {nulls}" if nulls else "")

    def record(self) -> dict[str, Json]:
        """As JSON, with what follows from it."""
        return {**_fields(self), "nulls": dict(self.nulls), "passed": self.passed}

    @classmethod
    def restore(cls, record: Mapping[str, Json]) -> Check:
        """The check that a record was made from. Raises InputError where the record says what does not follow."""
        given = dict(record)
        claimed = given.pop("passed", None)
        try:
            check = cls(**{**given, "bound": Bound(given["bound"]), "consequence": Consequence(given["consequence"])})
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"A check in the record makes no sense: {error}.") from None
        if claimed != check.passed:
            raise InputError(
                f"The record says that check {check.name} passed: {claimed}, but its numbers say otherwise."
            )
        return check


@dataclass(frozen=True)
class Provenance:
    """Where an explanation came from: enough to make it again.

    Args:
        method: the method's name.
        parameters: its settings, as JSON.
        seed: of everything that was drawn.
        chunk: how many rows went through the network at a time; None where that had no meaning. Sums are rounded in
            another order under another chunk, so the same bytes need the same chunk.
        network: the network's name.
        fingerprint: SHA-256 of its weights.
        behavior: the behaviour's name; empty where there was none.
    """

    method: str
    parameters: Mapping[str, Json]
    seed: int
    chunk: int | None
    network: str
    fingerprint: str
    behavior: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def record(self) -> dict[str, Json]:
        """As JSON."""
        return {**_fields(self), "parameters": dict(self.parameters)}


def _fields(record: Check | Provenance) -> dict[str, Json]:
    """The fields by name. Not `dataclasses.asdict`, which copies values, and a read-only mapping cannot be copied."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Arrays with the checks that could have refuted them.

    Args:
        kind: what it is (`saliency`, `features`, `examples` …).
        raw: arrays by name, whatever the checks say; subclasses give names and shapes.
        checks: every check that ran, those that could not be made included.
        provenance: where it came from.
        undefined: rows for which the method is undefined, each with the reason; their values are NaN.
        notes: sentences that belong beside the result, such as what the method is known to get wrong.
        names: what `outputs`, `features` and `tokens` are called, where they have names: pictures say them.
    """

    kind: str
    raw: Arrays
    checks: tuple[Check, ...]
    provenance: Provenance
    undefined: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen = {}
        for name, array in self.raw.items():
            view = np.asarray(array).view()
            view.flags.writeable = False
            frozen[name] = view
        object.__setattr__(self, "raw", MappingProxyType(frozen))
        object.__setattr__(self, "undefined", MappingProxyType(dict(self.undefined)))
        object.__setattr__(self, "names", MappingProxyType({key: tuple(own) for key, own in self.names.items()}))

    def name_of(self, kind: str, number: int) -> str:
        """What an output, a feature or a token is called; its number where it has no name (`x3` for features)."""
        known = self.names.get(kind, ())
        if 0 <= number < len(known):
            return known[number]
        return f"x{number}" if kind == "features" else str(number)

    @property
    def status(self) -> Status:
        """Withheld where a check that withholds failed; marked where another did, or where no deciding one passed."""
        deciding = [c for c in self.checks if c.consequence is not Consequence.INFORMS]
        failed = [c for c in deciding if c.passed is False]
        if any(c.consequence is Consequence.WITHHOLDS for c in failed):
            return Status.WITHHELD
        return Status.MARKED if failed or not any(c.passed for c in deciding) else Status.SHOWN

    @property
    def why(self) -> str:
        """One sentence on the status."""
        failed = [c for c in self.checks if c.passed is False and c.consequence is not Consequence.INFORMS]
        if failed:
            return f"{self.status.value.capitalize()}: " + "; ".join(c.sentence() for c in failed) + "."
        if self.status is Status.MARKED:
            return "Marked: no check that could have refuted this was made."
        return "Shown: every deciding check that could be made was passed."

    @property
    def arrays(self) -> Arrays:
        """The arrays by name.

        Raises:
            WithheldError: the explanation is withheld; `raw` holds them all the same.
        """
        if self.status is Status.WITHHELD:
            raise WithheldError(f"{self.provenance.method} on {self.provenance.network}: {self.why}")
        return self.raw

    def record(self) -> dict[str, Json]:
        """Everything but the arrays, as JSON."""
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "kind": self.kind,
            "status": self.status.value,
            "checks": [check.record() for check in self.checks],
            "provenance": self.provenance.record(),
            "undefined": {str(row): reason for row, reason in self.undefined.items()},
            "notes": list(self.notes),
            **({"names": {key: list(own) for key, own in self.names.items()}} if self.names else {}),
        }

    def to_json(self) -> str:
        """`record` as text; equal explanations give equal bytes."""
        return json.dumps(self.record(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, folder: str | Path) -> Path:
        """Write `explanation.json` and `arrays.safetensors` into a folder, made where missing; the former's path.

        Each appears whole or not at all, the JSON last. Raises InputError where the folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot write into {folder}: {error.strerror or error}.") from error
        write_bytes(folder / ARRAY_FILE, tensor_bytes(self.raw))
        write_text(folder / JSON_FILE, self.to_json())
        return folder / JSON_FILE

    @classmethod
    def open(cls: type[Own], folder: str | Path) -> Own:
        """What `save` wrote. Raises InputError where it is missing, damaged, or contradicts itself."""
        folder = Path(folder)
        return cls.restore(read_json_object(folder / JSON_FILE), read_tensors(folder / ARRAY_FILE))

    @classmethod
    def restore(cls: type[Own], record: Mapping[str, Any], raw: Arrays) -> Own:
        """The explanation that a record and its arrays were made from. Raises InputError on anything else."""
        if record.get("format") != FORMAT or record.get("schema") != SCHEMA:
            raise InputError(f"This is no explanation of schema {SCHEMA}.")
        try:
            made = cls(
                kind=record["kind"],
                raw=raw,
                checks=tuple(Check.restore(check) for check in record["checks"]),
                provenance=Provenance(**record["provenance"]),
                undefined={int(row): reason for row, reason in record["undefined"].items()},
                notes=tuple(record["notes"]),
                names={key: tuple(own) for key, own in record.get("names", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"The record of this explanation is malformed: {error}.") from None
        if made.status.value != record.get("status"):
            raise InputError(f"The record says {record.get('status')}, but its checks say {made.status.value}.")
        return made

    def figure(self, *, anyway: bool = False) -> Picture:
        """A picture of it; of one that is withheld, the reason, unless it is wanted `anyway`.

        Kinds that have no picture of their own give their checks in words.
        """
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return sentence_picture(f"{self.kind}. {self.why} " + " · ".join(check.sentence() for check in self.checks))

    def _repr_html_(self) -> str:
        return self.figure()._repr_html_()
