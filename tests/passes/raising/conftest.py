"""Programs written down as the weights of a transformer, the way RASP compilers do it, and what they must say.

The stream holds every variable one-hot (numbers in one entry). Heads look evenly at all keys for which a relation
holds, and rest on the first position (`bos`), always or for want of others; MLPs map, combine and compare. Only what a
reader of RASP knows is used here; nothing of the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Argmax, Readout, SequenceSplit, Value
from exegesis.ir import Array, Axis, Graph, Node, Site, Type, check
from exegesis.measure import Bench
from exegesis.passes.manager import Setting

STREAM = Type("real", ("batch", "pos", "d_model"))
PER_HEAD = Type("real", ("batch", "head", "pos", "d_head"))
PAIRS = Type("real", ("batch", "head", "query", "key"))
HIDDEN = Type("real", ("batch", "pos", "neuron"))

Predicate = Callable[[Any, Any], bool]
Neuron = tuple[dict[int, float], float, dict[int, float]]  # what it reads, its bias, what it writes


@dataclass(frozen=True)
class Variable:
    """A variable in the stream: its entries by value, or the one entry of a number."""

    entries: dict[Hashable, int]
    values: tuple[Any, ...] | None
    layer: int  # the first layer that may read it; half steps are MLPs

    def at(self, value: Hashable) -> int:
        return self.entries[value]


@dataclass
class _Layer:
    heads: list[tuple[Variable, Variable, Predicate, dict[int, int], bool]] = field(default_factory=list)
    neurons: list[Neuron] = field(default_factory=list)


class Rasp:
    """A program under construction.

    Args:
        letters: the alphabet; `bos` has the next id.
        longest: how many letters a string may have.
        sharp: how steep the steps are that tell widths apart; low ones blend large neighbouring widths.
    """

    def __init__(self, letters: Sequence[Any], longest: int, *, sharp: float = 300.0) -> None:
        self.letters, self.longest, self.sharp = tuple(letters), longest, sharp
        self.size = 2
        self.bos, self.one = 0, 1
        self.layers: list[_Layer] = []
        self.tokens = self._new(letters, 0)
        self.place = self._new(range(longest), 0)

    def _new(self, values: Sequence[Any] | range | None, layer: int) -> Variable:
        names: Sequence[Any] = ("",) if values is None else tuple(values)
        entries = {v: self.size + i for i, v in enumerate(names)}
        self.size += len(names)
        return Variable(entries, None if values is None else tuple(names), layer)

    def _layer(self, at: int) -> _Layer:
        while len(self.layers) <= at // 2:
            self.layers.append(_Layer())
        return self.layers[at // 2]

    def width(self, query: Variable, key: Variable, holds: Predicate) -> Variable:
        """How many positions have a key that holds with the query."""
        at = max(query.layer, key.layer)
        at += at % 2
        raw = self._new(None, at + 1)
        self._layer(at).heads.append((query, key, holds, {self.bos: raw.at("")}, True))
        shares = {1 / (1 + n): n for n in range(self.longest + 1)}
        return self._steps(raw, shares, at + 1)

    def gather(self, query: Variable, key: Variable, holds: Predicate, value: Variable) -> Variable:
        """The value (a number: its mean) where the key holds with the query; nothing for want of such positions."""
        at = max(query.layer, key.layer, value.layer)
        at += at % 2
        out = self._new(value.values, at + 1)
        moved = {value.at(v): out.at(v) for v in value.values or ("",)}
        self._layer(at).heads.append((query, key, holds, moved, False))
        return out

    def map(self, function: Callable[..., Any], *of: Variable, number: bool = False) -> Variable:
        """A function of one or two variables with values; a number if asked for."""
        at = max(v.layer for v in of)
        at += 1 - at % 2
        cases = list(product(*(v.values or () for v in of)))
        results = list(dict.fromkeys(function(*c) for c in cases))
        out = self._new(None if number else sorted(results), at + 1)
        for case in cases:
            reads = {v.at(x): 1.0 for v, x in zip(of, case, strict=True)}
            found = function(*case)
            writes = {out.at(""): float(found)} if number else {out.at(found): 1.0}
            self._layer(at).neurons.append((reads, 1.0 - len(of), writes))
        return out

    def sum(self, first: Variable, second: Variable, a: float, b: float) -> Variable:
        """a · first + b · second, of numbers."""
        at = max(first.layer, second.layer)
        at += 1 - at % 2
        out = self._new(None, at + 1)
        for sign, (of, weight) in product((1.0, -1.0), ((first, a), (second, b))):
            self._layer(at).neurons.append(({of.at(""): sign}, 0.0, {out.at(""): sign * weight}))
        return out

    def compare(self, function: Callable[[float], Any], of: Variable, numbers: Sequence[float]) -> Variable:
        """A function of a number that takes one of these values."""
        at = of.layer + 1 - of.layer % 2
        return self._steps(of, {x: function(x) for x in numbers}, at)

    def _steps(self, of: Variable, results: dict[float, Any], at: int) -> Variable:
        """A number becomes a variable with values: a step from one result to the next, half way between numbers."""
        points = sorted(results.items())
        out = self._new(sorted(set(results.values())), at + 1)
        neurons = self._layer(at).neurons
        neurons.append(({self.one: 1.0}, 0.0, {out.at(points[0][1]): 1.0}))
        for (low, before), (high, after) in pairwise(points):
            if before != after:
                bias, step = -self.sharp * (low + high) / 2, {out.at(after): 1.0, out.at(before): -1.0}
                neurons.append(({of.at(""): self.sharp}, bias + 0.5, step))
                neurons.append(({of.at(""): self.sharp}, bias - 0.5, {k: -v for k, v in step.items()}))
        return out

    # Weights

    def compiled(self, answer: Variable) -> Graph:
        """The transformer, whose outputs are the values of a variable."""
        v, d = len(self.letters) + 1, self.size
        embed, places = np.zeros((v, d)), np.zeros((self.longest + 1, d))
        embed[:, self.one] = 1
        embed[v - 1, self.bos] = 1
        for i, letter in enumerate(self.letters):
            embed[i, self.tokens.at(letter)] = 1
        for i in range(self.longest):
            places[i + 1, self.place.at(i)] = 1
        wiring = _Wiring(v, d, (*(str(x) for x in self.letters), "bos"))
        wiring.add("embed", "component.embed", ["tokens"], STREAM, weight=embed)
        wiring.add("positions", "component.arange", ["tokens"], Type("category", ("batch", "pos"), "position"))
        wiring.add("pos_embed", "component.embed", ["positions"], STREAM, weight=places)
        writers = ["embed", "pos_embed"]
        for k, layer in enumerate(self.layers):
            if layer.heads:
                writers.append(wiring.attention(f"L{k}", writers, *self._heads(layer)))
            if layer.neurons:
                writers.append(wiring.mlp(f"L{k}", writers, *self._neurons(layer)))
        values = answer.values or ("",)
        unembed = np.zeros((d, len(values)))
        for i, x in enumerate(values):
            unembed[answer.at(x), i] = 1
        return wiring.finish(writers, unembed, tuple(str(x) for x in values))

    def _heads(self, layer: _Layer) -> tuple[Array, Array, Array, Array]:
        widest = max(max(len(k.values or ()) + 1, len(moved)) for _, k, _, moved, _ in layer.heads)
        q, k, v = (np.zeros((len(layer.heads), self.size, widest)) for _ in range(3))
        o = np.zeros((len(layer.heads), widest, self.size))
        for h, (query, key, holds, moved, always) in enumerate(layer.heads):
            k[h, self.bos, -1], q[h, self.one, -1] = 1, 60 if always else 30
            for i, shown in enumerate(key.values or ()):
                k[h, key.at(shown), i] = 1
                for asked in query.values or ():
                    q[h, query.at(asked), i] = 60 * holds(asked, shown)
            for i, (source, target) in enumerate(moved.items()):
                v[h, source, i], o[h, i, target] = 1, 1
        return q, k, v, o

    def _neurons(self, layer: _Layer) -> tuple[Array, Array, Array]:
        read, bias = np.zeros((self.size, len(layer.neurons))), np.zeros(len(layer.neurons))
        write = np.zeros((len(layer.neurons), self.size))
        read[self.bos] = -1e3  # nothing happens at the first position
        for j, (reads, constant, writes) in enumerate(layer.neurons):
            bias[j] = constant
            for entry, weight in reads.items():
                read[entry, j] += weight
            for entry, weight in writes.items():
                write[j, entry] += weight
        return read, bias, write

    def setting(
        self, graph: Graph, readout: Readout | None = None, rows: int = 60, seed: int = 0, first: int = 1
    ) -> Setting:
        """Random strings to work on, and others; every letter from the `first` on is scored."""
        how = readout or Argmax()
        fit, held = (Bench(graph, how, self.split(self.strings(rows, seed + k), how, first)) for k in (0, 1))
        return Setting(fit, held, how, seed)

    def strings(self, rows: int, seed: int, shortest: int = 1) -> list[list[int]]:
        """Random strings of token ids, `bos` first, of all lengths."""
        rng = np.random.default_rng(seed)
        lengths = [shortest + k % (self.longest - shortest + 1) for k in range(rows)]
        return [[len(self.letters), *rng.integers(len(self.letters), size=n).tolist()] for n in lengths]

    def every_string(self, longest: int | None = None) -> Iterator[list[int]]:
        """All strings of token ids."""
        for n in range(1, (longest or self.longest) + 1):
            yield from ([len(self.letters), *s] for s in product(range(len(self.letters)), repeat=n))

    def split(self, rows: Sequence[Sequence[int]], readout: Readout, first: int = 1) -> SequenceSplit:
        """Rows of token ids as a split."""
        kept = [r for r in rows if len(r) > first]
        offsets = np.cumsum([0, *map(len, kept)])
        scored = np.concatenate([np.arange(len(r)) >= first for r in kept])
        return SequenceSplit("rows", np.concatenate([np.array(r) for r in kept]), offsets, scored, None, None)


class _Wiring:
    """A component graph, node by node, with the ids that a lift gives."""

    def __init__(self, tokens: int, width: int, labels: tuple[str, ...]) -> None:
        names = ("batch", "pos", "query", "key", "head", "d_head", "neuron", "position")
        axes = {n: Axis(n) for n in names} | {"token": Axis("token", tokens, labels), "d_model": Axis("d_model", width)}
        node = Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token"))
        self.graph = Graph((node,), ("tokens",), axes=axes, meta={"lifted_bits": 1e6})

    def add(self, id: str, op: str, inputs: Sequence[str], type: Type, attrs: Any = None, **tensors: Array) -> str:
        values = {f"{id}.{role}": np.asarray(t, np.float32) for role, t in tensors.items()}
        roles = {role: f"{id}.{role}" for role in tensors}
        node = Node(id, op, tuple(inputs), type, attrs or {}, roles, sites=(Site(id, type.axes),))
        self.graph = self.graph.with_nodes([*self.graph.nodes, node], outputs=(id,), tensors=values)
        return id

    def attention(self, layer: str, writers: Sequence[str], q: Array, k: Array, v: Array, o: Array) -> str:
        read = self.add(f"{layer}.resid_pre", "component.add", writers, STREAM)
        at = f"{layer}.attn"
        for role, weight in (("q", q), ("k", k), ("v", v)):
            self.add(f"{at}.{role}", "component.heads", [read], PER_HEAD, weight=weight)
        self.add(f"{at}.scores", "component.scores", [f"{at}.q", f"{at}.k"], PAIRS, {"scale": 1.0})
        self.add(f"{at}.pattern", "component.softmax", [f"{at}.scores"], PAIRS)
        self.add(f"{at}.z", "component.mix", [f"{at}.pattern", f"{at}.v"], PER_HEAD)
        return self.add(f"{at}.out", "component.write", [f"{at}.z"], STREAM, weight=o)

    def mlp(self, layer: str, writers: Sequence[str], read: Array, bias: Array, write: Array) -> str:
        stream = self.add(f"{layer}.resid_mid", "component.add", writers, STREAM)
        at = f"{layer}.mlp"
        self.add(f"{at}.in", "component.linear", [stream], HIDDEN, {"role": "mlp_in"}, weight=read, bias=bias)
        self.add(f"{at}.act", "component.activation", [f"{at}.in"], HIDDEN, {"kind": "relu"})
        zero = np.zeros(write.shape[1])
        return self.add(
            f"{at}.out", "component.linear", [f"{at}.act"], STREAM, {"role": "mlp_out"}, weight=write, bias=zero
        )

    def finish(self, writers: Sequence[str], unembed: Array, labels: tuple[str, ...]) -> Graph:
        read = self.add("resid_post", "component.add", writers, STREAM)
        axis = {"output": Axis("output", len(labels), labels)}
        self.graph = self.graph.with_nodes(self.graph.nodes, axes=axis)
        self.add("logits", "component.linear", [read], Type("real", ("batch", "pos", "output")), weight=unembed)
        check(self.graph)
        return self.graph


@pytest.fixture(scope="session")
def rasp() -> type[Rasp]:
    """A compiler of RASP programs."""
    return Rasp


@pytest.fixture(scope="session")
def as_value() -> Readout:
    """Answers that are numbers."""
    return Value(1e-3)
