"""Addition in a cyclic group: waves of the two tokens whose angles add up, by multiplication or by doubling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from exegesis.measure.groups import Group
from exegesis.measure.pairs import Pairs
from exegesis.measure.responses import Response, Wave, answer_wave, companion, doubled, plane, respond, turn
from exegesis.passes.draft import Draft
from exegesis.passes.raising.arithmetic.mixing import Mixing, Slot
from exegesis.passes.raising.arithmetic.names import Held, Tokens, called, form, votes
from exegesis.passes.raising.arithmetic.program import Written

ENOUGH = 0.9
"""An account of a frequency that explains this share of its response is not refined any further."""


def write_addition(pairs: Pairs, group: Group, frequencies: Sequence[int], draft: Draft, seed: int) -> Written:
    """The program that a network runs over these frequencies of a cyclic group.

    Args:
        pairs: the network, with known carriers.
        group: a cyclic group.
        frequencies: those that count.
        draft: where nodes are written.
        seed: of what is drawn.
    """
    responses = [respond(pairs, group, f, seed) for f in frequencies]
    accounts = {r.frequency: r.account(ENOUGH) for r in responses}
    added = tuple(f for f, account in accounts.items() if account != "product")
    off = _companion([r for r in responses if r.frequency in added], accounts)
    weights, figures = _weigh(pairs, group, {f: _made(pairs, group, f, f in added, off) for f in accounts}, seed)
    for r in responses:
        figures |= {f"frequency {r.frequency}, {a}": share for a, share in r.explained.items()}
    product = tuple(f for f in weights if f not in added)
    added = tuple(f for f in weights if f in added)
    writer = _Writer(Tokens(pairs, group, draft), group.period, weights)
    parts = [writer.product(product)] if product else []
    parts += [writer.doubled(added, off)] if added else []
    every = (*product, *added, *(2 * f % group.period for f in added if off))
    spans = [plane(pairs.vectors(k), names, every, group.period) for k, names in enumerate((group.rows, group.columns))]
    sums = (writer.sums,) if writer.sums and not product else ()
    return Written(writer.answer(parts), writer.tokens, (spans[0], spans[1]), (*sums, tuple(writer.angles)), figures)


def _companion(responses: Sequence[Response], accounts: Mapping[int, str]) -> float:
    """One number for all frequencies, to one digit; 0 where no frequency needs it."""
    if not any(accounts[r.frequency] == "accompanied" for r in responses):
        return 0.0
    return round(float(np.mean([r.companion for r in responses])), 1)


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
        sums: nodes that hold sums of waves, where all frequencies are added.
        angles: nodes that hold angles of the answer.
    """

    def __init__(self, tokens: Tokens, period: int, weights: Mapping[int, int]) -> None:
        self._tokens = tokens
        self._draft = tokens.draft
        self._period = period
        self._weights = weights
        self.tokens: tuple[tuple[str, ...], ...] = ()
        self.sums: tuple[str, ...] = ()
        self.angles: list[str] = []

    def product(self, frequencies: tuple[int, ...]) -> str:
        """Votes of waves that are multiplied."""
        first, second = self._tokens.each(self._waves(frequencies, "token_waves", "waves"))
        node = self._draft.add("symbolic.add_angles", [first, second], self._draft[first].type, hint="angles_of_sum")
        doc = f"The angle 2π·f·(first + second)/{self._period} for each f: the two tokens' waves are multiplied."
        return self._fits(called(self._draft, node, "angles", doc), frequencies)

    def doubled(self, frequencies: tuple[int, ...], off: float) -> str:
        """Votes of waves that are added, and whose angle is then doubled."""
        waves = self._waves(frequencies, "added_token_waves", "waves")
        doc = "The sum of both tokens' waves. Its angle is that of their mean, its length falls with their distance."
        added = self._tokens.sum(waves, ("sum_of_waves", "added", doc))
        node = self._draft.add("symbolic.double_angles", [added], waves.type, hint="doubled_angles")
        doc = f"The angle 2π·f·(first + second)/{self._period} for each f: waves are added, and the angle is doubled"
        self.sums = (added,)
        if off:
            twice = tuple(2 * f % self._period for f in frequencies)
            companions = self._waves(twice, "companion_waves", "companions")
            what = "The sum of both tokens' waves at twice the frequencies."
            even = self._tokens.sum(companions, ("sum_of_companions", "added_companions", what))
            node = form(self._draft, [(1, node), (-off, even)], "evened_angles")
            doc += "; the sum at twice the frequency evens out the length"
            self.sums = (added, even)
        return self._fits(called(self._draft, node, "doubled", f"{doc}."), frequencies)

    def _waves(self, frequencies: tuple[int, ...], hint: str, name: str) -> Held:
        attrs = {"frequencies": list(frequencies), "period": self._period}
        doc = f"cos and sin of the angle 2π·f·token/{self._period} of each token, for each frequency f."
        held = self._tokens.held("symbolic.wave", attrs, 2 * len(frequencies), (hint, name, doc))
        self.tokens = (*self.tokens, held.nodes)
        return held

    def _fits(self, angles: str, frequencies: tuple[int, ...]) -> str:
        self.angles.append(angles)
        weights = {f: self._weights[f] for f in frequencies}
        return votes(self._draft, "symbolic.votes", angles, weights, self._period, self._period)

    def answer(self, parts: list[str]) -> str:
        """The output with the most votes."""
        if len(parts) == 1:
            return self._tokens.answer(parts[0])
        together = form(self._draft, [(1, p) for p in parts], "all_fits")
        return self._tokens.answer(
            called(self._draft, together, "fits", "How well each answer fits at all frequencies.")
        )
