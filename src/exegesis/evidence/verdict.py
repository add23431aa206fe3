"""The verdict on one program: its claims, its figures, and whether they hold by a stated rule."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, model_validator

from exegesis.evidence.figures import TIMINGS, Figures
from exegesis.evidence.records import Claim, Finite, Record, Witness
from exegesis.evidence.rule import VerdictRule, findings, judge
from exegesis.evidence.table import Row, figure_rows
from exegesis.ir import InputError

SCHEMA: Final = 2
"""The version of ``verdict.json`` that this package writes and reads."""


class Verdict(Record):
    """All claims about one program, its figures, and whether they hold: the content of ``verdict.json``.

    Attributes:
        schema_version: written as ``schema``.
        holds: by :func:`judge` over the other fields, or None when not judged; anything else is refused.
        rule: the rule it was judged by.
        legible_share: the same as in the figures.
        claims, figures: what the verdict is about.
        witnesses: inputs that speak against program or network, the most surprising first.
        network: which network it was judged against: its name, and the start of the fingerprint of its weights.
        budget_seconds: how long the judge was given.
    """

    schema_version: Literal[2] = Field(default=SCHEMA, alias="schema")
    holds: bool | None
    rule: VerdictRule
    legible_share: Finite
    claims: tuple[Claim, ...]
    figures: Figures
    witnesses: tuple[Witness, ...] = ()
    network: str = ""
    budget_seconds: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None

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
    def of(
        cls,
        claims: Iterable[Claim],
        figures: Figures,
        rule: VerdictRule,
        *,
        witnesses: Iterable[Witness] = (),
        network: str = "",
        budget_seconds: float | None = None,
    ) -> "Verdict":
        """The verdict that ``rule`` gives on these claims and figures."""
        claims = tuple(claims)
        return cls(
            holds=judge(claims, figures, rule),
            rule=rule,
            legible_share=figures.legible_share,
            claims=claims,
            figures=figures,
            witnesses=tuple(witnesses),
            network=network,
            budget_seconds=budget_seconds,
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
        """The verdict as rows to print: whether it holds and why not, figures, claims, what speaks against it."""
        reasons, seconds = self._reasons(), self.figures.seconds_to_decide
        if self.holds is None and seconds is not None:
            reasons.append(f"if all goes as before, {seconds:.0f} s more of budget would decide what is open")
        rows = [Row("holds", _WORD[self.holds], "; ".join(reasons)), *figure_rows(self.figures)]
        rows += [Row(c.statement, c.status.value, f"on {c.domain}{_ABOUT[c.about]}") for c in self.claims]
        rows += [
            Row(w.cause, w.kind.replace("_", " "), f"{w.count} found, {w.surprise:.1f} bits") for w in self.witnesses
        ]
        return tuple(rows)

    def _reasons(self) -> list[str]:
        return [found.sentence for found in findings(self.claims, self.figures, self.rule) if found.met is not True]


_ABOUT = {
    "behavior": "",
    "beyond": "; does not decide, since nobody asks about these inputs",
    "network": "; does not decide, since it is about the network and its task",
}
_WORD = {True: "yes", False: "no", None: "not decided"}
