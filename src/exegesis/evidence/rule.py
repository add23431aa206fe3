"""The rule by which a program holds, and what it says on given claims and figures."""

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from pydantic import Field

from exegesis.evidence.figures import Bits, Figures
from exegesis.evidence.records import Claim, Finite, Measurement, Record, Status, Text
from exegesis.ir import InputError

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


class Bound(Record):
    """How large a share must be.

    Attributes:
        at_least: the least value measured.
        lower_at_least: the least lower confidence bound.
    """

    at_least: _Share
    lower_at_least: _Share


class Substance(Record):
    """What makes a network worth explaining: either is enough, or an accuracy that is told apart from chance.

    Attributes:
        answer_bits: how much its answers depend on beyond the token at the position of each, in bits per answer.
        task_accuracy: how often it gives the task's own answer.
    """

    answer_bits: Bits
    task_accuracy: _Share


class VerdictRule(Record):
    """When a program holds; the verdict repeats the rule it was judged by.

    Attributes:
        agreement: one threshold per split that must have been measured.
        interchange: the joint interchange accuracy, which must also be told apart from its null; None asks for none.
        sufficiency: how often the answer survives every ablation of what the program does not use; None asks for none.
        necessity: how often the answer breaks where the program says so when what it uses is resampled, which must also
            be told apart from its null; None asks for none.
        substance: what the network's behaviour must be to be worth explaining: a constant answer, or one that a table
            over the tokens gives, is explained by any program that says the same; None asks for nothing.
        weakest_status: every claim about the behaviour must be supported at least this well.
        min_legible_share: the least legible share: what only repeats the network explains nothing, however true it is.
    """

    agreement: Annotated[tuple[Threshold, ...], Field(min_length=1)] = (
        Threshold(split="test", at_least=0.99, lower_at_least=0.97),
    )
    interchange: Bound | None = Bound(at_least=0.9, lower_at_least=0.85)
    sufficiency: Bound | None = Bound(at_least=0.95, lower_at_least=0.9)
    necessity: Bound | None = Bound(at_least=0.8, lower_at_least=0.7)
    substance: Substance | None = None
    weakest_status: Status = Status.TESTED
    min_legible_share: Finite = 0.1

    @classmethod
    def for_splits(cls, splits: Iterable[str]) -> "VerdictRule":
        """The default rule over the held-out splits a behaviour has: 0.99 on ``test``, 0.98 on any other but ``train``;
        and the network must do something: 0.05 bits per answer beyond a table of tokens, or 0.9 of its task.

        Raises:
            InputError: there is no held-out split.
        """
        held_out = [name for name in splits if name != "train"]
        if not held_out:
            raise InputError("A program is judged on inputs it was not made from, but no split besides train is there.")
        return cls(
            substance=Substance(answer_bits=0.05, task_accuracy=0.9),
            agreement=tuple(
                Threshold(split=name, at_least=0.99, lower_at_least=0.97)
                if name == "test"
                else Threshold(split=name, at_least=0.98, lower_at_least=0.9)
                for name in held_out
            ),
        )


class Finding(NamedTuple):
    """One condition of a rule: met, not met, or (None) not decided, and the sentence that says why."""

    met: bool | None
    sentence: str


def findings(claims: Iterable[Claim], figures: Figures, rule: VerdictRule) -> tuple[Finding, ...]:
    """Each condition of ``rule`` in turn. What was not measured, or not well enough to tell, is not decided."""
    claims = tuple(claims)
    found = [_agreement(figures.agreement.get(threshold.split), threshold) for threshold in rule.agreement]
    if rule.interchange is not None:
        found.append(_interchange(figures, rule.interchange))
    if rule.sufficiency is not None:
        found += _sufficiency(figures, rule.sufficiency)
    if rule.necessity is not None:
        found.append(_necessity(figures, rule.necessity))
    found.append(
        Finding(
            figures.legible_share >= rule.min_legible_share,
            f"the legible share is {figures.legible_share:.4f}, the rule asks for {rule.min_legible_share:g}",
        )
    )
    if rule.substance is not None:
        found.append(_worth(figures, rule.substance))
    deciding = [claim for claim in claims if claim.about == "behavior"]
    if not deciding:
        found.append(Finding(None, "nothing is claimed"))
    found += [_support(claim, rule.weakest_status) for claim in deciding]
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
    return _share(f"agreement on '{threshold.split}'", measured, threshold)


