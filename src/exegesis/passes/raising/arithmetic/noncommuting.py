"""Programs of networks that compose motions of a polygon, or permutations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from exegesis.ir import Type
from exegesis.measure.groups import Group
from exegesis.measure.harmonics import Key
from exegesis.measure.pairs import Pairs
from exegesis.passes.draft import Draft
from exegesis.passes.raising.arithmetic.composition import WHOLE, Direction, Factors, Form, Kept, direction
from exegesis.passes.raising.arithmetic.mixing import Mixing
from exegesis.passes.raising.arithmetic.names import ELEMENT, Tokens, called, declare
from exegesis.passes.raising.arithmetic.program import Written

_PLACES = ("left", "between", "right")
_LEAST = 0.2  # share of a representation's votes that its form must explain to be kept
_FAINT = 0.1  # directions of the tokens' vectors with less than this of the largest strength are not held
_DIGITS = 10  # a direction's entries are whole numbers up to this


def write_composition(pairs: Pairs, group: Group, keys: Sequence[Key], draft: Draft, seed: int) -> Written | None:
    """The program that a network runs over these representations of its group. Arguments as for `write_addition`."""
    factors = Factors(pairs, group)
    style: _Motions | _Permutations = _Motions(group) if group.kind == "dihedral" else _Permutations(group)
    forms = [f for f in (style.form(factors, key) for key in keys) if f.explained >= _LEAST and f.weight > 0]
    if not forms:
        return None
    parts = {f.key: factors.votes(f.key, f.kept) for f in forms}
    mixing = Mixing.draw(pairs.logits, {k: factors.slot(k) for k in parts}, parts, seed)
    weights = dict(zip(parts, mixing.rounded(np.array([f.weight for f in forms])), strict=True))
    left = pairs.logits - sum(f.weight * parts[f.key] for f in forms)
    figures = {
        "logit variance explained": 1 - float((left**2).sum() / (pairs.logits**2).sum()),
        "mixtures predicted": mixing.kept(np.array([float(w) for w in weights.values()])),
    } | {f"{style.unit} {f.key}, explained": f.explained for f in forms}
    tokens = Tokens(pairs, group, draft)
    held = tokens.held(f"symbolic.{style.op}", style.attrs(list(weights)), style.entries(factors, forms), style.words)
    first, second = tokens.each(held)
    factor, other = (second, first) if group.swapped else (first, second)
    product = draft.add(f"symbolic.{style.product}", [factor, other], held.type, style.kept(forms), hint=style.hint)
    called(draft, product, "product", style.said(forms, swapped=group.swapped))
    declare(draft, group.order)
    type = Type("real", (*held.type.axes[:-1], ELEMENT))
    fits = draft.add(f"symbolic.{style.votes}", [product], type, style.weights(weights), hint="fits")
    gathered = tuple(n for n in (first, second) if n not in held.nodes)
    spans = [_span(pairs.vectors(k), names, factors, forms) for k, names in enumerate((group.rows, group.columns))]
    return Written(tokens.answer(fits), (held.nodes,), (spans[0], spans[1]), (gathered, (product,)), figures)


@dataclass(frozen=True, eq=False)
class _Motions:
    """How motions of a polygon are written.

    Attributes:
        group: a dihedral group.
    """

    group: Group

    op, product, votes, unit, hint = "motion", "compose", "motion_votes", "frequency", "composed_motions"

    def form(self, factors: Factors, key: Key) -> Form:
        """The form that explains most at one frequency; directions are whole degrees."""
        assert isinstance(key, int)
        choices = [WHOLE]
        if 2 * key % self.group.period == 0:
            choices += [(_unit(angle),) * 3 for angle in (0.0, 90.0)]
        else:
            left, between, right = (_whole_degrees(direction(part)) for part in factors.parts(key))
            choices.append((left, between, right))
        return max((factors.form(key, kept) for kept in choices), key=lambda f: f.explained)

    def attrs(self, keys: list[Key]) -> dict[str, Any]:
        """Of the tokens' motions."""
        return {"frequencies": keys, "period": self.group.period}

    def weights(self, weights: dict[Key, int]) -> dict[str, Any]:
        """Of the votes."""
        return {"weights": [[k, w] for k, w in weights.items()], "period": self.group.period}

    def entries(self, factors: Factors, forms: Sequence[Form]) -> int:
        """How many numbers all matrices have."""
        return 4 * len(forms)

    def kept(self, forms: Sequence[Form]) -> dict[str, Any]:
        """The directions, in degrees."""
        found = {name: [_degrees(f.kept[k]) for f in forms] for k, name in enumerate(_PLACES)}
        return {name: degrees for name, degrees in found.items() if any(d is not None for d in degrees)}

    @property
    def words(self) -> tuple[str, str, str]:
        """What the tokens' motions are called."""
        n = self.group.period
        said = (
            f"What each token does to the plane at each frequency f: element k turns it by 2π·f·k/{n}, element {n} + k"
        )
        return "token_motions", "motions", f"{said} flips it first."

    def said(self, forms: Sequence[Form], *, swapped: bool) -> str:
        """What the product is."""
        said = (
            "The second token's motion after the first's" if swapped else "The first token's motion after the second's"
        )
        return (
            f"{said}; where a direction is given in degrees, only what stands there counts."
            if self.kept(forms)
            else f"{said}."
        )


