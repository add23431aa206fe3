"""Token strings that excite a unit, a part of a program or an output: first relaxed to mixtures of embeddings, then
settled letter by letter.

Only letters of the behaviour's alphabet stand in for letters of a row; everything else of the row stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Check, Consequence, Provenance
from exegesis.explain.features.chance import WEIGHTS, Chance, chance_of, corrected_over, foretells
from exegesis.explain.features.feature import PREDICTS, Feature
from exegesis.explain.features.layer import shuffled
from exegesis.explain.features.matching import rank_correlations
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import Model, NetworkModel, Objective
from exegesis.explain.parts import reads_ids
from exegesis.explain.target import Explained, Target
from exegesis.ir import InputError, Json
from exegesis.runtime import Network

TRIED = 24  # letters tried at one place where a gradient can propose them; else all
CHUNK = 256
CHANGED = 64  # strings with one letter changed, for the test of survival
NULLS, NULLS_OF_WEIGHTS = 40, 16  # random strings; strings of as many networks with shuffled weights
FEWEST_ROWS = 8
SAME = "it is the same on all natural rows"


@dataclass(frozen=True)
class Settle:
    """How strings are sought.

    Args:
        steps: of Adam on the mixtures; 0 to start from the best natural row.
        sweeps: over all places, letter by letter.
        rate: learning rate of the mixtures.
    """

    steps: int = 60
    sweeps: int = 3
    rate: float = 0.3


def strongest_tokens(
    network: Network | Model,
    behavior: Behavior,
    explained: Explained | None = None,
    *,
    layer: str | None = None,
    name: str = "the answer",
    split: str | None = None,
    settle: Settle | None = None,
    limit: int = 200,
    seed: int = 0,
) -> Feature:
    """The string of letters that excites one number most; arguments and errors as for `strongest_strings`.

    Args:
        explained: which number; the output `Target(0)` at the last scored position unless told.
        name: how to call it.
    """
    asked = [(name, explained or Target(0))]
    more: _More = {"layer": layer, "split": split, "settle": settle, "limit": limit, "seed": seed}
    return strongest_strings(network, behavior, asked, **more)[0]


class _More(TypedDict):
    layer: str | None
    split: str | None
    settle: Settle | None
    limit: int
    seed: int


def strongest_strings(
    network: Network | Model,
    behavior: Behavior,
    asked: Sequence[tuple[str, Explained]],
    *,
    layer: str | None = None,
    split: str | None = None,
    settle: Settle | None = None,
    limit: int = 200,
    seed: int = 0,
) -> tuple[Feature, ...]:
    """For each number the string of letters that excites it most, beside natural rows and strings that know nothing.

    Numbers that are asked for together are tested together, as in `visualise`.

    Args:
        network: over tokens; or any model of them, such as a part of a program (`TokenProgram`), whose weights cannot
            be shuffled, so that random strings are the only null.
        behavior: over tokens.
        asked: names, and which numbers.
        layer: path of the module of a network whose values they are read off; None for the outputs.
        split: whose rows are looked at; the first unless told. The most frequent length is taken.
        settle: how strings are sought.
        limit: how many natural rows are looked at.
        seed: of everything drawn.

    Raises:
        InputError: a behaviour over arrays, an alphabet of fewer than two letters, or rows without letters.
    """
    if not behavior.is_sequence:
        raise InputError(f"Behaviour {behavior.name} is over arrays; see `visualise`.")
    settle = settle or Settle()
    letters = torch.from_numpy(behavior.alphabet)
    if len(letters) < 2:
        raise InputError(
            f"Behaviour {behavior.name} has {len(letters)} letters; with fewer than two there is one string."
        )
    rows = rows_of_one_length(behavior, split or next(iter(behavior.splits)), limit, seed)
    model = NetworkModel(network, layer) if isinstance(network, Network) else network
    objectives = [Objective(model, rows, explained, behavior.readout) for _, explained in asked]
    found = [_sought(objective, behavior, letters, settle, seed) for objective in objectives]
    generator = torch.Generator().manual_seed(seed + 2)
    nulls = {"random strings": [one.drawn(NULLS, generator) for one in found]}
    if isinstance(model, NetworkModel):
        nulls[WEIGHTS] = [_of_random_weights(model, objectives, letters, generator)] * len(found)
    told = np.array([one.foretold(one.ids[None])[0] for one in found])
    by_kind = {
        kind: np.column_stack([one.foretold(null) for one, null in zip(found, strings, strict=True)])
        for kind, strings in nulls.items()
    }
    chance = chance_of(told, by_kind)
    return tuple(
        _feature(one, behavior, name, _predicts(one, float(told[k]), chance, k), chance.record(k), seed)
        for k, (one, (name, _)) in enumerate(zip(found, asked, strict=True))
    )


@dataclass(frozen=True, eq=False)
class Strings:
    """Strings that stand in the place of one row: its letters may change, the rest of it stays.

    Args:
        objective: the number, bound to natural rows.
        row: which of them.
        letters: the alphabet.
    """

    objective: Objective
    row: int
    letters: Int[Tensor, " letters"]

    @property
    def ids(self) -> Int[Tensor, " s"]:
        """The row itself."""
        assert self.objective.inputs.tokens is not None
        return self.objective.inputs.tokens[self.row]

    @property
    def free(self) -> Bool[Tensor, " s"]:
        """Where the row holds letters."""
        return torch.isin(self.ids, self.letters)

    def inputs(self, tokens: Int[Tensor, "m s"]) -> Inputs:
        """Strings as inputs."""
        return replace(self.objective.inputs.select(np.full(len(tokens), self.row)), tokens=tokens)

    def start(self, tokens: Int[Tensor, "m s"]) -> Float[Tensor, "m s d"]:
        """The real numbers that stand for strings."""
        return self.objective.model.start(self.inputs(tokens))

    def at(self, x: Float[Tensor, "m s d"], tokens: Int[Tensor, "m s"]) -> Float[Tensor, " m"]:
        """The number at real inputs that stand for strings; differentiable where the model is."""
        found = self.objective.model(x, self.inputs(tokens), torch.arange(len(tokens)))
        return self.objective.reading(found, torch.full((len(tokens),), self.row))

    @torch.no_grad()
    def values(self, tokens: Int[Tensor, "m s"]) -> Float[Tensor, " m"]:
        """The number for strings; bounded memory."""
        return torch.cat([self.at(self.start(part), part) for part in torch.split(tokens, CHUNK)])

    def random(self, ids: Int[Tensor, " s"], generator: torch.Generator) -> Int[Tensor, " s"]:
        """The string with other letters in all its free places."""
        drawn = ids.clone()
        drawn[self.free] = self.letters[torch.randint(len(self.letters), (int(self.free.sum()),), generator=generator)]
        return drawn

    @cached_property
    def table(self) -> Float[Tensor, "letters width"]:
        """The embedding of each letter, read off strings that hold nothing else."""
        return self.start(self.letters[:, None].expand(-1, len(self.ids)).contiguous())[:, 0]


@dataclass(frozen=True, eq=False)
class _Sought:
    """The strongest string of one number.

    Args:
        strings: where it was sought.
        ids, value: the string, and how far it excites the number.
        natural: the number on natural rows, [n].
        guessed: the number of the best of as many random strings as were tried.
    """

    strings: Strings
    ids: Int[Tensor, " s"]
    value: float
    natural: Float[Tensor, " n"]
    guessed: float

    @cached_property
    def different(self) -> int:
        """How many different natural rows there are: a row that comes again tells nothing new."""
        tokens = self.strings.objective.inputs.tokens
        assert tokens is not None
        return len(torch.unique(tokens, dim=0))

    @property
    def varies(self) -> bool:
        """Whether natural rows excite it more or less."""
        return float(self.natural.max() - self.natural.min()) > 0

    def drawn(self, count: int, generator: torch.Generator) -> Int[Tensor, "m s"]:
        """Random strings in its place."""
        return torch.stack([self.strings.random(self.ids, generator) for _ in range(count)])

    def foretold(self, strings: Int[Tensor, "m s"]) -> Float[np.ndarray, " m"]:
        """How natural rows' likeness to each string goes with how they excite it; NaN where nothing can be said."""
        rows = self.strings.objective.inputs.tokens
        assert rows is not None
        if not self.varies or self.different < FEWEST_ROWS:
            return np.full(len(strings), np.nan)
        told = np.stack([likeness(string, rows, self.strings.letters) for string in strings], 1)
        return np.asarray(rank_correlations(told, self.natural.numpy().astype(np.float64)[:, None])[:, 0])


