"""How the waves of two tokens become the wave of their sum: by an exchange inside the network.

At each frequency f of a cyclic group, the wave of one token is exchanged at the place where its vector stands, and
nothing else: not even the same token's wave at 2f. How the answer's wave at f follows tells apart three accounts,
whose answers on whole inputs are nearly the same:

- product: the two waves are multiplied, so that their angles add up (the clock of arXiv 2306.17844);
- doubled: the two waves are added, and the angle of what comes out is doubled at the length it has, which is
  2·|cos(π·f·(a − b)/n)| (the pizza);
- doubled, less a companion: the sum of the waves at 2f, times some number, is taken off, which evens out that length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Complex, Float, Int

from exegesis.measure.groups import Group
from exegesis.measure.harmonics import wave_matrix
from exegesis.measure.pairs import Pairs

Account: TypeAlias = Literal["product", "doubled", "accompanied"]
Rows: TypeAlias = Int[np.ndarray, " r"]
Wave: TypeAlias = Complex[np.ndarray, " r"]

ROWS = 768  # exchanges per frequency and token


@dataclass(frozen=True)
class Response:
    """What the answer's wave at one frequency is made of.

    Attributes:
        frequency: f.
        explained: per account, the share of the squared length of the answer's wave that it explains.
        companion: how much of the companion is taken off, in units of the doubled wave.
    """

    frequency: int
    explained: Mapping[Account, float]
    companion: float

    @property
    def adds(self) -> bool:
        """Whether the waves are added rather than multiplied: whether either account of adding explains more."""
        adding = [self.explained[a] for a in ("doubled", "accompanied") if a in self.explained]
        return max(adding, default=0.0) > self.explained["product"]


def turn(frequency: int, name: Int[np.ndarray, "..."], period: int) -> Complex[np.ndarray, "..."]:
    """exp(2πi · frequency · name / period)."""
    turned: Complex[np.ndarray, "..."] = np.exp(2j * np.pi * (frequency * name % period) / period)
    return turned


def answer_wave(logits: Float[np.ndarray, "r n"], group: Group, frequency: int) -> Wave:
    """The wave of the answer at a frequency: the logits' component there, as a complex number per row."""
    scale = 1 if 2 * frequency % group.period == 0 else 2
    wave: Wave = logits @ turn(frequency, group.answers, group.period) * scale / group.period
    return wave


def doubled(frequency: int, a: Rows, b: Rows, period: int) -> Wave:
    """The sum of two waves with its angle doubled at its length."""
    z = turn(frequency, a, period) + turn(frequency, b, period)
    twice: Wave = np.where(np.abs(z) < 1e-9, 0, z * z / np.maximum(np.abs(z), 1e-9))
    return twice


def companion(frequency: int, a: Rows, b: Rows, period: int) -> Wave:
    """The sum of two waves at twice the frequency."""
    added: Wave = turn(2 * frequency, a, period) + turn(2 * frequency, b, period)
    return added


def plane(vectors: Float[np.ndarray, "n width"], names: Rows, frequencies: Sequence[int], period: int) -> np.ndarray:
    """An orthonormal basis [k, width] of where the waves of tokens stand among their vectors."""
    rows = np.concatenate([wave_matrix(f, period)[names].T @ (vectors - vectors.mean(0)) for f in frequencies])
    _, s, basis = np.linalg.svd(rows, full_matrices=False)
    found: np.ndarray = basis[s > 1e-6 * max(float(s[0]), 1e-300)]
    return found


def respond(pairs: Pairs, group: Group, frequency: int, seed: int, rows: int = ROWS) -> Response:
    """Exchanges the wave of either token at one frequency, and explains what becomes of the answer's wave.

    Args:
        pairs: the network; its carriers must be known.
        group: a cyclic group.
        frequency: f, from 1 to period/2.
        seed: draws pairs and what is put in.
        rows: how many exchanges per token.
    """
    rng = np.random.default_rng([seed, frequency])
    period, names = group.period, (group.rows, group.columns)
    seen: list[Wave] = []
    parts: dict[str, list[Wave]] = {"product": [], "doubled": [], "companion": []}
    for which in (0, 1):
        base = rng.integers(len(pairs.ids), size=rows)
        other = rng.integers(pairs.n, size=rows)
        seen.append(answer_wave(_exchanged(pairs, group, frequency, which, base, other), group, frequency))
        whole = [names[k][pairs.pair[k][base]] for k in (0, 1)]
        swapped = [names[k][other] if k == which else whole[k] for k in (0, 1)]
        parts["product"].append(turn(frequency, swapped[0] + swapped[1], period))
        parts["doubled"].append(doubled(frequency, swapped[0], swapped[1], period))
        parts["companion"].append(companion(frequency, whole[0], whole[1], period))
    return _explain(frequency, period, np.concatenate(seen), {k: np.concatenate(v) for k, v in parts.items()})


def _exchanged(
    pairs: Pairs, group: Group, frequency: int, which: int, base: Rows, other: Rows
) -> Float[np.ndarray, "r n"]:
    """Logits of pairs in which one token's wave at one frequency is that of another token."""
    assert pairs.carriers is not None
    carrier, vectors = pairs.carriers[which], pairs.vectors(which)
    names = group.rows if which == 0 else group.columns
    basis = plane(vectors, names, [frequency], group.period)
    move = (vectors[other] - vectors[pairs.pair[which][base]]) @ basis.T @ basis
    value = pairs.whole(carrier.node, base).clone()
    change = torch.from_numpy(move).to(value)
    if carrier.at is None:
        value += change
    else:
        value[:, carrier.at] += change
    return pairs.logits_given(base, {carrier.node: value})


def _explain(frequency: int, period: int, seen: Wave, parts: Mapping[str, Wave]) -> Response:
    sets: dict[Account, tuple[str, ...]] = {"product": ("product",)}
    if 2 * frequency % period:  # else both waves are numbers, whose angles are 0 when doubled
        sets["doubled"] = ("doubled",)
        if 3 * frequency % period:  # else the companion's frequency is the wave's own
            sets["accompanied"] = ("doubled", "companion")
    explained, companions = {}, 0.0
    for account, names in sets.items():
        explained[account], coefficients = _fit(seen, [parts[n] for n in names])
        if account == "accompanied" and coefficients[0] > 0:
            companions = -coefficients[1] / coefficients[0]
    if companions <= 0:
        explained.pop("accompanied", None)
    return Response(frequency, explained, float(companions))


def _fit(seen: Wave, parts: Sequence[Wave]) -> tuple[float, Float[np.ndarray, " k"]]:
    """Share explained by real multiples of some waves, and the multiples."""
    columns = np.stack([np.concatenate([p.real, p.imag]) for p in parts], axis=1)
    target = np.concatenate([seen.real, seen.imag])
    coefficients = np.linalg.lstsq(columns, target, rcond=None)[0]
    left = float(((target - columns @ coefficients) ** 2).sum())
    return 1 - left / max(float((target**2).sum()), 1e-300), coefficients
