"""Small networks made by hand, whose algorithm is known, and what passes need to look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from exegesis.behavior import Argmax, Behavior, Readout, SequenceSplit
from exegesis.ir import Array, Axis, Graph, Node, Site, Type, check
from exegesis.measure import Bench
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Setting
from exegesis.passes.raising.head_view import HeadView
from exegesis.passes.raising.observations import Observations
from exegesis.runtime import Executor

STREAM = Type("real", ("batch", "pos", "d_model"))
PER_HEAD = Type("real", ("batch", "head", "pos", "d_head"))
PAIRS = Type("real", ("batch", "head", "query", "key"))


@dataclass(frozen=True)
class Head:
    """One head: queries and keys [d, e], values [d, e], what is written [e, d]."""

    q: Array
    k: Array
    v: Array
    o: Array


@dataclass
class Wiring:
    """A causal transformer, node by node, with the ids that a lift gives."""

    graph: Graph

    @classmethod
    def start(cls, embed: Array, positions: Array | None = None) -> Wiring:
        """Embeddings [v, d] and perhaps positions [p, d]."""
        v, d = embed.shape
        axes = {a.name: a for a in map(Axis, ("batch", "pos", "query", "key", "head", "d_head", "neuron"))}
        axes |= {"token": Axis("token", v, tuple(f"t{i}" for i in range(v))), "d_model": Axis("d_model", d)}
        tokens = Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token"))
        found = cls(Graph((tokens,), ("tokens",), axes=axes))
        found.add("embed", "component.embed", ["tokens"], STREAM, weight=embed)
        writers = ["embed"]
        if positions is not None:
            found.add("place", "component.arange", ["tokens"], Type("int", ("batch", "pos")))
            found.add("pos_embed", "component.embed", ["place"], STREAM, weight=positions)
            writers.append("pos_embed")
        found.writers = writers
        return found

    def add(self, id: str, op: str, inputs: Sequence[str], type: Type, attrs: Any = None, **tensors: Array) -> str:
        sites = (Site(id, type.axes),) if op == "component.mix" else ()
        roles = {role: f"{id}.{role}" for role in tensors}
        values = {f"{id}.{role}": np.asarray(t, np.float32) for role, t in tensors.items()}
        node = Node(id, op, tuple(inputs), type, attrs or {}, roles, sites=sites)
        self.graph = self.graph.with_nodes([*self.graph.nodes, node], outputs=(id,), tensors=values)
        return id

    def stream(self, id: str) -> str:
        """The sum of everything written so far."""
        if len(self.writers) == 1:
            return self.writers[0]
        return self.add(id, "component.add", self.writers, STREAM)

    def attention(self, layer: str, heads: Sequence[Head]) -> Wiring:
        """A layer of causal heads, scores without a scale."""
        read = self.stream(f"{layer}.resid_pre")
        for role in "qkv":
            weight = np.stack([getattr(h, role) for h in heads])
            self.add(f"{layer}.attn.{role}", "component.heads", [read], PER_HEAD, weight=weight)
        at = f"{layer}.attn"
        self.add(f"{at}.scores", "component.scores", [f"{at}.q", f"{at}.k"], PAIRS, {"scale": 1.0})
        self.add(f"{at}.mask", "component.mask", [f"{at}.scores"], PAIRS, {"causal": True, "fill": -1e9})
        self.add(f"{at}.pattern", "component.softmax", [f"{at}.mask"], PAIRS)
        self.add(f"{at}.z", "component.mix", [f"{at}.pattern", f"{at}.v"], PER_HEAD)
        write = np.stack([h.o for h in heads])
        self.writers.append(self.add(f"{at}.out", "component.write", [f"{at}.z"], STREAM, weight=write))
        return self

    def unembed(self, weight: Array, bias: Array | None = None, norm: Mapping[str, Array] | None = None) -> Graph:
        """Outputs [d, out] of the stream (through a layer norm), and the finished graph."""
        read = self.stream("resid_post")
        if norm is not None:
            read = self.add("ln_final", "component.norm", [read], STREAM, {"kind": "layer", "eps": 1e-5}, **norm)
        size = np.shape(weight)[1]
        self.graph = self.graph.with_nodes(self.graph.nodes, axes={"output": Axis("output", size)})
        tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        self.add("logits", "component.linear", [read], Type("real", ("batch", "pos", "output")), **tensors)
        check(self.graph)
        return self.graph

    writers: Sequence[str] = ()


def previous_token(d: int, content: slice, to: slice, places: slice, strength: float = 40.0) -> Head:
    """A head that looks one position back and copies content to another part of the stream.

    The stream holds the position one-hot in `places`.
    """
    n = places.stop - places.start
    q, k = np.zeros((d, n)), np.zeros((d, n))
    q[places] = strength * np.eye(n, k=-1)  # position p looks for p - 1
    k[places] = np.eye(n)
    q[places.start, 0] = strength
    return Head(q, k, *_copying(d, content, to))


def same_category(d: int, asked: slice, held: slice, content: slice, to: slice, strength: float = 40.0) -> Head:
    """A head that looks where `held` is what `asked` is here, and copies content."""
    n = asked.stop - asked.start
    q, k = np.zeros((d, n)), np.zeros((d, n))
    q[asked], k[held] = strength * np.eye(n), np.eye(n)
    return Head(q, k, *_copying(d, content, to))


def averaging(d: int, content: slice, to: slice) -> Head:
    """A head that looks at everything so far."""
    n = content.stop - content.start
    return Head(np.zeros((d, n)), np.zeros((d, n)), *_copying(d, content, to))


def _copying(d: int, content: slice, to: slice) -> tuple[Array, Array]:
    n = content.stop - content.start
    v, o = np.zeros((d, n)), np.zeros((n, d))
    v[content], o[:, to] = np.eye(n), np.eye(n)
    return v, o


def split_of(rows: Sequence[Sequence[int]], scored: Sequence[Sequence[int]] | None = None) -> SequenceSplit:
    """Rows of token ids, all positions scored unless told."""
    asked = scored or [range(len(r)) for r in rows]
    given = [{"input_ids": list(r), "scored": list(s)} for r, s in zip(rows, asked, strict=True)]
    largest = max(max(r) for r in rows) + 1
    return Behavior.from_sequences("b", [str(i) for i in range(largest)], {"train": given}, Argmax()).sequences("train")


def setting_of(
    graph: Graph, split: SequenceSplit, readout: Readout | None = None, held: SequenceSplit | None = None
) -> Setting:
    """The bench of a graph that stands for the network."""
    how = readout or Argmax()
    return Setting(Bench(graph, how, split), Bench(graph, how, held or split), how, seed=0)


def view_of(
    patterns: Sequence[Tensor], variables: Mapping[str, Sequence[Tensor]], sizes: Mapping[str, int], causal: bool
) -> tuple[HeadView, Draft]:
    """A head with these patterns [b, s, t], every query live, and a draft over a graph that has its variables."""
    every = ("batch", "pos")
    axes = {a.name: a for a in map(Axis, (*every, "key"))} | {f"{v}_": Axis(f"{v}_", sizes[v]) for v in variables}
    first, *others = variables
    nodes = [Node(first, "input.tokens", (), Type("category", every, f"{first}_"))]
    nodes += [Node(v, "symbolic.relabel", (first,), Type("category", every, f"{v}_"), {"table": []}) for v in others]
    graph = Graph(tuple(nodes), tuple(variables), axes=axes)
    live = [torch.ones(p.shape[:2], dtype=torch.bool) for p in patterns]
    return HeadView(patterns, live, variables, sizes, first, causal), Draft(graph, "test")


def written(write: Callable[[Draft], str], seen: Observations) -> Array:
    """What nodes say that are drafted over the variables of observations: run as a program, [n] or [n, outputs]."""
    every = ("batch", "pos")
    axes = {a.name: a for a in (*map(Axis, every), Axis("answer", max(seen.classes, 1)))}
    nodes, values = [], {}
    for name, column in seen.categories.items():
        axes[f"of_{name}"] = Axis(f"of_{name}", seen.sizes[name])
        nodes.append(Node(name, "input.tokens", (), Type("category", every, f"of_{name}")))
        values[name] = torch.from_numpy(column)[None]
    for name, table in seen.counts.items():
        axes[f"of_{name}"] = Axis(f"of_{name}", table.shape[1])
        nodes.append(Node(name, "input.array", (), Type("real", (*every, f"of_{name}"))))
        values[name] = torch.from_numpy(table)[None]
    draft = Draft(Graph(tuple(nodes), (nodes[0].id,), axes=axes), "test")
    last = write(draft)
    graph = draft.whole(outputs=(last,))
    check(graph)
    found: Array = (
        Executor(graph)
        .run(values, [last])[last]
        .expand(1, len(seen), *[-1] * (len(graph[last].type.axes) - 2))[0]
        .numpy()
    )
    return found


@dataclass(frozen=True)
class Toolbox:
    """Everything above, for tests."""

    Head = Head
    start = staticmethod(Wiring.start)
    previous_token = staticmethod(previous_token)
    same_category = staticmethod(same_category)
    averaging = staticmethod(averaging)
    split_of = staticmethod(split_of)
    setting_of = staticmethod(setting_of)
    view_of = staticmethod(view_of)
    written = staticmethod(written)


@pytest.fixture(scope="session")
def hand() -> type[Toolbox]:
    """Tools to make networks and benches by hand."""
    return Toolbox


@pytest.fixture(scope="session")
def strings() -> Callable[..., list[list[int]]]:
    """Random strings of tokens."""

    def draw(
        n: int, letters: int, lengths: tuple[int, int], seed: int = 0, first: int | None = None
    ) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        rows = [rng.integers(0, letters, int(rng.integers(*lengths))).tolist() for _ in range(n)]
        return rows if first is None else [[first, *r] for r in rows]

    return draw