def _sought(objective: Objective, behavior: Behavior, letters: Tensor, settle: Settle, seed: int) -> _Sought:
    """The best string found from the strongest natural row, a random one, and a mixture of embeddings."""
    with torch.no_grad():
        natural = objective.reading(objective.outputs, torch.arange(len(objective)))
    strings = Strings(objective, int(natural.argmax()), letters)
    if not bool(strings.free.any()):
        raise InputError(f"The rows of behaviour {behavior.name} hold no letters that could be changed.")
    generator = torch.Generator().manual_seed(seed)
    starts = [strings.ids, strings.random(strings.ids, generator)]
    if settle.steps and (mixed := _relaxed(strings, settle, generator)) is not None:
        starts.append(mixed)
    ids, value, calls = max((_settled(strings, start, settle) for start in starts), key=lambda found: found[1])
    randoms = torch.stack([strings.random(ids, generator) for _ in range(min(512, max(64, calls)))])
    return _Sought(strings, ids, value, natural, float(strings.values(randoms).max()))


def _of_random_weights(
    model: NetworkModel, objectives: Sequence[Objective], letters: Tensor, generator: torch.Generator
) -> Int[Tensor, "m s"]:
    """The strongest strings of the same numbers in networks with shuffled weights, by one sweep from a random one."""
    found = []
    for draw in range(NULLS_OF_WEIGHTS):
        other = NetworkModel(shuffled(model.network, int(torch.randint(1 << 30, (), generator=generator))), model.layer)
        asked = objectives[draw % len(objectives)]
        objective = Objective(other, asked.inputs, asked.explained, asked.readout)
        strings = Strings(objective, int(torch.randint(len(objective), (), generator=generator)), letters)
        found.append(_settled(strings, strings.random(strings.ids, generator), Settle(steps=0, sweeps=1))[0])
    return torch.stack(found)


