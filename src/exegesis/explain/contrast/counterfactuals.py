"""Minimal counterfactuals: the smallest change of an input after which the network says something else.

For arrays, after S. Wachter et al., *Counterfactual explanations without opening the black box* (2018), with the
change kept sparse by dropping what it does not need; for token sequences, the fewest letters exchanged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.contrast.pictures import counterfactuals_picture
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.inputs import Inputs, names_of, read_inputs
from exegesis.explain.shortcuts.access import Samples
from exegesis.ir import InputError
from exegesis.runtime import Network

EVERY = 20_000
"""So many changes of a sequence are tried one and all before the search turns greedy."""

FEW = (1, 2, 3, 4, 6, 8)
"""So many columns of a table are tried before more are."""

MINIMAL = "Share of changed places that could have been left as they were, one at a time."


@dataclass(frozen=True, eq=False)
class Counterfactuals(Explanation):
    """Arrays: `rows` [n], `inputs` and `changed` [n, ...], `before` and `after` [n] (outputs by number), `places`
    [n]: how many numbers or letters differ; of arrays `least` and `greatest` [...], the range of the data. Rows for
    which none was found are undefined, with the reason."""

    def figure(self, *, anyway: bool = False) -> Picture:
        """Each input before and after, with what changed."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return counterfactuals_picture(self)


def counterfactuals(
    network: Network,
    behavior: Behavior,
    rows: list[int],
    *,
    to: int | None = None,
    immutable: Sequence[int] = (),
    split: str = "test",
    steps: int = 200,
    most: int = 4,
    seed: int = 0,
) -> Counterfactuals:
    """For each row the smallest change that turns the network's answer.

    Args:
        network, behavior: with an argmax readout.
        rows: of the split.
        to: the output it is to become; any other unless told.
        immutable: flat places of an array, or positions of a string, that have to stay as they are.
        split: its name.
        steps: of the search over arrays.
        most: how many letters may change, for token sequences.
        seed: of the test of minimality.

    Returns:
        The changes. Checked: each one turns the answer; no place of it can be put back alone (minimal); for arrays, as
        large a change at other places turns far fewer.

    Raises:
        InputError: rows or an output that do not exist, or a behaviour without classes.
    """
    if not rows:
        raise InputError("No rows were named whose counterfactuals are wanted.")
    if not isinstance(behavior.readout, Argmax):
        raise InputError(f"Behaviour {behavior.name} has no classes, so no answer can become another.")
    rows = list(dict.fromkeys(rows))
    if behavior.is_sequence:
        return _of_sequences(network, behavior, rows, to, frozenset(immutable), split, most, seed)
    return _of_arrays(network, behavior, rows, to, immutable, split, steps, seed)


