"""Addition in a cyclic group: waves of the two tokens whose angles add up, by multiplication or by doubling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exegesis.ir import Axis, Graph, Type
from exegesis.measure.groups import Group
from exegesis.measure.pairs import Pairs
from exegesis.measure.responses import Response, Wave, answer_wave, companion, doubled, turn
from exegesis.passes.draft import Draft
from exegesis.passes.raising.arithmetic.mixing import Mixing, Slot
from exegesis.passes.raising.arithmetic.names import ELEMENT, Words

ENOUGH = 0.9
"""An account of a frequency that explains this share of its response is not refined any further."""


@dataclass(frozen=True)
class Addition:
    """How the answer's waves are made.

    Attributes:
        period: the order of the group.
        product: frequencies whose waves are multiplied.
        doubled: frequencies whose waves are added and doubled.
        companion: how much of the sum of the waves at twice the frequency is taken off the doubled ones; 0 for none.
        weights: of each frequency's votes.
    """

    period: int
    product: tuple[int, ...]
    doubled: tuple[int, ...]
    companion: float
    weights: Mapping[int, int]


def read_addition(pairs: Pairs, group: Group, responses: Sequence[Response], seed: int) -> tuple[Addition, Mapping[str, float]]:
    """The program that a network runs over the given frequencies, and how well it fits.

    Args:
        pairs: the network.
        group: a cyclic group.
        responses: of its frequencies.
        seed: of what is drawn.

    Returns:
        The addition, and figures: the share of the logits' variance that it explains, and of mixtures that it predicts.
    """
    accounts = {r.frequency: r.account(ENOUGH) for r in responses}
    added = tuple(f for f, account in accounts.items() if account != "product")
    off = _companion([r for r in responses if r.frequency in added], accounts)
    waves = {f: _made(pairs, group, f, f in added, off) for f in accounts}
    fitted = {f: _weight(answer_wave(pairs.logits, group, f), w) for f, w in waves.items()}
    waves = {f: w for f, w in waves.items() if fitted[f] > 0}
    votes = {f: _votes(wave, group, f) for f, wave in waves.items()}
    slots = {f: _votes(answer_wave(pairs.logits, group, f), group, f) for f in waves}
    strengths = np.array([fitted[f] for f in waves])
    mixing = Mixing.draw(pairs.logits, slots, votes, seed)
    weights = dict(zip(waves, mixing.rounded(strengths), strict=True))
    left = pairs.logits - sum(fitted[f] * v for f, v in votes.items())
    figures = {
        "logit variance explained": 1 - float((left**2).sum() / (pairs.logits**2).sum()),
        "mixtures predicted": mixing.kept(np.array([float(w) for w in weights.values()])),
    }
    product = tuple(f for f in waves if f not in added)
    found = Addition(group.period, product, tuple(f for f in waves if f in added), off, weights)
    return found, figures


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


def _weight(seen: Wave, made: Wave) -> float:
    return float((made.conj() * seen).real.sum() / max(float((np.abs(made) ** 2).sum()), 1e-300))


def _votes(wave: Wave, group: Group, frequency: int) -> Slot:
    return (wave[:, None] * turn(frequency, group.answers, group.period).conj()).real


def draft_addition(pairs: Pairs, words: Words, found: Addition, draft: Draft) -> str:
    """Writes the program; returns the node of its answer."""
    draft.axes[ELEMENT] = Axis(ELEMENT, found.period)
    fits = []
    if found.product:
        first, second = words.waves(draft, found.product, found.period, "waves_of_tokens")
        type = draft[first].type
        angles = draft.add("symbolic.add_angles", [first, second], type, hint="angles_of_sum")
        fits.append(_fits(draft, angles, found, found.product))
    if found.doubled:
        added = _sum(draft, words, found.doubled, found.period, "added_waves")
        type = draft[added].type
        angles = draft.add("symbolic.double_angles", [added], type, hint="doubled_angles")
        if found.companion:
            twice = tuple(2 * f % found.period for f in found.doubled)
            companions = _sum(draft, words, twice, found.period, "companion_waves")
            attrs = {"terms": [[1, 0, None], [-found.companion, 1, None]], "plus": 0}
            angles = draft.add("symbolic.form", [angles, companions], type, attrs, hint="evened_angles")
        fits.append(_fits(draft, angles, found, found.doubled))
    if len(fits) == 2:
        attrs = {"terms": [[1, 0, None], [1, 1, None]], "plus": 0}
        fits = [draft.add("symbolic.form", fits, draft[fits[0]].type, attrs, hint="all_votes")]
    return words.answer(draft, fits[0])


def _sum(draft: Draft, words: Words, frequencies: tuple[int, ...], period: int, hint: str) -> str:
    first, second = words.waves(draft, frequencies, period, hint.replace("added_", "").replace("companion_", "twice_"))
    attrs = {"terms": [[1, 0, None], [1, 1, None]], "plus": 0}
    return draft.add("symbolic.form", [first, second], draft[first].type, attrs, hint=hint)


def _fits(draft: Draft, angles: str, found: Addition, frequencies: tuple[int, ...]) -> str:
    type = Type("real", (*draft[angles].type.axes[:-1], ELEMENT))
    attrs = {"weights": [[f, found.weights[f]] for f in frequencies], "period": found.period}
    return draft.add("symbolic.votes", [angles], type, attrs, hint="votes")


def inner_variables(graph: Graph) -> tuple[str, ...]:
    """The variables of the program that hold what the two tokens make together, in order."""
    wanted = ("added_waves", "angles_of_sum", "doubled_angles", "evened_angles")
    return tuple(w for w in wanted if w in graph.by_id and not (w == "doubled_angles" and "evened_angles" in graph.by_id))