def rows_of_one_length(behavior: Behavior, split: str, limit: int, seed: int) -> Inputs:
    """At most `limit` rows of the most frequent length, drawn by `seed`."""
    count = len(behavior.split(split))
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[: 4 * limit])
    groups = read_inputs(behavior, split, [int(r) for r in drawn])
    return max(groups, key=len).take(limit)


def _relaxed(strings: Strings, settle: Settle, generator: torch.Generator) -> Int[Tensor, " s"] | None:
    """The likeliest letters of the best mixture; None where no gradient reaches the embeddings."""
    if reads_ids(strings.objective.model):
        return None
    ids, free, letters = strings.ids, strings.free, strings.letters
    start, table = strings.start(ids[None]), strings.table
    logits = 0.1 * torch.randn((int(free.sum()), len(letters)), generator=generator)
    logits.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=settle.rate)
    for _ in range(settle.steps):
        mixed = start.clone()
        mixed[0, free] = logits.softmax(1) @ table
        loss = -strings.at(mixed, ids[None]).sum()
        if not loss.requires_grad:
            return None
        slopes = torch.autograd.grad(loss, [logits], allow_unused=True)
        if any(slope is None for slope in slopes):
            return None
        (logits.grad,) = slopes
        optimizer.step()
    found = ids.clone()
    found[free] = letters[logits.detach().argmax(1)]
    return found


def _settled(strings: Strings, ids: Int[Tensor, " s"], settle: Settle) -> tuple[Tensor, float, int]:
    """Coordinate ascent: at each place the letter that is best, until a sweep changes nothing."""
    best, value, calls = ids.clone(), float(strings.values(ids[None])[0]), 1
    for _ in range(settle.sweeps):
        before = value
        for place in strings.free.nonzero()[:, 0].tolist():
            options = _proposed(strings, best, place)
            tried = best.repeat(len(options), 1)
            tried[:, place] = options
            found = strings.values(tried)
            calls += len(options)
            if float(found.max()) > value:
                best, value = tried[int(found.argmax())], float(found.max())
        if value == before:
            break
    return best, value, calls