def _interchange(figures: Figures, bound: Bound) -> Finding:
    """A program that always says the same has no variables; that the network has none either, its ablation shows."""
    if figures.joint_interchange is None and figures.constant:
        return Finding(True, "the program says the same whatever it is given, so that it has no variable to exchange")
    return _share("the joint interchange accuracy", figures.joint_interchange, bound)


def _necessity(figures: Figures, bound: Bound) -> Finding:
    measured = figures.necessity.get("resample")
    if measured is None and figures.constant:
        return Finding(True, "the program says the same whatever it is given, so that it uses nothing that could break")
    what = "the share of answers that break as the program says when what it uses is resampled"
    return _share(what, measured, bound)


def _sufficiency(figures: Figures, bound: Bound) -> list[Finding]:
    """One finding per ablation. Where the program uses every part, there may be nothing to ablate."""
    if figures.parts_unused == 0 and not figures.sufficiency:
        return [Finding(True, "the program uses every part of the network, so that none is left to ablate")]
    if not figures.sufficiency:
        return [Finding(None, "what the program does not use was not ablated")]
    return [
        _share(f"the share of answers that survive when unused parts are ablated ({name})", measured, bound, null=False)
        for name, measured in figures.sufficiency.items()
    ]


def _share(what: str, measured: Measurement | None, bound: Bound | Threshold, *, null: bool = True) -> Finding:
    """Whether a share is large enough and, where `null` asks for it, told apart from what it is without the effect."""
    if measured is None:
        return Finding(None, f"{what} was not measured")
    if measured.value < bound.at_least:
        return Finding(False, f"{what} is {measured.value:.4f}, below {bound.at_least:g}")
    if measured.lower is None:
        return Finding(None, f"{what} is {measured.value:.4f}, without a confidence bound")
    if measured.lower < bound.lower_at_least:
        return Finding(
            None,
            f"{what} is {measured.value:.4f}, but its lower bound over {measured.n} cases is {measured.lower:.4f}, "
            f"below {bound.lower_at_least:g}",
        )
    if null and measured.null_value is not None and measured.lower <= measured.null_value:
        return Finding(None, f"{what} is not told apart from its null, {measured.null_value:.4f}")
    return Finding(True, f"{what} is {measured.value:.4f}, at least {bound.at_least:g}")


def _worth(figures: Figures, asked: Substance) -> Finding:
    """Whether the network does anything that a program could explain."""
    bits, accuracy = figures.answer_bits, figures.task_accuracy
    if bits is None:
        return Finding(None, "what the network's answers depend on was not measured")
    if bits >= asked.answer_bits:
        return Finding(True, f"beyond a table of tokens, the network's answers carry {bits:.2f} bits each")
    little = f"beyond a table of tokens, the network's answers carry {bits:.2f} bits each, below {asked.answer_bits:g}"
    if accuracy is None:
        return Finding(None, f"{little}, and nobody says what the task's answers are")
    if accuracy.value >= asked.task_accuracy:
        return Finding(True, f"the network does its task {accuracy.value:.4f} of the time")
    by_chance = accuracy.null_value is None or accuracy.lower is None or accuracy.lower <= accuracy.null_value
    if by_chance:
        return Finding(None, f"{little}, and are the task's own no more often than by chance ({accuracy.value:.4f})")
    return Finding(
        True, f"the network does its task {accuracy.value:.4f} of the time, by chance {accuracy.null_value:.4f}"
    )


def _support(claim: Claim, weakest: Status) -> Finding:
    if claim.status is Status.REFUTED:
        return Finding(False, f"refuted: {claim.statement}")
    if claim.status < weakest:
        why = f" Open, since {claim.missing}." if claim.missing else ""
        return Finding(None, f"{claim.status.value} only: {claim.statement}{why}")
    return Finding(True, f"{claim.status.value}: {claim.statement}")
