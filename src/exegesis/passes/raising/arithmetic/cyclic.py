"""Addition in a cyclic group: waves of the two tokens whose angles add up, by multiplication or by doubling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from exegesis.ir import Type
from exegesis.measure.groups import Group
from exegesis.measure.harmonics import Key
from exegesis.measure.pairs import Pairs
from exegesis.measure.responses import Account, Response, Wave, answer_wave, companion, doubled, plane, respond, turn
from exegesis.passes.draft import Draft
from exegesis.passes.raising.arithmetic.mixing import Mixing, Slot
from exegesis.passes.raising.arithmetic.names import ELEMENT, Held, Tokens, called, declare, form
from exegesis.passes.raising.arithmetic.program import Written

_LEAST = 0.2  # share of a response that an account must explain for its frequency to be kept
_GAIN = 0.02  # share of a response that companions must explain on top to be worth their lines


def write_addition(pairs: Pairs, group: Group, keys: Sequence[Key], draft: Draft, seed: int) -> Written | None:
    """The program that a network runs over these frequencies of a cyclic group.

    Args:
        pairs: the network, with known carriers.
        group: a cyclic group.
        keys: the frequencies that count.
        draft: where nodes are written.
        seed: of what is drawn.

    Returns:
        None where no account explains any of the frequencies.
    """
    every = [respond(pairs, group, f, seed) for f in keys if isinstance(f, int)]
    figures = {f"frequency {r.frequency}, {a}": share for r in every for a, share in r.explained.items()}
    responses = [r for r in every if max(r.explained.values()) >= _LEAST]
    if not responses:
        return None
    added = tuple(r.frequency for r in responses if r.adds)
    off = _companion([r for r in responses if r.adds])
    waves = {r.frequency: _made(pairs, group, r.frequency, r.adds, off) for r in responses}
    weights, fit = _weigh(pairs, group, waves, seed)
    product = tuple(f for f in weights if f not in added)
    added = tuple(f for f in weights if f in added)
    writer = _Writer(Tokens(pairs, group, draft), group.period, weights, {r.frequency: r for r in responses})
    parts = [writer.product(product)] if product else []
    parts += [writer.doubled(added, off, alone=not product)] if added else []
    held = (*product, *added, *(2 * f % group.period for f in added if off))
    spans = [plane(pairs.vectors(k), names, held, group.period) for k, names in enumerate((group.rows, group.columns))]
    inner = (writer.gathered, writer.angles)
    return Written(writer.answer(parts), writer.tokens, (spans[0], spans[1]), inner, fit | figures)


def _companion(responses: Sequence[Response]) -> float:
    """One number for all frequencies that are added, to one digit; 0 where companions explain hardly any more."""
    gain = [r.explained.get("accompanied", r.explained["doubled"]) - r.explained["doubled"] for r in responses]
    return round(float(np.mean([r.companion for r in responses])), 1) if gain and np.mean(gain) > _GAIN else 0.0


def _made(pairs: Pairs, group: Group, frequency: int, added: bool, off: float) -> Wave:
    a, b = group.rows[pairs.pair[0]], group.columns[pairs.pair[1]]
    if not added:
        return turn(frequency, a + b, group.period)
    return doubled(frequency, a, b, group.period) - off * companion(frequency, a, b, group.period)


def _weigh(pairs: Pairs, group: Group, waves: Mapping[int, Wave], seed: int) -> tuple[dict[int, int], dict[str, float]]:
    """Whole weights of the frequencies whose waves the logits hold, and how well they fit."""
    fitted = {f: _length(answer_wave(pairs.logits, group, f), wave) for f, wave in waves.items()}
    fitted = {f: w for f, w in fitted.items() if w > 0}
    parts = {f: _votes(waves[f], group, f) for f in fitted}
    slots = {f: _votes(answer_wave(pairs.logits, group, f), group, f) for f in fitted}
    mixing = Mixing.draw(pairs.logits, slots, parts, seed)
    weights = dict(zip(fitted, mixing.rounded(np.array(list(fitted.values()))), strict=True))
    left = pairs.logits - sum(fitted[f] * v for f, v in parts.items())
    figures = {
        "logit variance explained": 1 - float((left**2).sum() / (pairs.logits**2).sum()),
        "mixtures predicted": mixing.kept(np.array([float(w) for w in weights.values()])),
    }
    return weights, figures


def _length(seen: Wave, made: Wave) -> float:
    return float((made.conj() * seen).real.sum() / max(float((np.abs(made) ** 2).sum()), 1e-300))


def _votes(wave: Wave, group: Group, frequency: int) -> Slot:
    return np.asarray((wave[:, None] * turn(frequency, group.answers, group.period).conj()).real)


class _Writer:
    """Writes one program.

    Attributes:
        tokens: nodes that hold waves of tokens.
        gathered: nodes that hold waves of tokens where the answer is made.
        angles: nodes that hold angles of the answer.
    """

    def __init__(
        self, tokens: Tokens, period: int, weights: Mapping[int, int], responses: Mapping[int, Response]
    ) -> None:
        self._tokens = tokens
        self._draft = tokens.draft
        self._period = period
        self._weights = weights
        self._responses = responses
        self.tokens: tuple[tuple[str, ...], ...] = ()
        self.gathered: tuple[str, ...] = ()
        self.angles: tuple[str, ...] = ()

    def product(self, frequencies: tuple[int, ...]) -> str:
        """Votes of waves that are multiplied."""
        doc = f"The angle 2π·f·token/{self._period} of each token as cos and sin, for each frequency f."
        waves = self._waves(frequencies, ("token_waves", "waves", doc))
        first, second = self._tokens.each(waves)
        self._gather(waves, first, second)
        node = self._draft.add("symbolic.add_angles", [first, second], self._pairs(frequencies), hint="angles_of_sum")
        doc = f"The angle 2π·f·(first + second)/{self._period}: the two waves are multiplied"
        doc += self._evidence(frequencies, "product", ("doubled", "accompanied"))
        return self._fits(called(self._draft, node, "multiplied", doc), frequencies)

    def doubled(self, frequencies: tuple[int, ...], off: float, *, alone: bool) -> str:
        """Votes of waves that are added, and whose angle is then doubled."""
        doc = f"The angle 2π·f·token/{self._period} of each token as cos and sin, for each frequency f"
        said = doc if alone else "The same for other frequencies"
        doc = f"{said}{', then for twice each' if off else ''}."
        held = (*frequencies, *(2 * f % self._period for f in frequencies if off))
        waves = self._waves(held, ("added_waves", "waves" if alone else "added_waves", doc))
        doc = "The sum of both tokens' waves, which has the angle of their mean and shrinks with their distance."
        added = self._tokens.sum(waves, ("sum_of_waves", "added", doc), alone=alone)
        self._gather(waves, added)
        attrs = {"less": off} if off else {}
        node = self._draft.add(
            "symbolic.double_angles", [added], self._pairs(frequencies), attrs, hint="doubled_angles"
        )
        doc = (
            f"The angle 2π·f·(first + second)/{self._period}: the two waves are added, the angle of the sum is doubled"
        )
        doc += ", and its length evened out by the sum at twice the frequency" if off else ""
        doc += self._evidence(frequencies, "accompanied" if off else "doubled", ("product",))
        return self._fits(called(self._draft, node, "doubled", doc), frequencies)

    def _waves(self, frequencies: tuple[int, ...], words: tuple[str, str, str]) -> Held:
        attrs = {"frequencies": list(frequencies), "period": self._period}
        held = self._tokens.held("symbolic.wave", attrs, 2 * len(frequencies), words)
        self.tokens = (*self.tokens, held.nodes)
        return held

    def _gather(self, waves: Held, *nodes: str) -> None:
        """Notes what is brought together out of waves that stand elsewhere."""
        self.gathered = (*self.gathered, *(n for n in nodes if n not in waves.nodes))

    def _pairs(self, frequencies: tuple[int, ...]) -> Type:
        return Type("real", (*self._tokens.pairs.graph.inputs[0].type.axes, f"={2 * len(frequencies)}"))

    def _evidence(self, frequencies: tuple[int, ...], account: Account, others: tuple[Account, ...]) -> str:
        """How much better this account is, where there is another."""
        found = [self._responses[f].explained for f in frequencies]
        pairs = [(e[account], max(e[o] for o in others if o in e)) for e in found if account in e and {*others} & {*e}]
        if not pairs:
            return "."
        own, other = np.mean(pairs, axis=0)
        instead = "adding" if account == "product" else "multiplying"
        return (
            f". Where one token's wave is exchanged at one f, that accounts for {own:.0%} of what the logits do; "
            f"{instead} them would account for {other:.0%}."
        )

    def _fits(self, angles: str, frequencies: tuple[int, ...]) -> str:
        self.angles = (*self.angles, angles)
        weights = {f: self._weights[f] for f in frequencies}
        declare(self._draft, self._period)
        attrs = {"weights": [[f, w] for f, w in weights.items()], "period": self._period}
        type = Type("real", (*self._draft[angles].type.axes[:-1], ELEMENT))
        return self._draft.add("symbolic.votes", [angles], type, attrs, hint="fits")

    def answer(self, parts: list[str]) -> str:
        """The output with the most votes."""
        if len(parts) == 1:
            return self._tokens.answer(parts[0])
        together = form(self._draft, [(1, p) for p in parts], "all_fits")
        return self._tokens.answer(
            called(self._draft, together, "fits", "How well each answer fits at all frequencies.")
        )
