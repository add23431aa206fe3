"""Measurements and the claims they support."""

from enum import Enum
from functools import total_ordering
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from exegesis.evidence.intervals import clopper_pearson

Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class Record(BaseModel):
    """Base of everything written to a verdict: immutable, and closed to fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@total_ordering
class Status(Enum):
    """How well a claim is supported; ``PROVED > ATTACKED > TESTED > CONJECTURED > REFUTED``."""

    PROVED = "proved"
    """Checked on the whole domain, or by sound bounds."""
    ATTACKED = "attacked"
    """Survived an adversarial search of stated budget."""
    TESTED = "tested"
    """Held on a sample, with a confidence bound."""
    CONJECTURED = "conjectured"
    """Not checked."""
    REFUTED = "refuted"
    """Found false; the claim carries the witness."""

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Status):
            return NotImplemented
        return _STRENGTH.index(self) < _STRENGTH.index(other)


_STRENGTH = (Status.REFUTED, Status.CONJECTURED, Status.TESTED, Status.ATTACKED, Status.PROVED)


class Measurement(Record):
    """One number, over how many cases it was taken, and how far it can be trusted.

    Attributes:
        metric: what was measured, in words, with its unit if it has one.
        value: the number itself.
        n: the number of independent cases behind it, at least 1: a check that could not run leaves no measurement.
        lower, upper: confidence bounds, both or neither, around ``value``.
        confidence: the level of the bounds, given exactly when they are.
        null_value: the same metric where the effect is absent by construction (shuffled, random, constant).
        seed: of the sample, where one was drawn.
        note: what a reader must know to use the number.
    """

    metric: Text
    value: Finite
    n: Annotated[int, Field(ge=1)]
    lower: Finite | None = None
    upper: Finite | None = None
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    null_value: Finite | None = None
    seed: int | None = None
    note: str = ""

    @model_validator(mode="after")
    def _bounds_enclose_the_value(self) -> "Measurement":
        given = [bound is not None for bound in (self.lower, self.upper, self.confidence)]
        if any(given) != all(given):
            raise ValueError("lower, upper and confidence are given together or not at all")
        if self.lower is not None and self.upper is not None and not self.lower <= self.value <= self.upper:
            raise ValueError(f"the value {self.value} lies outside its bounds [{self.lower}, {self.upper}]")
        return self

    @classmethod
    def proportion(
        cls,
        metric: str,
        successes: int,
        n: int,
        *,
        confidence: float = 0.95,
        null_value: float | None = None,
        seed: int | None = None,
        note: str = "",
    ) -> "Measurement":
        """``successes`` out of ``n`` independent trials, with exact bounds (:func:`clopper_pearson`)."""
        lower, upper = clopper_pearson(successes, n, confidence)
        return cls(
            metric=metric,
            value=successes / n,
            n=n,
            lower=lower,
            upper=upper,
            confidence=confidence,
            null_value=null_value,
            seed=seed,
            note=note,
        )


class Claim(Record):
    """A statement about a network that could turn out false.

    Attributes:
        statement: what is said to hold, one sentence.
        domain: the inputs it is said to hold on.
        status: how well it is supported. Whatever was checked shows its evidence; what is refuted shows a witness.
        evidence: the measurements behind the status.
        witness: the input (or pair of inputs) that refutes it, as JSON.
        seed: of the search or sample behind the status.
        about: ``behavior``: the program on inputs that the behaviour asks about; only these claims decide whether it
            holds. ``beyond``: the program on other inputs. ``network``: the network and its task.
        missing: why a claim that is only conjectured is open, and what would decide it; empty where nobody knows.
    """

    statement: Text
    domain: Text
    status: Status
    evidence: tuple[Measurement, ...] = ()
    witness: JsonValue = None
    seed: int | None = None
    about: Literal["behavior", "beyond", "network"] = "behavior"
    missing: str = ""

    @model_validator(mode="after")
    def _status_is_supported(self) -> "Claim":
        if self.status >= Status.TESTED and not self.evidence:
            raise ValueError(f"a claim is '{self.status.value}' only with a measurement as evidence")
        if self.status is Status.REFUTED and self.witness is None:
            raise ValueError("a refuted claim shows the witness that refutes it")
        if self.status is not Status.REFUTED and self.witness is not None:
            raise ValueError(f"a claim with a witness against it is 'refuted', not '{self.status.value}'")
        if self.missing and self.status is not Status.CONJECTURED:
            raise ValueError(f"a claim that is '{self.status.value}' is not open, but it says what is missing")
        return self


class Witness(Record):
    """Inputs that speak against the program or the network, one of them shown whole.

    Attributes:
        kind: ``differs``: program and network say different things. ``leaves_task``: the network does not give the
            answer that the data expect. ``blind_spot``: positions that the network does not look at.
        cause: what the inputs of the group have in common, one sentence.
        input_ids, position_ids: the smallest input of the group that was found.
        positions: the positions that matter for it: those changed since an input without the fault, or the blind ones.
        program, network, expected: what each says there, where it says anything.
        count: how many inputs of the group were found.
        surprise: in bits, how unlikely the fault would be if this input were like the others; the list is sorted by it.
        asked: whether the behaviour asks about such inputs.
    """

    kind: Literal["differs", "leaves_task", "blind_spot"]
    cause: Text
    input_ids: tuple[int, ...]
    position_ids: tuple[int, ...] | None = None
    positions: tuple[int, ...] = ()
    program: JsonValue = None
    network: JsonValue = None
    expected: JsonValue = None
    count: Annotated[int, Field(ge=1)] = 1
    surprise: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    asked: bool = True
