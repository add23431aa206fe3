"""Composition in a dihedral group: motions of a plane, of which a network may keep only one direction.

At a frequency whose matrices are ρ, the logit of z for x and y is, up to a weight, the trace of L·ρ(x)·K·ρ(y)·R·ρ(z)ᵀ.
With L = K = R = 1 this is the composition by characters of Chughtai, Chan & Nanda (2023, arXiv 2302.03025). Where K is
the projection onto a direction d, only ρ(x)·d and ρ(y)ᵀ·d count, and many z fit; other frequencies, with other
directions, settle which (cosets: Stander et al. 2023, arXiv 2312.06581).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from exegesis.measure.groups import Group
from exegesis.measure.harmonics import motion_matrix
from exegesis.measure.pairs import Pairs
from exegesis.passes.draft import Draft
from exegesis.passes.raising.arithmetic.mixing import Mixing, Slot
from exegesis.passes.raising.arithmetic.names import Tokens, called, votes
from exegesis.passes.raising.arithmetic.program import Written

Matrices: TypeAlias = Float[np.ndarray, "n 2 2"]
_PLACES = ("left", "between", "right")
_LEAST = 0.5  # share of a frequency's votes that its form must explain
_FAINT = 0.1  # directions of the tokens' vectors with less than this of the largest strength are not held


@dataclass(frozen=True)
class Form:
    """What counts of the motions at one frequency.

    Attributes:
        frequency: f.
        kept: the direction, in degrees, that is kept on the left, between the motions, and on the right; None: all.
        weight: of its votes.
        explained: share of the logits' variance at this frequency that it explains.
    """

    frequency: int
    kept: tuple[int | None, int | None, int | None]
    weight: float
    explained: float


def write_composition(
    pairs: Pairs, group: Group, frequencies: Sequence[int], draft: Draft, seed: int
) -> Written | None:
    """The program that a network runs over these frequencies of a dihedral group. Arguments as for `write_addition`."""
    forms = [f for f in (_form(pairs, group, f) for f in frequencies) if f.explained >= _LEAST and f.weight > 0]
    if not forms:
        return None
    parts = {f.frequency: _votes(pairs, group, f.frequency, f.kept) for f in forms}
    slots = {f: _slot(pairs, group, f) for f in parts}
    mixing = Mixing.draw(pairs.logits, slots, parts, seed)
    weights = dict(zip(parts, mixing.rounded(np.array([f.weight for f in forms])), strict=True))
    left = pairs.logits - sum(f.weight * parts[f.frequency] for f in forms)
    figures = {
        "logit variance explained": 1 - float((left**2).sum() / (pairs.logits**2).sum()),
        "mixtures predicted": mixing.kept(np.array([float(w) for w in weights.values()])),
    } | {f"frequency {f.frequency}, explained": f.explained for f in forms}
    tokens = Tokens(pairs, group, draft)
    spans = [_span(pairs.vectors(k), names, weights, group) for k, names in enumerate((group.rows, group.columns))]
    held, gathered, product, answer = _write(tokens, group.period, forms, weights)
    return Written(answer, (held,), (spans[0], spans[1]), (gathered, (product,)), figures)


def _write(
    tokens: Tokens, period: int, forms: Sequence[Form], weights: Mapping[int, int]
) -> tuple[tuple[str, ...], tuple[str, ...], str, str]:
    draft = tokens.draft
    attrs = {"frequencies": list(weights), "period": period}
    doc = (
        f"What each token does to the plane at each frequency f, as a matrix: element k turns it by 2π·f·k/{period}, "
        f"element {period} + k flips it first."
    )
    held = tokens.held("symbolic.motion", attrs, 4 * len(weights), ("token_motions", "motions", doc))
    first, second = tokens.each(held)
    kept = {name: [f.kept[k] for f in forms] for k, name in enumerate(_PLACES)}
    directions = {name: d for name, d in kept.items() if any(v is not None for v in d)}
    product = draft.add("symbolic.compose", [first, second], held.type, directions, hint="composed_motions")
    doc = "The first token's motion after the second's"
    doc += "; where a direction is given in degrees, only what stands there counts." if directions else "."
    called(draft, product, "product", doc)
    fits = votes(draft, "symbolic.motion_votes", product, weights, period, 2 * period)
    gathered = tuple(n for n in (first, second) if n not in held.nodes)
    return held.nodes, gathered, product, tokens.answer(fits)


def _form(pairs: Pairs, group: Group, frequency: int) -> Form:
    """The form that explains most of a frequency's part of the logits."""
    slot = _slot(pairs, group, frequency)
    if 2 * frequency % group.period == 0:
        choices = [(None, None, None), (0, 0, 0), (90, 90, 90)]
    else:
        choices = [_kept(pairs, group, frequency), (None, None, None)]
    found = [_fitted(slot, _votes(pairs, group, frequency, kept), frequency, kept) for kept in choices]
    return max(found, key=lambda f: f.explained)


