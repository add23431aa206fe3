"""Networks that compute in a group by an algorithm that is known, because their weights are written down here.

Every neuron is a ReLU of a direction in the vector of the first token plus a direction in that of the second. Over a
grid of directions such neurons give what is linear in both, up to harmonics beyond the grid. With one direction for
both tokens they see only the sum of the two vectors (a pizza); with two they multiply (a clock).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, Domain, ProductDomain, SequenceSplit
from exegesis.ir import Graph
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.passes.manager import Setting

GRID = 12


class Pair(nn.Module):
    """Two tokens in, logits at the second position, no attention."""

    def __init__(self, embed: np.ndarray, first: np.ndarray, second: np.ndarray, unembed: np.ndarray) -> None:
        super().__init__()
        turned = _rotation(len(embed.T), 2 * len(embed.T) + 4)
        self.embed = _fixed(embed @ turned)
        self.inner = nn.Linear(2 * len(turned.T), len(first))
        with torch.no_grad():
            self.inner.weight.copy_(_fixed(np.concatenate([first @ turned, second @ turned], axis=1)))
            self.inner.bias.zero_()
        self.unembed = _fixed(unembed)

    def forward(self, input_ids: Tensor) -> Tensor:
        both = torch.cat([self.embed[input_ids[:, 0]], self.embed[input_ids[:, 1]]], -1)
        return (torch.relu(self.inner(both)) @ self.unembed)[:, None].expand(-1, 2, -1)


class Attending(nn.Module):
    """Two tokens and an equals sign, which looks at all three alike; logits stand at the last position."""

    def __init__(self, embed: np.ndarray, both: np.ndarray, unembed: np.ndarray) -> None:
        super().__init__()
        left, strength, right = np.linalg.svd(unembed, full_matrices=False)
        rank = int((strength > 1e-9).sum())
        turned = _rotation(embed.shape[1] + rank, embed.shape[1] + rank + 6)
        reads, writes = turned[: embed.shape[1]], turned[embed.shape[1] :]
        width = turned.shape[1]
        self.embed = _fixed(np.concatenate([embed @ reads, np.zeros((1, width))]))
        self.query, self.key = (nn.Parameter(torch.zeros(1, width, 4)) for _ in range(2))
        self.value, self.out = _fixed(np.eye(width)[None]), _fixed(3 * np.eye(width)[None])
        self.w_in, self.w_out = _fixed((both @ reads).T), _fixed((left * strength)[:, :rank] @ writes)
        self.unembed = _fixed(writes.T @ right[:rank])

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed[input_ids]
        q, k, v = (torch.einsum("bsd,hde->bhse", x, w) for w in (self.query, self.key, self.value))
        scores = q @ k.transpose(-1, -2) / 2.0
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        pattern = scores.masked_fill(future, torch.finfo(scores.dtype).min).softmax(-1)
        x = x + torch.einsum("bhse,hed->bsd", pattern @ v, self.out)
        return (x + torch.relu(x @ self.w_in) @ self.w_out) @ self.unembed


def _rotation(rows: int, width: int) -> np.ndarray:
    """Orthonormal rows in random directions."""
    return np.linalg.qr(np.random.default_rng(99).normal(size=(width, rows)))[0].T


def _fixed(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values, np.float32)))


def waves(frequencies: list[int], n: int) -> np.ndarray:
    """[n, 2·frequencies]."""
    angles = 2 * np.pi * np.outer(np.arange(n), frequencies) / n
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(n, -1)


def directions(count: int) -> np.ndarray:
    """Unit vectors all around, [count, 2]."""
    angles = 2 * np.pi * (np.arange(count) + 0.3) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def clock(n: int, weights: Mapping[int, float], order: np.ndarray | None = None) -> Pair:
    """Addition modulo n by multiplying waves. `order`: the number that each token stands for."""
    numbers = np.arange(n) if order is None else order
    frequencies = list(weights)
    grid = directions(GRID)
    first, second, unembed = [], [], []
    for k, (f, weight) in enumerate(weights.items()):
        for a in grid:
            for b in grid:
                first.append(_at(a, k, len(frequencies)))
                second.append(_at(b, k, len(frequencies)))
                turned = complex(*a) * complex(*b)
                unembed.append(weight * (turned.conjugate() * np.exp(2j * np.pi * f * numbers / n)).real)
    return Pair(waves(frequencies, n)[numbers], np.array(first), np.array(second), np.array(unembed) / GRID)


def pizza(n: int, weights: Mapping[int, float], companion: float = 0.0) -> Attending:
    """Addition modulo n by adding waves and doubling the angle of their sum. `companion`: how much of the sum of the
    waves at twice the frequency is taken off."""
    held = [*weights, *(2 * f % n for f in weights if companion)]
    both, unembed = [], []
    answer = {f: np.exp(2j * np.pi * f * np.arange(n) / n) for f in weights}
    for k, (f, weight) in enumerate(weights.items()):
        for a in directions(3 * GRID):
            both.append(_at(a, k, len(held)))
            unembed.append(weight * ((complex(*a) ** 2).conjugate() * answer[f]).real)
        for a in [*np.eye(2), *-np.eye(2)] if companion else ():
            both.append(_at(a, len(weights) + k, len(held)))
            doubled = GRID / np.pi  # how much of the doubled sum the neurons above give: 3·GRID times 1/(3π)
            unembed.append(-companion * doubled * weight * (complex(*a).conjugate() * answer[f]).real)
    return Attending(waves(held, n), np.array(both), np.array(unembed))


def lookup(n: int) -> Pair:
    """Addition modulo n without any wave: one neuron for each pair."""
    pairs = [(a, b) for a in range(n) for b in range(n)]
    one = np.eye(n)
    unembed = np.array([one[(a + b) % n] - 0.1 for a, b in pairs])
    network = Pair(one, np.array([one[a] for a, _ in pairs]), np.array([one[b] for _, b in pairs]), unembed)
    with torch.no_grad():
        network.inner.bias.fill_(-1.0)
    return network


def motions(f: int, n: int) -> np.ndarray:
    """The matrices of the dihedral group of order 2n, [2n, 2, 2]: turns, and turns after a flip."""
    turns = [np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in 2 * np.pi * f * np.arange(n) / n]
    return np.array([*turns, *(t @ np.diag([1.0, -1.0]) for t in turns)])


def polygon(n: int, kept: Mapping[int, tuple[float, float | None]]) -> Pair:
    """Composition in the dihedral group of order 2n: per frequency a weight, and the direction in degrees that is kept
    between the two motions (None: both coordinates are)."""
    embed = np.concatenate([motions(f, n).reshape(2 * n, 4) for f in kept], axis=1)
    grid = directions(GRID)
    first, second, unembed = [], [], []
    for k, (f, (weight, degrees)) in enumerate(kept.items()):
        angles = [0.0, 90.0] if degrees is None else [degrees]
        for angle in angles:
            d = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
            for a in grid:
                for b in grid:
                    first.append(_at(np.outer(a, d).ravel(), k, len(kept)))
                    second.append(_at(np.outer(d, b).ravel(), k, len(kept)))
                    unembed.append(weight * np.einsum("i,zij,j->z", a, motions(f, n), b))
    return Pair(embed, np.array(first), np.array(second), np.array(unembed) / GRID)


def four_points(signed: bool) -> np.ndarray:
    """The permutations of four points as motions of space, [24, 3, 3]; times their sign where `signed`."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2
    found = []
    for permutation in permutations(range(4)):
        matrix = corners[list(permutation)].T @ corners  # sends corner k to corner permutation[k]
        found.append(matrix * (np.linalg.det(matrix) if signed else 1))
    return np.array(found)


