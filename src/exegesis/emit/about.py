"""What a program says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exegesis.behavior import Argmax, Behavior, Readout, Sign
from exegesis.emit.docstrings import sentence
from exegesis.evidence import Measurement, Verdict


@dataclass(frozen=True)
class About:
    """What the docstrings of a program say.

    Attributes:
        title: one line: what the program is and which network it comes from.
        behavior: a sentence or two on what the network does, and how its outputs are read.
        checked: sentences on how well the program was checked, for the module.
        evidence: by function of the graph, a sentence on how well that part was checked.
    """

    title: str
    behavior: str = ""
    checked: tuple[str, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, behavior: Behavior, network: str, verdict: Verdict | None = None, evidence: Mapping[str, str] | None = None
    ) -> About:
        """What is known of a program before it is judged (no verdict) and after.

        Args:
            behavior: what the program is to explain.
            network: what the network is, e.g. `GPT2LMHeadModel with 1 layer`.
            verdict: its figures enter, but nothing that differs between two runs of one seed.
            evidence: by function, a sentence on how well that part was checked.
        """
        words = [sentence(behavior.task or f"behaviour {behavior.name}"), reading(behavior.readout)]
        checked = ("Not checked against the network.",) if verdict is None else tuple(_checks(verdict))
        return cls(f"{behavior.name}, decompiled from {network}.", " ".join(words), checked, evidence or {})


def reading(readout: Readout) -> str:
    """How outputs become answers, as a sentence."""
    if isinstance(readout, Argmax):
        among = "" if readout.outputs is None else f" among {len(readout.outputs)}"
        return f"The answer is the output with the largest logit{among}."
    if isinstance(readout, Sign):
        return "The answer is the set of outputs with a positive logit."
    return f"The answer is the network's value, within {readout.tolerance:g}."


def _checks(verdict: Verdict) -> list[str]:
    splits = [
        f"{_percent(m.value)} of {m.n:,} answers on {split}{_bound(m)}"
        for split, m in verdict.figures.agreement.items()
    ]
    agrees = [f"Says what the network says at {_listed(splits)}."] if splits else ["Not checked against the network."]
    return [*agrees, f"Legible share: {_percent(verdict.legible_share)}."]


def _bound(measured: Measurement) -> str:
    if measured.lower is None or measured.confidence is None:
        return ""
    return f" (at least {_percent(measured.lower)} with {measured.confidence:.0%} confidence)"


def _percent(share: float) -> str:
    """A share in per cent, never rounded up to a hundred."""
    tenths = int(share * 1000 + 1e-9) if share > 0.9985 else round(share * 1000)
    return f"{tenths / 10:g} %"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