@dataclass(frozen=True, eq=False)
class Room:
    """How far the numbers of an input may go.

    Args:
        low, high: the ends of each number, [n, ...]; the ends of the data, or the input itself where it lies beyond.
        reach: what counts as one unit of change, [...]: the range of the data, of each column of a table whose
            features have names, else of all numbers; 0 for what has to stay.
    """

    low: Float[Tensor, "n ..."]
    high: Float[Tensor, "n ..."]
    reach: Float[Tensor, "..."]

    @classmethod
    def of(cls, samples: Samples, behavior: Behavior, x: Float[Tensor, "n ..."], immutable: Sequence[int]) -> Room:
        """Raises InputError for places that do not exist, or where nothing may change."""
        if wrong := [k for k in immutable if not 0 <= k < x[0].numel()]:
            raise InputError(f"There is no feature {wrong[0]}: inputs have {x[0].numel()}, counted from 0.")
        seen = torch.cat([samples.search, samples.held_out])
        apart = behavior.layout is not None and behavior.layout.features is not None
        low = seen.amin(0) if apart else torch.full(x.shape[1:], samples.low)
        high = seen.amax(0) if apart else torch.full(x.shape[1:], samples.high)
        reach = (high - low).flatten()
        reach[list(immutable)] = 0.0
        if not bool((reach > 0).any()):
            raise InputError("All features are immutable, so that nothing could be changed.")
        reach = reach.view(x.shape[1:])
        free = reach > 0
        low = torch.where(free, torch.minimum(low, x), x)
        high = torch.where(free, torch.maximum(high, x), x)
        return cls(low, high, reach)

    def inside(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """The nearest inputs that are allowed."""
        return torch.minimum(torch.maximum(x, self.low), self.high)

    def size(self, change: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """How large a change is at each place, in units of the reach."""
        return (change.abs() / torch.where(self.reach > 0, self.reach, 1.0)).flatten(1)

    def select(self, rows: list[int]) -> Room:
        """That of some inputs."""
        return Room(self.low[rows], self.high[rows], self.reach)


def _of_arrays(
    network: Network,
    behavior: Behavior,
    rows: list[int],
    to: int | None,
    immutable: Sequence[int],
    split: str,
    steps: int,
    seed: int,
) -> Counterfactuals:
    samples = Samples.of(network, behavior, limit=200, seed=seed)
    (inputs,) = read_inputs(behavior, split, rows)
    assert inputs.x is not None
    outputs = samples.outputs.tolist()
    if to is not None and to not in outputs:
        raise InputError(f"There is no output {to}; the outputs that compete are {', '.join(map(str, outputs))}.")
    x, before = inputs.x, samples.said(inputs.x)
    target = _targets(samples, x, before, to)
    undefined = {k: f"the network says {outputs[int(t)]} already" for k, t in enumerate(target) if t == before[k]}
    room = Room.of(samples, behavior, x, immutable)
    changed = _turned(samples, room, x, target, steps)
    if behavior.layout is not None and behavior.layout.features is not None:
        changed = _of_few_columns(samples, room, x, changed, target, steps)
    changed = _sparse(samples, room, x, changed, target)
    after = samples.said(changed)
    for k in range(len(x)):
        if int(after[k]) != int(target[k]) and k not in undefined:
            undefined[k] = f"no change within the range of the data turned it into {outputs[int(target[k])]}"
    good = [k for k in range(len(x)) if k not in undefined]
    differs = (changed != x).flatten(1)
    checks = _array_checks(samples, room.select(good), x[good], changed[good], target[good], len(x), seed)
    raw = {
        "rows": inputs.rows, "inputs": x.numpy(), "changed": _blank(changed.numpy(), list(undefined)),
        "before": samples.outputs[before].numpy(), "after": samples.outputs[after].numpy(),
        "places": differs.sum(1).numpy(), "least": room.low.amin(0).numpy(), "greatest": room.high.amax(0).numpy(),
    }  # fmt: skip
    source = Provenance(
        "counterfactual", {"steps": steps, "split": split, "to": to, "immutable": list(immutable)}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    return Counterfactuals("counterfactuals", raw, checks, source, undefined=undefined, names=names_of(behavior))


def _blank(changed: np.ndarray, rows: list[int]) -> np.ndarray:
    """Rows without a counterfactual hold NaN, not the input."""
    found = changed.astype(np.float32).copy()
    found[rows] = np.nan
    return found


def _targets(samples: Samples, x: Tensor, before: Tensor, to: int | None) -> Int[Tensor, " n"]:
    """The class each is to become: the one asked for, else the runner-up."""
    if to is not None:
        return torch.full_like(before, samples.outputs.tolist().index(to))
    with torch.no_grad():
        logits = samples.forward(x)[:, samples.outputs]
    return logits.scatter(1, before[:, None], -torch.inf).argmax(1)


def _of_few_columns(
    samples: Samples, room: Room, x: Float[Tensor, "n ..."], changed: Tensor, target: Tensor, steps: int
) -> Float[Tensor, "n ..."]:
    """The same sought again in the columns that changed most, one and more: of a table few changes can be read."""
    found, left = changed.clone(), samples.said(changed) == target
    rank = (-room.size(changed - x)).argsort(1).argsort(1).view_as(x)
    for count in FEW:
        tried = _turned(samples, room, x, target, steps, rank < count)
        fits = left & (samples.said(tried) == target)
        found[fits], left = tried[fits], left & ~fits
    return found


def _turned(
    samples: Samples,
    room: Room,
    x: Float[Tensor, "n ..."],
    target: Tensor,
    steps: int,
    free: Bool[Tensor, "n ..."] | None = None,
) -> Float[Tensor, "n ..."]:
    """The closest input that was seen on the way, by its absolute change; the last one where none turned. Only what is
    free changes."""
    reach = room.reach if free is None else room.reach * free
    change = torch.zeros_like(x).requires_grad_()  # in units of the reach
    optimizer = torch.optim.Adam([change], lr=0.03)
    weight = torch.full((len(x),), 1.0 / x[0].numel())
    best, smallest = x.clone(), torch.full((len(x),), torch.inf)
    for _ in range(steps):
        now = room.inside(x + change * reach)
        logits = samples.forward(now)[:, samples.outputs]
        own = logits.gather(1, target[:, None])[:, 0]
        margin = logits.scatter(1, target[:, None], -torch.inf).amax(1) - own
        size = room.size(now - x).sum(1)
        with torch.no_grad():
            closer = (margin < 0) & (size < smallest)
            best[closer], smallest[closer] = now[closer], size[closer]
            weight = torch.where(margin < 0, weight * 1.05, weight / 1.05)
        (change.grad,) = torch.autograd.grad((F.relu(margin + 0.1) + weight * size).sum(), change)
        optimizer.step()
    last = room.inside((x + change * reach).detach())
    return torch.where(torch.isinf(smallest).view(-1, *[1] * (x.ndim - 1)), last, best)


def _sparse(samples: Samples, room: Room, x: Tensor, changed: Tensor, target: Tensor) -> Float[Tensor, "n ..."]:
    """Change taken back, smallest first, in halving steps, as long as the answer stays turned."""
    flat, origin = changed.flatten(1).clone(), x.flatten(1)
    for _ in range(60):
        moved = torch.zeros(len(x), dtype=torch.bool)
        for share in (0.5, 0.25, 0.1, 0.03, 0.0):
            size = room.size((flat - origin).view_as(x))
            count = (size > 0).sum(1)
            drop = torch.clamp((share * count).long(), min=1)
            rank = torch.where(size > 0, size, torch.inf).argsort(1).argsort(1)
            tried = torch.where((rank < drop[:, None]) & (size > 0), origin, flat)
            keeps = samples.said(tried.view_as(x)) == target
            fresh = keeps & (count > 1) & ~moved  # each row takes the largest step that it can in a round
            flat[fresh], moved = tried[fresh], moved | fresh
        if not bool(moved.any()):
            break
    for row in range(len(x)):
        while len(spare := _spare(samples, x[row], flat[row].view_as(x[row]), target[row])):
            least = spare[(flat[row] - origin[row])[spare].abs().argmin()]
            flat[row, least] = origin[row, least]
    return flat.view_as(x)


def _array_checks(
    samples: Samples, room: Room, x: Tensor, changed: Tensor, target: Tensor, asked: int, seed: int
) -> tuple[Check, ...]:
    turns = "Share of the rows asked for that the change turns."
    stands = "Share of changes that still turn the answer with noise of 2 % of the range on them."
    if not len(x):
        reason = "no row could be turned"
        return (
            Check.at_least("turns", turns, 0.0, 1.0, Consequence.MARKS),
            Check.undefined("minimal", MINIMAL, reason),
            Check.undefined("stands", stands, reason, Consequence.INFORMS),
        )
    generator = torch.Generator().manual_seed(seed)
    signed = room.size(changed - x) * (changed - x).flatten(1).sign()
    places = room.reach.flatten().nonzero()[:, 0]
    order = torch.stack([places[torch.randperm(len(places), generator=generator)] for _ in range(len(x))])
    moved = torch.zeros_like(signed).scatter(1, places.expand(len(x), -1), signed.gather(1, order))
    elsewhere = room.inside(x + moved.view_as(x) * room.reach)
    null = float((samples.said(elsewhere) == target).float().mean())
    noise = 0.02 * room.reach * torch.randn(changed.shape, generator=generator)
    noisy = (samples.said(changed + noise) == target).float().mean()
    turned = float((samples.said(changed) == target).float().sum()) / asked
    pairs = zip(x, changed, target, strict=True)
    spared = float(np.mean([len(_spare(samples, *one)) / max(1, int((one[1] != one[0]).sum())) for one in pairs]))
    return (
        Check.at_least("turns", turns, turned, 1.0, Consequence.MARKS, {"the same change at other places": null}),
        Check.at_most("minimal", MINIMAL, spared, 0.0, Consequence.MARKS),
        Check.at_least("stands", stands, float(noisy), None, Consequence.INFORMS),
    )


def _spare(
    samples: Samples, x: Float[Tensor, "..."], changed: Float[Tensor, "..."], target: Tensor
) -> Int[Tensor, " k"]:
    """The changed places (flat) that can be put back, one at a time, while the answer stays turned."""
    places = (changed != x).flatten().nonzero()[:, 0]
    back = changed.flatten().repeat(len(places), 1)
    back[torch.arange(len(places)), places] = x.flatten()[places]
    if not len(places):
        return places
    kept: Tensor = places[samples.said(back.view(-1, *x.shape)) == target]
    return kept


def _of_sequences(
    network: Network,
    behavior: Behavior,
    rows: list[int],
    to: int | None,
    immutable: frozenset[int],
    split: str,
    most: int,
    seed: int,
) -> Counterfactuals:
    """Letters exchanged one after another, at each turn that which helps most; then those are put back that are not
    needed."""
    letters = torch.from_numpy(behavior.alphabet)
    found: dict[int, tuple[Tensor, int, int]] = {}
    undefined: dict[int, str] = {}
    originals: dict[int, Tensor] = {}
    for inputs in read_inputs(behavior, split, rows):
        for k in range(len(inputs)):
            one = inputs.select(np.array([k]))
            assert one.tokens is not None
            number = rows.index(int(one.rows[0]))
            originals[number] = one.tokens[0]
            turned = _exchanged(network, behavior, one, letters, to, immutable, most)
            if isinstance(turned, str):
                undefined[number] = turned
            else:
                found[number] = turned
    width = max(len(ids) for ids in originals.values())
    shape = (len(rows), width)
    before, changed = np.full(shape, -1), np.full(shape, -1)
    answers = np.full((2, len(rows)), -1)
    for number, ids in originals.items():
        before[number, : len(ids)] = ids.numpy()
        if number in found:
            changed[number, : len(ids)] = found[number][0].numpy()
            answers[:, number] = found[number][1:]
    turns = "Share of the rows asked for that so few letters turn."
    check = Check.at_least("turns", turns, len(found) / len(rows), 1.0, Consequence.MARKS)
    places = np.where(changed >= 0, changed != before, False).sum(1)
    raw = {
        "rows": np.array(rows), "inputs": before, "changed": changed, "before": answers[0], "after": answers[1],
        "places": places,
    }  # fmt: skip
    source = Provenance(
        "counterfactual", {"most": most, "split": split, "to": to, "immutable": sorted(immutable)}, seed, None,
        network.name, network.fingerprint, behavior.name,
    )  # fmt: skip
    return Counterfactuals("counterfactuals", raw, (check,), source, undefined=undefined, names=names_of(behavior))


def _exchanged(
    network: Network,
    behavior: Behavior,
    one: Inputs,
    letters: Tensor,
    to: int | None,
    immutable: frozenset[int],
    most: int,
) -> tuple[Tensor, int, int] | str:
    """The changed ids with the answers before and after; or why there are none."""
    assert one.tokens is not None and one.at is not None  # noqa: PT018
    readout, at = behavior.readout, int(one.at[0])
    assert isinstance(readout, Argmax)

    def logits(ids: Int[Tensor, "m s"]) -> Tensor:
        positions = None if one.positions is None or not network.takes_positions else one.positions.expand(len(ids), -1)
        out = network.logits(ids, positions)[:, at]
        if readout.outputs is None:
            return out
        allowed = torch.full_like(out, -torch.inf)
        allowed[:, list(readout.outputs)] = out[:, list(readout.outputs)]
        return allowed

    start = one.tokens[0]
    first = logits(start[None])[0]
    if to is not None and not (0 <= to < len(first) and bool(first[to].isfinite())):
        competing = readout.outputs or range(len(first))
        raise InputError(f"There is no output {to}; the outputs that compete are {', '.join(map(str, competing))}.")
    ids, before = start.clone(), int(first.argmax())
    if to is not None and to == before:
        return f"the network says {to} already"
    free = [place for place in torch.isin(start, letters).nonzero()[:, 0].tolist() if place not in immutable]
    for size in range(1, most + 1):
        # All changes of this size where they are few enough to be tried; else one more letter on top of the best.
        exhaustive = _ways(len(free), len(letters), size) <= EVERY
        tried = _every(start, free, letters, size) if exhaustive else _one_more(ids, start, free, letters)
        if not len(tried):
            break
        out = torch.cat([logits(part) for part in torch.split(tried, 1024)])
        rival = out[:, to] if to is not None else out.clone().index_fill_(1, torch.tensor([before]), -torch.inf).amax(1)
        gain = rival - (out[:, before] if to is None else out.index_fill(1, torch.tensor([to]), -torch.inf).amax(1))
        ids = tried[int(gain.argmax())]
        after = int(logits(ids[None])[0].argmax())
        if (after == to) if to is not None else (after != before):
            return _needed(ids, start, lambda x: int(logits(x[None])[0].argmax()), after), before, after
    return f"{most} letters were not enough"


def _ways(places: int, letters: int, size: int) -> int:
    return int(math.comb(places, size) * (letters - 1) ** size)


def _every(start: Tensor, free: list[int], letters: Tensor, size: int) -> Int[Tensor, "m s"]:
    """All strings in which exactly so many letters differ, or fewer."""
    places = torch.tensor(list(itertools.combinations(free, size)), dtype=torch.long).view(-1, size)
    words = torch.cartesian_prod(*[letters] * size).view(-1, size)
    tried = start.repeat(len(places) * len(words), 1)
    return tried.scatter(1, places.repeat_interleave(len(words), 0), words.repeat(len(places), 1))


def _one_more(ids: Tensor, start: Tensor, free: list[int], letters: Tensor) -> Int[Tensor, "m s"]:
    """All strings with one letter exchanged where none was yet."""
    left = [place for place in free if ids[place] == start[place]]
    tried = ids.repeat(len(left) * len(letters), 1)
    tried[torch.arange(len(tried)), torch.tensor(left, dtype=torch.long).repeat_interleave(len(letters))] = (
        letters.repeat(len(left))
    )
    return tried[(tried != ids).any(1)]


def _needed(ids: Tensor, start: Tensor, said: object, after: int) -> Tensor:
    """Letters put back one by one where the answer stays what it became."""
    assert callable(said)
    for place in (ids != start).nonzero()[:, 0].tolist():
        back = ids.clone()
        back[place] = start[place]
        if said(back) == after:
            ids = back
    return ids