def _fitted(slot: Slot, made: Slot, frequency: int, kept: tuple[int | None, int | None, int | None]) -> Form:
    weight = float((made * slot).sum() / max(float((made**2).sum()), 1e-300))
    left = float(((slot - weight * made) ** 2).sum()) / max(float((slot**2).sum()), 1e-300)
    return Form(frequency, kept, weight, 1 - left)


def _kept(pairs: Pairs, group: Group, frequency: int) -> tuple[int | None, int | None, int | None]:
    """The directions that are kept, read off the coefficients of the logits over products of matrix entries.

    The coefficient of ρ(x)[i, j]·ρ(y)[k, l]·ρ(z)[m, o] is L[m, i]·K[j, k]·R[l, o]: the three matrices are the leading
    singular vectors of the coefficients along (m, i), (j, k) and (l, o).
    """
    entries = motion_matrix(frequency, group.period)
    logits = pairs.logits.reshape(pairs.n, pairs.n, pairs.n)
    by_z = logits @ entries[group.answers]
    by_x = np.einsum("xyz,xi->iyz", by_z, entries[group.rows])
    found = np.einsum("iyz,yk->ikz", by_x, entries[group.columns]).reshape(2, 2, 2, 2, 2, 2)
    found = found.transpose(4, 0, 1, 2, 3, 5).reshape(4, 4, 4)  # from (i, j, k, l, m, o) to (mi, jk, lo)
    kept = [_direction(np.linalg.svd(np.moveaxis(found, k, 0).reshape(4, 16))[0][:, 0].reshape(2, 2)) for k in range(3)]
    return kept[0], kept[1], kept[2]


def _direction(matrix: Float[np.ndarray, "2 2"]) -> int | None:
    """The direction that a matrix projects on, in degrees from 0 to 179; None where it is nearer to a multiple of 1."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    largest = int(np.abs(values).argmax())
    if abs(values[largest]) < abs(values.sum()) / np.sqrt(2):
        return None
    x, y = vectors[:, largest]
    return round(float(np.degrees(np.arctan2(y, x)))) % 180


def _slot(pairs: Pairs, group: Group, frequency: int) -> Slot:
    """The part of the logits at one frequency."""
    entries = motion_matrix(frequency, group.period)[group.answers]
    entries = entries - entries.mean(0)
    return np.asarray(pairs.logits @ entries @ np.linalg.pinv(entries))


def _votes(pairs: Pairs, group: Group, frequency: int, kept: Sequence[int | None]) -> Slot:
    """The votes of a form at weight 1, less their mean."""
    entries = motion_matrix(frequency, group.period)
    matrices = entries.reshape(-1, 2, 2)
    left, between, right = (_projection(k) for k in kept)
    x, y = left @ matrices[group.rows] @ between, matrices[group.columns] @ right
    product = np.einsum("xij,yjk->xyik", x, y).reshape(-1, 4)
    made = product @ entries[group.answers].T
    return np.asarray(made - made.mean(1, keepdims=True))


def _projection(degrees: int | None) -> Float[np.ndarray, "2 2"]:
    if degrees is None:
        return np.eye(2)
    direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    return np.outer(direction, direction)


def _span(
    vectors: Float[np.ndarray, "n width"], names: np.ndarray, frequencies: Mapping[int, int], group: Group
) -> Float[np.ndarray, "k width"]:
    """Where the motions of tokens stand among their vectors."""
    centred, rows = vectors - vectors.mean(0), []
    for f in frequencies:
        entries = motion_matrix(f, group.period)[names]
        _, strength, directions = np.linalg.svd((entries - entries.mean(0)).T @ centred, full_matrices=False)
        rows.append(directions[strength > _FAINT * strength[0]])
    basis: Float[np.ndarray, "k width"] = np.linalg.svd(np.concatenate(rows), full_matrices=False)[2]
    return basis
