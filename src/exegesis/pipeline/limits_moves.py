"""Changes of whole stretches of an input, for flaws that changes of single tokens do not reach.

A task about how tokens stand to each other (brackets, palindromes, counts) is hardly probed by other letters at single
positions: these nearly always leave the few inputs of one class. Here letters change places, stretches are turned
round, moved along or filled with a repeated beginning, and the inputs that the network answers least clearly go on.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from exegesis.verify.budget import Deadline
from exegesis.verify.inputs import Inputs
from exegesis.verify.search import Attacker, Difference

_POPULATION, _CHILDREN, _GENERATIONS = 64, 4, 60
_LENGTHS = 4  # how many lengths are looked at
_STALE = 15  # generations without a lower margin, after which a length is left


def evolve(attacker: Attacker, split: str, deadline: Deadline) -> None:
    """Adds to the attacker's findings inputs that differ after changes of whole stretches.

    Args:
        attacker: program (or truth), network, and what was found.
        split: where starting inputs come from.
        deadline: no generation is begun after it.
    """
    rng = attacker.reference.rng("stretches")
    for group in attacker.space.starts(split, _LENGTHS * _POPULATION, rng, lengths=_LENGTHS):
        if deadline.over:
            return
        _evolve(attacker, group, rng, deadline)


def _evolve(attacker: Attacker, group: Inputs, rng: Generator, deadline: Deadline) -> None:
    alive, origins = group, group.ids
    margin, _ = attacker.margin(alive)
    lowest, stale = float(margin.min(initial=np.inf)), 0
    for _ in range(_GENERATIONS):
        keep = np.flatnonzero(margin >= 0)
        best = keep[np.argsort(margin[keep], kind="stable")][:_POPULATION]
        if not len(best) or deadline.over or stale > _STALE:
            return
        parents, roots = alive.take(best), origins[best]
        which = np.repeat(np.arange(len(parents)), _CHILDREN)
        children = moved(attacker, parents.take(which), rng)
        its, _ = attacker.margin(children)
        for row in np.flatnonzero(its < 0):
            attacker.search.found.append(Difference(children.take(np.array([row])), roots[which[row]][None]))
        alive = Inputs.stacked([parents, children])
        origins = np.concatenate([roots, roots[which]])
        margin = np.concatenate([margin[best], its])
        _, first = np.unique(alive.ids, axis=0, return_index=True)
        alive, origins, margin = alive.take(first), origins[first], margin[first]
        now = float(margin[margin >= 0].min(initial=np.inf))
        lowest, stale = (now, 0) if now < lowest else (lowest, stale + 1)


def moved(attacker: Attacker, inputs: Inputs, rng: Generator) -> Inputs:
    """Each input with one stretch of its letters changed, or one letter replaced; what is no letter stays in place."""
    space = attacker.space
    free = space.changeable(inputs)
    order = np.argsort(~free, axis=1, kind="stable")  # letters first, in their order
    letters = np.take_along_axis(inputs.ids, order, 1)
    n = free.sum(1)
    new = np.take_along_axis(letters, _sources(n, letters.shape[1], rng), 1)
    place = (rng.random(len(n)) * n).astype(np.int64)
    replaced = (rng.random(len(n)) < 0.2) & (n > 0)
    drawn = rng.choice(space.letters, size=len(n))
    new[replaced, place[replaced]] = drawn[replaced]
    ids = np.empty_like(inputs.ids)
    np.put_along_axis(ids, order, new, 1)
    allowed = np.broadcast_to(space.allowed(inputs.length)[None], (*ids.shape, len(space.letters)))
    fits = ((ids[..., None] == space.letters) & allowed).any(-1) | ~free
    return inputs.with_ids(np.where(fits.all(1)[:, None], ids, inputs.ids))


def _sources(n: Int[np.ndarray, " b"], width: int, rng: Generator) -> Int[np.ndarray, "b width"]:
    """From which place each letter is taken: a random stretch is swapped at its ends, reversed, shifted, or tiled."""
    b = len(n)
    ends = np.sort((rng.random((b, 2)) * n[:, None]).astype(np.int64), axis=1)
    low, high = ends[:, :1], ends[:, 1:]
    size = high - low + 1
    place = np.broadcast_to(np.arange(width), (b, width))
    inside = (place >= low) & (place <= high)
    swapped = np.where(place == low, high, np.where(place == high, low, place))
    turned = low + high - place
    shifted = low + (place - low + 1 + (rng.random((b, 1)) * size).astype(np.int64)) % size
    tiled = low + (place - low) % rng.integers(1, 4, size=(b, 1))
    kind = rng.integers(4, size=(b, 1))
    found = np.select([kind == 0, kind == 1, kind == 2], [swapped, turned, shifted], tiled)
    return np.where(inside, found, place)
