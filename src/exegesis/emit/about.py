"""What a program says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exegesis.behavior import Argmax, Behavior, Readout, Sign
from exegesis.emit.docstrings import percent, sentence
from exegesis.evidence import Measurement, Verdict


@dataclass(frozen=True)
class About:
    """What the docstrings of a program say.

    Attributes:
        name: what the program is called.
        network: what it comes from, or nothing.
        behavior: a sentence or two on what the network does, and how its outputs are read.
        checked: paragraphs on how well the program was checked, for the module; one with line breaks keeps them.
        evidence: by variable (the name or id of its node), a sentence on how well it was checked.
    """

    name: str
    network: str = ""
    behavior: str = ""
    checked: tuple[str, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """One line: what the program is and where it comes from."""
        return sentence(self.name) if not self.network else f"{self.name}, decompiled from {self.network}."

    @classmethod
    def of(cls, behavior: Behavior, network: str, verdict: Verdict | None = None) -> About:
        """What is known of a program before it is judged (no verdict) and after.

        Args:
            behavior: what the program is to explain.
            network: what the network is, e.g. `GPT2LMHeadModel with 1 layer`.
            verdict: its figures enter, but nothing that differs between two runs of one seed.
        """
        named = _plain(behavior.task) in ("", _plain(behavior.name))
        task = "" if named else f"{sentence(behavior.task)} "
        checked = ("Not checked against the network.",) if verdict is None else _checks(verdict)
        return cls(
            behavior.name,
            network,
            f"{task}{reading(behavior.readout)}",
            checked,
            {} if verdict is None else _swaps(verdict),
        )


def reading(readout: Readout) -> str:
    """How outputs become answers, as a sentence."""
    if isinstance(readout, Argmax):
        among = "" if readout.outputs is None else f" among {len(readout.outputs)}"
        return f"The answer is the output with the largest logit{among}."
    if isinstance(readout, Sign):
        return "The answer is the set of outputs with a positive logit."
    return f"The answer is the network's value, within {readout.tolerance:g}."


def _checks(verdict: Verdict) -> tuple[str, ...]:
    figures = verdict.figures
    legible = f"Legible share: {percent(verdict.legible_share)}."
    if figures.opaque_bits != figures.unread_bits:
        legible += f" Rounded, all of it is {percent(figures.opaque_bits / figures.lifted_bits)} of the network's bits."
    measured = verdict.figures.agreement
    if not measured:
        return ("Not checked against the network.", legible)
    width = max(map(len, measured))
    levels = {m.confidence for m in measured.values() if m.confidence is not None}
    bounds = f" (in brackets the lower bound at {percent(levels.pop())} confidence)" if len(levels) == 1 else ""
    rows = [f"    {split:<{width}}  {percent(m.value)} of {m.n:,} answers{_bound(m)}" for split, m in measured.items()]
    return (f"How often it says what the network says{bounds}:", "\n".join(rows), legible)


def _swaps(verdict: Verdict) -> dict[str, str]:
    """For each variable that was put into the network from other inputs, how often that did what the program says."""
    sentences = {}
    for variable, m in verdict.figures.interchange.items():
        chance = "" if m.null_value is None else f" (by chance {percent(m.null_value)})"
        agrees = f"does what the program says in {percent(m.value)} of {m.n:,} cases{chance}"
        sentences[variable] = f"Swapped in the network, {variable} {agrees}."
    return sentences


def _bound(measured: Measurement) -> str:
    return "" if measured.lower is None else f" ({percent(measured.lower)})"


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")