def _proposed(strings: Strings, ids: Int[Tensor, " s"], place: int) -> Int[Tensor, " k"]:
    """Letters to be tried at a place: all of a small alphabet, those the gradient proposes of a large one."""
    if len(strings.letters) <= TRIED:
        return strings.letters
    start = strings.start(ids[None]).requires_grad_()
    with torch.enable_grad():
        value = strings.at(start, ids[None]).sum()
        slope = torch.autograd.grad(value, start, allow_unused=True)[0] if value.requires_grad else None
    if slope is None:
        return strings.letters
    gain = strings.table @ slope[0, place]
    return strings.letters[gain.topk(TRIED).indices]


def _feature(
    found: _Sought, behavior: Behavior, name: str, predicts: Check, chance: Mapping[str, Json], seed: int
) -> Feature:
    """The string with its checks."""
    strings, ids, value = found.strings, found.ids, found.value
    mean, largest = float(found.natural.mean()), float(found.natural.max())
    reach = largest - mean
    words = " ".join(behavior.vocabulary.labels[t] for t in ids.tolist())
    meaning = "How far the string excites it, where 0 is the mean and 1 the largest of natural rows of its length; it "
    meaning += "has to beat as many random strings as were tried."
    if reach <= 0:
        first = Check.undefined("excites", meaning, SAME)
    else:
        best = (found.guessed - mean) / reach
        first = Check.at_least(
            "excites", meaning, (value - mean) / reach, max(1.0, best), Consequence.WITHHOLDS,
            {"best random string": best},
        )  # fmt: skip
    changed = _one_letter_changed(strings, ids, torch.Generator().manual_seed(seed + 1))
    left = float(strings.values(changed).mean())
    stays = (left - mean) / (value - mean) if value > mean else float("nan")
    second = Check.at_least(
        "survives", "Share of that which stays when one letter, drawn, becomes another.", stays, 0.5, Consequence.MARKS
    )
    model = strings.objective.model
    raw = {"tokens": ids.numpy(), "activation": np.array([value]), "natural": found.natural.numpy()}
    source = Provenance(
        "strongest string", {"layer": model.name}, seed, None, model.name, model.fingerprint, behavior.name,
    )  # fmt: skip
    details: dict[str, Json] = {"unit": name, "string": words, "natural mean": mean, "natural maximum": largest}
    details.update({"activation": [value], **chance})
    return Feature("feature", raw, (first, second, predicts), source, details=details)


def _one_letter_changed(strings: Strings, ids: Int[Tensor, " s"], generator: torch.Generator) -> Int[Tensor, "m s"]:
    places, letters = strings.free.nonzero()[:, 0], strings.letters
    changed = ids.repeat(CHANGED, 1)
    at = places[torch.randint(len(places), (CHANGED,), generator=generator)]
    changed[torch.arange(CHANGED), at] = letters[torch.randint(len(letters), (CHANGED,), generator=generator)]
    return changed


def _predicts(found: _Sought, told: float, chance: Chance, unit: int) -> Check:
    """Whether natural rows like the string excite it, more than rows like strings that know nothing do."""
    meaning = "Rank correlation, over natural rows, of how they excite it with how like the string they are (the same "
    meaning += f"letters, at the same places); {corrected_over(chance)}."
    if found.different < FEWEST_ROWS:
        reason = (
            f"there are {found.different} different rows of this length, and {FEWEST_ROWS} are needed to foretell any"
        )
        return Check.undefined("predicts", meaning, reason)
    if not found.varies:
        return Check.undefined("predicts", meaning, SAME)
    return foretells(meaning, told, chance, unit, PREDICTS)


def likeness(ids: Int[Tensor, " s"], rows: Int[Tensor, "n s"], letters: Int[Tensor, " k"]) -> Float[np.ndarray, " n"]:
    """How like a string rows are: the share of places with the same letter, and the share of letters in common."""
    places = (rows == ids).float().mean(1)
    counts = (rows[:, :, None] == letters).sum(1)
    shared = torch.minimum(counts, (ids[:, None] == letters).sum(0)).sum(1) / len(ids)
    return (places + shared).numpy().astype(np.float64)
