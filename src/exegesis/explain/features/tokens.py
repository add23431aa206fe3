"""Token strings that excite a unit or an output: first relaxed to mixtures of embeddings, then settled letter by
letter.

Only letters of the behaviour's alphabet stand in for letters of a row; everything else of the row stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Check, Consequence, Provenance
from exegesis.explain.features.feature import Feature
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import NetworkModel, NotDifferentiableError, Objective
from exegesis.explain.target import Explained, Target
from exegesis.ir import InputError
from exegesis.runtime import Network

TRIED = 24  # letters tried at one place: all of a small alphabet, those the gradient proposes of a large one


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
    network: Network,
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
    """The string of letters that excites a number most, beside natural rows and random strings.

    Args:
        network, behavior: over tokens.
        explained: which number; the output `Target(0)` at the last scored position unless told.
        layer: path of the module whose values it is read off; None for the outputs.
        name: how to call it.
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
    rows = _rows(behavior, split or next(iter(behavior.splits)), limit, seed)
    objective = Objective(NetworkModel(network, layer), rows, explained or Target(0), behavior.readout)
    natural = _values(objective, rows.tokens)
    assert rows.tokens is not None
    template = int(natural.argmax())
    free = torch.isin(rows.tokens[template], letters)
    if not bool(free.any()):
        raise InputError(f"The rows of behaviour {behavior.name} hold no letters that could be changed.")
    generator = torch.Generator().manual_seed(seed)
    starts = [rows.tokens[template], _random(rows.tokens[template], free, letters, generator)]
    if settle.steps and (mixed := _relaxed(objective, template, free, letters, settle, generator)) is not None:
        starts.append(mixed)
    settled = [_settled(objective, template, ids, free, letters, settle) for ids in starts]
    ids, value, calls = max(settled, key=lambda found: found[1])
    randoms = torch.stack([_random(ids, free, letters, generator) for _ in range(min(512, max(64, calls)))])
    guessed = _values(objective, randoms, template)
    return _feature(objective, behavior, name, ids, value, free, letters, natural, guessed, template, seed)


def _rows(behavior: Behavior, split: str, limit: int, seed: int) -> Inputs:
    """Rows of the most frequent length."""
    count = len(behavior.split(split))
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[: 4 * limit])
    groups = read_inputs(behavior, split, [int(r) for r in drawn])
    return max(groups, key=len).take(limit)


def _values(
    objective: Objective, tokens: Int[Tensor, "m s"] | None, template: int | None = None
) -> Float[Tensor, " m"]:
    """The number for strings that stand in the place of a row (`template`), or of each of the rows."""
    inputs = objective.inputs
    if template is not None:
        assert tokens is not None
        at = np.full(len(tokens), template)
        inputs = replace(inputs.select(at), tokens=tokens)
    found = Objective(objective.model, inputs, objective.explained, objective.readout)
    with torch.no_grad():
        return found.values(found.start, torch.arange(len(inputs)))


def _random(ids: Tensor, free: Bool[Tensor, " s"], letters: Tensor, generator: torch.Generator) -> Tensor:
    drawn = ids.clone()
    drawn[free] = letters[torch.randint(len(letters), (int(free.sum()),), generator=generator)]
    return drawn


def _embedded(objective: Objective, tokens: Tensor, template: int) -> tuple[Objective, Tensor]:
    inputs = replace(objective.inputs.select(np.full(len(tokens), template)), tokens=tokens)
    made = Objective(objective.model, inputs, objective.explained, objective.readout)
    return made, made.start


def _table(objective: Objective, letters: Tensor, template: int) -> Float[Tensor, "letters width"]:
    """The embedding of each letter, read off strings that hold nothing else."""
    assert objective.inputs.tokens is not None
    length = objective.inputs.tokens.shape[1]
    return _embedded(objective, letters[:, None].expand(-1, length).contiguous(), template)[1][:, 0]


