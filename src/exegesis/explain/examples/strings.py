"""Rows of token ids that excite a unit, a part of a program or an output: strongest, spread, near misses, weakest; and
which letter of each is responsible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.examples.selection import KINDS, chosen_rows
from exegesis.explain.features.matching import rank_correlations
from exegesis.explain.features.tokens import likeness, rows_of_one_length
from exegesis.explain.figure import FOR, INK, Figure, Picture, bare, blank, sentence_picture
from exegesis.explain.framing import frame
from exegesis.explain.inputs import Inputs, names_of
from exegesis.explain.model import Model, NetworkModel, Objective
from exegesis.explain.target import Explained, Target
from exegesis.ir import InputError
from exegesis.runtime import Network

FALLS = 0.15  # how much more must fall where the letter is exchanged than where others are, of the whole
PREDICTS = 0.1
EXCHANGES = 6
NULLS = 100
FEWEST = 8  # different rows
CHUNK = 256


@dataclass(frozen=True, eq=False)
class StringExamples(Explanation):
    """Rows of a split that show what something over tokens does.

    Arrays: `rows` [4, k] and `activation` [4, k] of the kinds in `KINDS`, `tokens` [4, k, s], `places` [4, k]: the
        responsible letter of each (-1 where no place is more responsible than others).
    """

    @property
    def unit(self) -> str:
        """Whose examples these are."""
        return str(self.provenance.parameters["unit"])

    def figure(self, *, anyway: bool = False, labels: Sequence[str] | None = None) -> Picture:
        """One line per row, the responsible letter framed.

        Args:
            anyway: draw it although it is withheld.
            labels: of tokens.
        """
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(f"{self.unit}: {self.why}")
        return _picture(self, labels)


def string_examples(
    network: Network | Model,
    behavior: Behavior,
    explained: Explained | None = None,
    *,
    layer: str | None = None,
    name: str = "the answer",
    split: str | None = None,
    each: int = 6,
    limit: int = 400,
    seed: int = 0,
) -> StringExamples:
    """Examples among the rows of a split, all of its most frequent length.

    Args:
        network: over tokens; or any model of them, such as a part of a program (`TokenProgram`).
        behavior: over tokens.
        explained: which number; the output `Target(0)` at the last scored position unless told.
        layer: path of the module of a network whose values it is read off; None for the outputs.
        name: how to call it.
        split: whose rows; the first unless told.
        each: how many of each kind.
        limit: how many rows are looked through, drawn by `seed`.
        seed: of everything drawn.

    Raises:
        InputError: a behaviour over arrays, what does not exist, or fewer than 4 rows per example wanted.
    """
    if not behavior.is_sequence:
        raise InputError(f"Behaviour {behavior.name} is over arrays; see `unit_examples`.")
    split = split or next(iter(behavior.splits))
    rows = rows_of_one_length(behavior, split, limit, seed)
    if len(rows) < 4 * each:
        raise InputError(
            f"Split {split} has {len(rows)} rows of one length; {4 * each} are needed for {each} examples of each kind."
        )
    model = NetworkModel(network, layer) if isinstance(network, Network) else network
    objective = Objective(model, rows, explained or Target(0), behavior.readout)
    with torch.no_grad():
        values = objective.reading(objective.outputs, torch.arange(len(rows))).numpy().astype(np.float64)
    letters = torch.from_numpy(behavior.alphabet)
    assert rows.tokens is not None
    like = _likeness(rows.tokens, np.argsort(-values, kind="stable")[:each], letters)
    picked = chosen_rows(values, like, each)
    places, check = _responsible(objective, picked.reshape(-1), letters, float(values.mean()), each, seed)
    spread = float(values.std())
    varies = Check.at_least(
        "varies", "How far apart strongest and weakest lie, in standard deviations; nothing: it does not vary.",
        float(np.ptp(values)) / spread if spread > 0 else 0.0, 1.0, Consequence.WITHHOLDS,
    )  # fmt: skip
    raw = {
        "rows": rows.rows[picked], "activation": values[picked], "tokens": rows.tokens.numpy()[picked],
        "places": places.reshape(4, each),
    }  # fmt: skip
    source = Provenance(
        "dataset examples", {"unit": name, "split": split, "inputs": len(rows)}, seed, None,
        model.name, model.fingerprint, behavior.name,
    )  # fmt: skip
    checks = (varies, _foretells(rows.tokens, values, letters, each, seed), check)
    return StringExamples("examples", raw, checks, source, names=names_of(behavior))


def _likeness(tokens: Tensor, strongest: Int[np.ndarray, " k"], letters: Tensor) -> Float[np.ndarray, " n"]:
    """How like the strongest rows each is; the mean over them."""
    found: Float[np.ndarray, " n"] = np.mean([likeness(tokens[int(k)], tokens, letters) for k in strongest], axis=0)
    return found


def _foretells(tokens: Tensor, values: Float[np.ndarray, " n"], letters: Tensor, each: int, seed: int) -> Check:
    """Whether what the strongest rows of one half have in common foretells the other; the null deals values out."""
    meaning = "Rank correlation, over held-out rows, of how they excite it with how far they hold the letters that the "
    meaning += "strongest eighth of the others have in common, at the same places or anywhere. Equal rows count once."
    if float(np.ptp(values)) == 0:
        return Check.undefined("predicts", meaning, "it is the same on all rows")
    # A string on both sides would be remembered, not foretold, and dealing out would part equal values of equal rows.
    once = np.sort(np.unique(tokens.numpy(), axis=0, return_index=True)[1])
    if len(once) < FEWEST:
        return Check.undefined("predicts", meaning, f"{len(once)} different rows are too few to foretell half of them")
    tokens, values = tokens[once], values[once]
    seen, held_out = np.arange(0, len(values), 2), np.arange(1, len(values), 2)
    draws = np.random.default_rng([seed, 41])
    many = max(each, len(seen) // 8)  # six rows have too much in common by chance
    strongest = seen[np.argsort(-values[seen], kind="stable")[:many]]
    at_places = (tokens[:, :, None] == letters).double().numpy()  # [n, s, letters]
    told, true = _in_common(at_places, strongest, seen, held_out)[:, None], values[held_out]
    dealt = np.stack([true, *(draws.permutation(true) for _ in range(NULLS))], 1)
    scores = np.nan_to_num(rank_correlations(told, dealt)[0])  # what is the same for all rows foretells nothing
    null = float(np.quantile(scores[1:], 0.95))
    nulls = {"values dealt out, 95 %": null}
    return Check.at_least("predicts", meaning, float(scores[0]), max(PREDICTS, null), nulls=nulls)


def _in_common(
    at_places: Float[np.ndarray, "n s letters"],
    few: Int[np.ndarray, " k"],
    seen: Int[np.ndarray, " h"],
    asked: Int[np.ndarray, " m"],
) -> Float[np.ndarray, " m"]:
    """How far rows hold what a few rows have in common: letters at each place, and how often each letter comes; both
    weighed by the information (nats) by which the few differ from all, less what chance gives so few."""
    k, letters = len(few), at_places.shape[2]
    base = at_places[seen].mean(0) + 1e-6
    own = (at_places[few].mean(0) + base) / 2  # each of the few counted against one of all
    ratio = np.log(own / base)
    beyond = np.maximum(0.0, (own * ratio).sum(1) - (letters - 1) / (8 * k))  # half as far, a quarter of the bits
    counts = at_places.sum(1)
    spread = counts[seen].std(0) + 1e-6
    apart = (counts[few].mean(0) - counts[seen].mean(0)) / spread
    far = np.sign(apart) * np.maximum(0.0, apart**2 - 2 / k) / 2
    places = np.einsum("nsl,sl,s->n", at_places[asked], ratio, beyond)
    found: Float[np.ndarray, " m"] = places + (counts[asked] / spread) @ far
    return found


def _responsible(
    objective: Objective, picked: Int[np.ndarray, " m"], letters: Tensor, mean: float, each: int, seed: int
) -> tuple[Int[np.ndarray, " m"], Check]:
    """The place of each row whose exchange takes most, picked by some letters and judged by others."""
    meaning = "Share of the strongest rows' excitation that falls where the responsible letter is exchanged for others "
    meaning += "than those it was picked by; it has to be more than elsewhere."
    nowhere = np.full(len(picked), -1)
    if len(letters) < 2:
        return nowhere, Check.undefined(
            "place", meaning, "there are no two letters to exchange one for", Consequence.INFORMS
        )
    inputs = objective.inputs.select(picked)
    assert inputs.tokens is not None
    rows = torch.from_numpy(picked)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        whole = objective.reading(objective.model(objective.start[rows], inputs, torch.arange(len(picked))), rows)
    first, second = (
        whole[:, None] - _exchanged(objective, inputs, rows, letters, generator) for _ in range(2)
    )  # [m, s], letters drawn anew
    best = first.nan_to_num(nan=-torch.inf).argmax(1)
    reach = (whole - mean).clamp_min(1e-9)
    shares = (second / reach[:, None])[:each].numpy()
    own = shares[np.arange(each), best[:each].numpy()]
    elsewhere = float(np.nanmean(shares))
    check = Check.at_least(
        "place", meaning, float(np.mean(own)), elsewhere + FALLS, Consequence.INFORMS, {"letters elsewhere": elsewhere}
    )
    return (best.numpy() if check.passed else nowhere), check


@torch.no_grad()
def _exchanged(
    objective: Objective, inputs: Inputs, rows: Int[Tensor, " m"], letters: Tensor, generator: torch.Generator
) -> Float[Tensor, "m s"]:
    """The mean number when the letter at each place is exchanged for others; NaN where no letter stands."""
    assert inputs.tokens is not None
    m, s = inputs.tokens.shape
    free = torch.isin(inputs.tokens, letters)
    at, place = free.nonzero().repeat_interleave(EXCHANGES, 0).T
    own = torch.searchsorted(letters, inputs.tokens[at, place])
    step = torch.randint(1, len(letters), (len(at),), generator=generator)
    tokens = inputs.tokens[at].clone()
    tokens[torch.arange(len(at)), place] = letters[(own + step) % len(letters)]
    found = torch.empty(len(at))
    for part in torch.split(torch.arange(len(at)), CHUNK):
        strings = replace(inputs.select(at[part].numpy()), tokens=tokens[part])
        x = objective.model.start(strings)
        found[part] = objective.reading(objective.model(x, strings, torch.arange(len(part))), rows[at[part]])
    sums = torch.zeros(m, s).index_put_((at, place), found, accumulate=True)
    return torch.where(free, sums / EXCHANGES, torch.nan)


def _picture(examples: StringExamples, labels: Sequence[str] | None) -> Picture:
    def draw() -> Figure:
        tokens, places, values = (examples.raw[name] for name in ("tokens", "places", "activation"))
        each, length = tokens.shape[1:]
        figure, axes = blank(1.6 + 0.24 * length, 0.9 + 0.2 * 4 * each)
        at = axes[0, 0]
        for line, (kind, k) in enumerate((kind, k) for kind in range(len(KINDS)) for k in range(each)):
            y = line + 0.6 * kind
            for x, token in enumerate(tokens[kind, k]):
                word = (
                    labels[token]
                    if labels is not None and token < len(labels)
                    else examples.name_of("tokens", int(token))
                )
                framed = x == places[kind, k]
                box = {"facecolor": "white", "edgecolor": FOR, "pad": 1.2, "linewidth": 1.0} if framed else None
                at.text(x, y, word, ha="center", va="center", fontsize=7, color=INK, bbox=box)
            at.text(-1.2, y, f"{values[kind, k]:.3g}".replace("-", "−"), ha="right", va="center", fontsize=7)
            if k == 0:
                at.text(-3.6, y, KINDS[kind], ha="right", va="center", fontsize=8)
        at.set(xlim=(-6.5, length), ylim=(4 * each + 2, -1))
        bare(at)
        words = "; framed: the letter responsible" if (places >= 0).any() else ""
        frame(figure, f"{examples.unit}: strings by how they excite it{words}", examples)
        return figure

    return Picture(draw, f"Rows on which {examples.unit} is strongest, spread, nearly and weakest. {examples.why}")