def tetrahedron(kept: Mapping[bool, tuple[float, np.ndarray | None]]) -> Pair:
    """Composition of permutations of four points: per kind of matrices (with their signs or without) a weight, and the
    direction that is kept between the two (None: all of space is)."""
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (1, -1) for b in (1, -1)]
    around = np.array([np.roll(c, k) for c in corners for k in range(3)]) / (1 + golden**2) ** 0.5  # an icosahedron
    embed = np.concatenate([four_points(signed).reshape(24, 9) for signed in kept], axis=1)
    first, second, unembed = [], [], []
    for k, (signed, (weight, direction)) in enumerate(kept.items()):
        for d in np.eye(3) if direction is None else direction[None] / np.linalg.norm(direction):
            for a in around:
                for b in around:
                    first.append(_at(np.outer(a, d).ravel(), k, len(kept)))
                    second.append(_at(np.outer(d, b).ravel(), k, len(kept)))
                    unembed.append(weight * np.einsum("i,zij,j->z", a, four_points(signed), b))
    return Pair(embed, np.array(first), np.array(second), np.array(unembed) / GRID)


def _at(vector: np.ndarray, k: int, count: int) -> np.ndarray:
    """A vector as the k-th of several of its size, zeros elsewhere."""
    return np.concatenate([vector if i == k else np.zeros_like(vector) for i in range(count)])


def lifted(network: nn.Module, length: int, n: int) -> Graph:
    """The network as a graph."""
    ids = torch.zeros(3, length, dtype=torch.long)
    ids[:, :2] = torch.tensor([[0, 1], [2, 1], [1, 2]])
    ids[:, 2:] = n
    return lift(network.eval(), {"input_ids": ids}).graph


def domain_of(length: int, n: int) -> ProductDomain:
    """All pairs, followed by an equals sign where there is room for one."""
    return ProductDomain((*(tuple(range(n)),) * 2, *((n,),) * (length - 2)))


def setting_of(graph: Graph, n: int, folder: Path, domain: Domain | None = None) -> Setting:
    """What a pass may look at: all pairs, half of them to fit on."""
    length = 2 if "pick" in graph.by_id else 3
    inputs = domain or domain_of(length, n)
    readout = Argmax(outputs=tuple(range(n)))
    lines = [
        {"input_ids": i.tolist(), "scored": [length - 1], "expected": [0]}
        for i in next(domain_of(length, n).enumerate(10**6))
    ]
    header: dict[str, Any] = {
        "name": "pairs",
        "task": "",
        "tokens": [str(k) for k in range(n + length - 2)],
        "readout": "argmax",
    }
    header |= {
        "outputs": list(range(n)),
        "domain": {"kind": "product", "positions": [list(p) for p in domain_of(length, n).positions]},
    }
    (folder / "behavior.json").write_text(json.dumps(header))
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    split = Behavior.load(folder).splits["train"]
    assert isinstance(split, SequenceSplit)
    every = np.arange(len(split))
    fit, held = split.select(every[::2]), split.select(every[1::2])
    return Setting(Bench(graph, readout, fit), Bench(graph, readout, held), readout, 0, inputs)
