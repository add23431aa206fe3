"""The verdict on one program: its claims, its figures, and whether they hold by a stated rule."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from exegesis.evidence.figures import TIMINGS, Figures
from exegesis.evidence.records import Claim, Finite, Measurement, Record, Status, Text
from exegesis.ir import InputError

SCHEMA: Final = 1
"""The version of ``verdict.json`` that this package writes and reads."""

_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Threshold(Record):
    """How often program and network must agree on one split.

    Attributes:
        split: the name of the split.
        at_least: the least agreement measured on it.
        lower_at_least: the least lower confidence bound, which a split of few examples cannot reach.
    """

    split: Text
    at_least: _Share
    lower_at_least: _Share


class VerdictRule(Record):
    """When a program holds; the verdict repeats the rule it was judged by.

    Attributes:
        agreement: one threshold per split that must have been measured.
        weakest_status: every claim must be supported at least this well.
        min_legible_share: the least legible share; 0 judges a program by its truth alone.
    """

    agreement: Annotated[tuple[Threshold, ...], Field(min_length=1)] = (
        Threshold(split="test", at_least=0.99, lower_at_least=0.97),
    )
    weakest_status: Status = Status.TESTED
    min_legible_share: Finite = 0.0

    @classmethod
    def for_splits(cls, splits: Iterable[str]) -> "VerdictRule":
        """The default rule over the held-out splits a behaviour has: 0.99 on ``test``, 0.98 on any other but ``train``.

        Raises:
            InputError: there is no held-out split.
        """
        held_out = [name for name in splits if name != "train"]
        if not held_out:
            raise InputError("A program is judged on inputs it was not made from, but no split besides train is there.")
        return cls(
            agreement=tuple(
                Threshold(split=name, at_least=0.99, lower_at_least=0.97)
                if name == "test"
                else Threshold(split=name, at_least=0.98, lower_at_least=0.95)
                for name in held_out
            )
        )


class Finding(NamedTuple):
    """One condition of a rule: met, not met, or (None) not decided, and the sentence that says why."""

    met: bool | None
    sentence: str


def findings(claims: Iterable[Claim], figures: Figures, rule: VerdictRule) -> tuple[Finding, ...]:
    """Each condition of ``rule`` in turn. What was not measured, or not well enough to tell, is not decided."""
    claims = tuple(claims)
    found = [_agreement(figures.agreement.get(threshold.split), threshold) for threshold in rule.agreement]
    found.append(
        Finding(
            figures.legible_share >= rule.min_legible_share,
            f"the legible share is {figures.legible_share:.4f}, the rule asks for {rule.min_legible_share:g}",
        )
    )
    if not claims:
        found.append(Finding(None, "nothing is claimed"))
    found += [_support(claim, rule.weakest_status) for claim in claims]
    return tuple(found)


def judge(claims: Iterable[Claim], figures: Figures, rule: VerdictRule) -> bool | None:
    """Whether a program holds by ``rule``.

    False when any condition is not met; otherwise None when any condition could not be decided (a check that did not
    run, a sample too small for its bound); True only when every condition was decided and met.
    """
    met = [finding.met for finding in findings(claims, figures, rule)]
    if False in met:
        return False
    return None if None in met else True


def _agreement(measured: Measurement | None, threshold: Threshold) -> Finding:
    where = f"agreement on '{threshold.split}'"
    if measured is None:
        return Finding(None, f"{where} was not measured")
    if measured.value < threshold.at_least:
        return Finding(False, f"{where} is {measured.value:.4f}, below {threshold.at_least:g}")
    if measured.lower is None:
        return Finding(None, f"{where} is {measured.value:.4f}, without a confidence bound")
    if measured.lower < threshold.lower_at_least:
        return Finding(
            None,
            f"{where} is {measured.value:.4f}, but its lower bound over {measured.n} cases is {measured.lower:.4f}, "
            f"below {threshold.lower_at_least:g}",
        )
    if measured.null_value is not None and measured.lower <= measured.null_value:
        return Finding(None, f"{where} is not told apart from its null, {measured.null_value:.4f}")
    return Finding(True, f"{where} is {measured.value:.4f}, at least {threshold.at_least:g}")


def _support(claim: Claim, weakest: Status) -> Finding:
    if claim.status is Status.REFUTED:
        return Finding(False, f"refuted: {claim.statement}")
    if claim.status < weakest:
        return Finding(None, f"{claim.status.value} only: {claim.statement}")
    return Finding(True, f"{claim.status.value}: {claim.statement}")


class Row(NamedTuple):
    """One line of a verdict for a person."""

    what: str
    figure: str
    detail: str


class Verdict(Record):
    """All claims about one program, its figures, and whether they hold: the content of ``verdict.json``.

    Attributes:
        schema_version: written as ``schema``.
        holds: by :func:`judge` over the other fields, or None when not judged; anything else is refused.
        rule: the rule it was judged by.
        legible_share: the same as in the figures.
        claims, figures: what the verdict is about.
    """

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")
    holds: bool | None
    rule: VerdictRule
    legible_share: Finite
    claims: tuple[Claim, ...]
    figures: Figures

    @model_validator(mode="after")
    def _follows_from_its_parts(self) -> "Verdict":
        if self.legible_share != self.figures.legible_share:
            raise ValueError(
                f"legible_share is {self.legible_share} in the verdict and {self.figures.legible_share} in its figures"
            )
        judged = judge(self.claims, self.figures, self.rule)
        if self.holds is not None and self.holds != judged:
            raise ValueError(f"holds is {self.holds}, but by the rule in the verdict it is {judged}")
        return self

    @classmethod
    def of(cls, claims: Iterable[Claim], figures: Figures, rule: VerdictRule) -> "Verdict":
        """The verdict that ``rule`` gives on these claims and figures."""
        claims = tuple(claims)
        return cls(
            holds=judge(claims, figures, rule),
            rule=rule,
            legible_share=figures.legible_share,
            claims=claims,
            figures=figures,
        )

    def to_json(self, *, timings: bool = True) -> str:
        """The verdict as JSON text; equal verdicts give equal bytes.

        Args:
            timings: False leaves out wall time and peak memory, all that differs between two runs of one seed.
        """
        record = self.model_dump(mode="json", by_alias=True)
        if not timings:
            record["figures"] = {name: figure for name, figure in record["figures"].items() if name not in TIMINGS}
        return json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = "the verdict") -> "Verdict":
        """Reads what :meth:`to_json` wrote.

        Args:
            text: the JSON text.
            source: how an error calls it, usually the file's path.

        Raises:
            InputError: the text is not JSON, has another schema version, or does not follow from its parts.
        """
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{source} is not valid JSON: {error}.") from error
        if not isinstance(record, Mapping) or "schema" not in record:
            raise InputError(f"{source} has no schema version, so it is not a verdict.")
        if record["schema"] != SCHEMA or isinstance(record["schema"], bool):
            raise InputError(
                f"{source} has schema version {record['schema']!r}, but this version of exegesis reads only {SCHEMA}."
            )
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise InputError(f"{source} is not a valid verdict: {where}: {first['msg']}.") from error

    def table(self) -> tuple[Row, ...]:
        """The verdict as rows to print: whether it holds, agreement, sizes, then each claim."""
        figures = self.figures
        rows = [Row("holds", _WORD[self.holds], "; ".join(self._reasons()))]
        for name, measured in sorted(figures.agreement.items()):
            rows.append(Row(f"agreement, {name}", f"{measured.value:.4f}", _bounds(measured)))
        for name, measured in sorted(figures.sequences_exact.items()):
            rows.append(Row(f"inputs without any difference, {name}", f"{measured.value:.4f}", _bounds(measured)))
        sizes = f"{figures.opaque_bits:.0f} of {figures.lifted_bits:.0f} bits are opaque"
        numbers = f"{figures.numbers_in_code} numbers in the code, {figures.numbers_in_tensors} in tensors"
        rows.append(Row("legible share", f"{self.legible_share:.4f}", sizes))
        rows.append(Row("lines of code", str(figures.code_lines), numbers))
        if figures.seconds is not None:
            memory = "" if figures.peak_memory_mb is None else f"{figures.peak_memory_mb:.0f} MiB at most"
            rows.append(Row("seconds", f"{figures.seconds:.1f}", memory))
        rows += [Row(claim.statement, claim.status.value, f"on {claim.domain}") for claim in self.claims]
        return tuple(rows)

    def _reasons(self) -> list[str]:
        return [found.sentence for found in findings(self.claims, self.figures, self.rule) if found.met is not True]


_WORD = {True: "yes", False: "no", None: "not decided"}


def _bounds(measured: Measurement) -> str:
    detail = f"n = {measured.n}"
    if measured.lower is not None and measured.upper is not None and measured.confidence is not None:
        detail = f"[{measured.lower:.4f}, {measured.upper:.4f}] at {measured.confidence:.0%}, {detail}"
    if measured.null_value is not None:
        detail += f", null {measured.null_value:.4f}"
    return detail