@dataclass(frozen=True, eq=False)
class _Permutations:
    """How permutations are written.

    Attributes:
        group: a symmetric or alternating group.
    """

    group: Group

    op, product, votes = "representation", "matrix_product", "representation_votes"
    unit, hint = "partition", "composed_permutations"

    def form(self, factors: Factors, key: Key) -> Form:
        """The form that explains most in one representation; a direction has small whole entries."""
        between = _whole_entries(direction(factors.parts(key)[1]))
        choices: list[Kept] = [WHOLE] if between is None else [WHOLE, (None, between, None)]
        return max((factors.form(key, kept) for kept in choices), key=lambda f: f.explained)

    def attrs(self, keys: list[Key]) -> dict[str, Any]:
        """Of the tokens' matrices."""
        return {"partitions": [list(k) for k in keys if isinstance(k, tuple)], **self._even}

    def weights(self, weights: dict[Key, int]) -> dict[str, Any]:
        """Of the votes."""
        return {"weights": [[list(k), w] for k, w in weights.items() if isinstance(k, tuple)], **self._even}

    @property
    def _even(self) -> dict[str, Any]:
        return {"even": True} if self.group.kind == "alternating" else {}

    def entries(self, factors: Factors, forms: Sequence[Form]) -> int:
        """How many numbers all matrices have."""
        return sum(factors.matrices(f.key)[0].size for f in forms)

    def kept(self, forms: Sequence[Form]) -> dict[str, Any]:
        """The partitions, and the directions where there are any."""
        between = [None if f.kept[1] is None else list(f.kept[1]) for f in forms]
        found: dict[str, Any] = {"partitions": [list(f.key) for f in forms if isinstance(f.key, tuple)]}
        return found | ({"between": between} if any(b is not None for b in between) else {})

    @property
    def words(self) -> tuple[str, str, str]:
        """What the tokens' matrices are called."""
        which = "even permutation" if self.group.kind == "alternating" else "permutation"
        said = f"The matrices of each token's permutation: token k is the k-th {which} of {self.group.period} points"
        return "token_matrices", "matrices", f"{said} in lexicographic order."

    def said(self, forms: Sequence[Form], *, swapped: bool) -> str:
        """What the product is."""
        one, two = ("second", "first") if swapped else ("first", "second")
        said = f"The matrices of the {one} token's permutation after the {two}'s"
        return (
            f"{said}; where a direction is given, only what stands in it counts."
            if "between" in self.kept(forms)
            else f"{said}."
        )


def _unit(degrees: float) -> Direction:
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


def _degrees(kept: Direction) -> int | None:
    """The direction in whole degrees from 0 to 179."""
    return None if kept is None else round(float(np.degrees(np.arctan2(kept[1], kept[0])))) % 180


def _whole_degrees(kept: Direction) -> Direction:
    degrees = _degrees(kept)
    return None if degrees is None else _unit(float(degrees))


def _whole_entries(kept: Direction) -> Direction:
    """The direction with the smallest whole entries that stay within a few degrees of it."""
    if kept is None:
        return None
    vector = np.array(kept) / np.linalg.norm(kept)
    vector = vector if vector[np.abs(vector).argmax()] > 0 else -vector
    tried = (np.round(vector / np.abs(vector).max() * largest) for largest in range(1, _DIGITS))
    near = (w for w in tried if w @ vector > 0.995 * np.linalg.norm(w))
    found = next(near, np.round(vector / np.abs(vector).max() * _DIGITS))
    return tuple(int(w) for w in found)


def _span(
    vectors: Float[np.ndarray, "n width"], names: np.ndarray, factors: Factors, forms: Sequence[Form]
) -> Float[np.ndarray, "k width"]:
    """Where the matrices of tokens stand among their vectors."""
    centred, rows = vectors - vectors.mean(0), []
    for form in forms:
        entries = factors.matrices(form.key)[names].reshape(len(names), -1)
        _, strength, directions = np.linalg.svd((entries - entries.mean(0)).T @ centred, full_matrices=False)
        rows.append(directions[strength > _FAINT * strength[0]])
    _, strength, basis = np.linalg.svd(np.concatenate(rows), full_matrices=False)
    found: Float[np.ndarray, "k width"] = basis[strength > 1e-6]
    return found