def _relaxed(
    objective: Objective,
    template: int,
    free: Bool[Tensor, " s"],
    letters: Tensor,
    settle: Settle,
    generator: torch.Generator,
) -> Tensor | None:
    """The likeliest letters of the best mixture; None where no gradient reaches the embeddings."""
    assert objective.inputs.tokens is not None
    ids = objective.inputs.tokens[template : template + 1]
    try:
        one, start = _embedded(objective, ids, template)
        table = _table(objective, letters, template)
        logits = 0.1 * torch.randn((int(free.sum()), len(letters)), generator=generator)
        logits.requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=settle.rate)
        for _ in range(settle.steps):
            mixed = start.clone()
            mixed[0, free] = logits.softmax(1) @ table
            loss = -one.values(mixed, torch.zeros(1, dtype=torch.long)).sum()
            (logits.grad,) = torch.autograd.grad(loss, logits)
            optimizer.step()
    except NotDifferentiableError:
        return None
    found = ids[0].clone()
    found[free] = letters[logits.detach().argmax(1)]
    return found


def _settled(
    objective: Objective, template: int, ids: Tensor, free: Bool[Tensor, " s"], letters: Tensor, settle: Settle
) -> tuple[Tensor, float, int]:
    """Coordinate ascent: at each place the letter that is best, until a sweep changes nothing."""
    best, value, calls = ids.clone(), float(_values(objective, ids[None], template)[0]), 1
    for _ in range(settle.sweeps):
        before = value
        for place in free.nonzero()[:, 0].tolist():
            options = _proposed(objective, template, best, place, letters)
            tried = best.repeat(len(options), 1)
            tried[:, place] = options
            found = _values(objective, tried, template)
            calls += len(options)
            if float(found.max()) > value:
                best, value = tried[int(found.argmax())], float(found.max())
        if value == before:
            break
    return best, value, calls


def _proposed(objective: Objective, template: int, ids: Tensor, place: int, letters: Tensor) -> Tensor:
    if len(letters) <= TRIED:
        return letters
    one, start = _embedded(objective, ids[None], template)
    _, slope = one.gradient(start, torch.zeros(1, dtype=torch.long))
    gain = _table(objective, letters, template) @ slope[0, place]
    return letters[gain.topk(TRIED).indices]


def _feature(
    objective: Objective,
    behavior: Behavior,
    name: str,
    ids: Tensor,
    value: float,
    free: Tensor,
    letters: Tensor,
    natural: Tensor,
    guessed: Tensor,
    template: int,
    seed: int,
) -> Feature:
    """The string with its checks."""
    mean, largest = float(natural.mean()), float(natural.max())
    reach = largest - mean
    words = " ".join(behavior.vocabulary.labels[t] for t in ids.tolist())
    meaning = "How far the string excites it, where 0 is the mean and 1 the largest of natural rows of its length."
    if reach <= 0:
        first = Check.undefined("excites", meaning, "it is the same on all natural rows")
    else:
        null = {"best random string": (float(guessed.max()) - mean) / reach}
        first = Check.at_least("excites", meaning, (value - mean) / reach, 1.0, Consequence.WITHHOLDS, null)
    generator = torch.Generator().manual_seed(seed + 1)
    places = free.nonzero()[:, 0]
    changed = ids.repeat(64, 1)
    at = places[torch.randint(len(places), (64,), generator=generator)]
    changed[torch.arange(64), at] = letters[torch.randint(len(letters), (64,), generator=generator)]
    left = float(_values(objective, changed, template).mean())
    stays = (left - mean) / (value - mean) if value > mean else float("nan")
    second = Check.at_least(
        "survives", "Share of that which stays when one letter, drawn, becomes another.", stays, 0.5, Consequence.MARKS
    )
    raw = {"tokens": ids.numpy(), "activation": np.array([value]), "natural": natural.numpy()}
    source = Provenance(
        "strongest string", {"layer": objective.model.name}, seed, None, objective.model.name,
        objective.model.fingerprint, behavior.name,
    )  # fmt: skip
    details = {"unit": name, "string": words, "natural mean": mean, "natural maximum": largest, "activation": [value]}
    return Feature("feature", raw, (first, second), source, details=details)
