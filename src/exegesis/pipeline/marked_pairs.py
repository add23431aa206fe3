"""The dense end of a network on inputs without and with a mark: what its units are there, and what becomes of the
answers without some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor

from exegesis.ir import Graph, InputError, Node
from exegesis.measure.concepts import Labelled
from exegesis.measure.modularity import Block, Layer, UnitGraph
from exegesis.pipeline.subjects import Subject
from exegesis.runtime import Executor

Members: TypeAlias = Mapping[str, Int[np.ndarray, " _"]]  # node → entries of its value


def halves(found: Labelled, seed: int) -> list[Float[np.ndarray, "two n ..."]]:
    """Unmarked and marked inputs, pair by pair, of each half."""
    if found.pairs is None or len(found.attributes) != 1:
        raise InputError("A mark needs inputs in pairs, without it and with it; patch:R-R,C-C makes them.")
    shown = found.attributes[0].of == 1
    halves = []
    for rows in found.halves(seed):
        plain = rows[~shown[rows]]
        halves.append(np.stack([found.x[plain], found.x[found.pairs[plain]]]).astype(np.float32))
    return halves


@dataclass(frozen=True, eq=False)
class Pairs:
    """A network's dense end on unmarked inputs and, after them, the same inputs marked.

    Attributes:
        graph: the program.
        maps: its last dense maps, each of which reads what the one before gives; the last gives the output.
        x: inputs, [2 n, ...].
        values: what each map reads, by node id, and the output.
        said: the answers, [2 n].
    """

    graph: Graph
    maps: tuple[Node, ...]
    x: Tensor
    values: Mapping[str, Tensor]
    said: Int[np.ndarray, " m"]

    @classmethod
    def of(cls, there: Subject, both: Float[np.ndarray, "two n ..."]) -> Pairs:
        maps = dense_end(there.graph)
        x = torch.from_numpy(both.reshape(-1, *both.shape[2:]))
        out = there.graph.outputs[0]
        values = Executor(there.graph).run({there.graph.inputs[0].id: x}, [*(m.inputs[0] for m in maps), out])
        pairs = cls(there.graph, maps, x, values, values[out].argmax(-1).numpy())
        if pairs.turned == 0:
            raise InputError("The mark changes no answer, so that nothing carries it to one.")
        return pairs

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.x) // 2

    @property
    def turned(self) -> float:
        """Share of pairs whose answer the mark changes."""
        return float((self.said[self.n :] != self.said[: self.n]).mean())

    @cached_property
    def means(self) -> Mapping[str, Tensor]:
        """What each map reads, on average over unmarked inputs."""
        return {m.inputs[0]: self.values[m.inputs[0]][: self.n].mean(0) for m in self.maps}

    @cached_property
    def changing(self) -> Members:
        """Which entries of what each map reads are not the same on all inputs."""
        return {m.inputs[0]: np.flatnonzero((self.values[m.inputs[0]].std(0) > 0).numpy()) for m in self.maps}

    def attributions(self) -> UnitGraph:
        """Units tied by |weight| · mean of |activation| · mean of |gradient of the answer's margin|."""
        run = Executor(self.graph)
        out = self.graph.outputs[0]
        x = self.x.clone().requires_grad_()
        found = run.run({self.graph.inputs[0].id: x}, [out, *(m.id for m in self.maps)], gradients=True)
        logits = found[out]
        margin = (logits.gather(-1, logits.argmax(-1, keepdim=True))[:, 0] - logits.mean(-1)).sum()
        slopes = torch.autograd.grad(margin, [found[m.id] for m in self.maps])
        blocks, layers = [], []
        for i, (where, slope) in enumerate(zip(self.maps, slopes, strict=True)):
            weight = np.abs(self.graph.tensors[where.tensors["weight"]].astype(np.float64)) * where.attrs.get("step", 1)
            passed = (self.values[where.inputs[0]].abs().T @ slope.abs()).numpy() / len(self.x)
            blocks.append(Block(i, i + 1, (weight * passed).astype(np.float32)))
            layers.append(Layer(where.inputs[0], len(weight), i))
        layers.append(Layer("output", blocks[-1].weights.shape[1]))
        return UnitGraph(tuple(layers), tuple(blocks), "attributions")

    def without(self, members: Members, means: Mapping[str, Tensor] | None = None) -> tuple[float, float]:
        """Share of pairs whose marked input is not answered as the unmarked one was, and of unmarked answers that
        stay, with a module at its mean."""
        said = self._said(members, means or self.means)
        plain = self.said[: self.n]
        return float((said[self.n :] != plain).mean()), float((said[: self.n] == plain).mean())

    def lost_by_class(
        self, members: Members, means: Mapping[str, Tensor], classes: int
    ) -> Float[np.ndarray, " classes"]:
        """Of unmarked inputs, the share of each answer that changes; NaN for answers that never come."""
        said, plain = self._said(members, means)[: self.n], self.said[: self.n]
        return np.array(
            [float((said != plain)[plain == c].mean()) if (plain == c).any() else np.nan for c in range(classes)]
        )

    def _said(self, members: Members, means: Mapping[str, Tensor]) -> Int[np.ndarray, " m"]:
        run, inputs = Executor(self.graph), {self.graph.inputs[0].id: self.x}
        given: dict[str, Tensor] = {}
        for where in self.maps:
            name = where.inputs[0]
            if name in members:
                held = run.run(inputs, [name], given=given)[name].clone()
                at = torch.from_numpy(members[name])
                held[:, at] = means[name][at]
                given[name] = held
        out = self.graph.outputs[0]
        said: Int[np.ndarray, " m"] = run.run(inputs, [out], given=given)[out].argmax(-1).numpy()
        return said

    def random_like(self, members: Members, rng: Generator) -> Members:
        """As many entries of the same values, of those that ever change."""
        drawn = {}
        for name, units in members.items():
            pool = self.changing[name]
            pool = pool if len(pool) >= len(units) else np.arange(self.values[name].shape[1])
            drawn[name] = np.sort(rng.choice(pool, len(units), replace=False))
        return drawn

    def carried(self, members: Members) -> list[tuple[str, int]]:
        """Entries of a module, those first that pass on most of what the mark does to the answer.

        That is the change which the mark makes to the entry, times the gradient of the answer with the mark over the
        one without, at the marked input, summed over the pairs that the mark turns.
        """
        run, out = Executor(self.graph), self.graph.outputs[0]
        names = [m.inputs[0] for m in self.maps if m.inputs[0] in members]
        turned = self.said[self.n :] != self.said[: self.n]
        x = self.x[self.n :][torch.from_numpy(turned)].clone().requires_grad_()
        found = run.run({self.graph.inputs[0].id: x}, [out, *names], gradients=True)
        now, before = (torch.from_numpy(said[turned])[:, None] for said in (self.said[self.n :], self.said[: self.n]))
        margin = (found[out].gather(1, now) - found[out].gather(1, before)).sum()
        slopes = torch.autograd.grad(margin, [found[name] for name in names])
        shares = []
        for name, slope in zip(names, slopes, strict=True):
            change = (self.values[name][self.n :] - self.values[name][: self.n])[torch.from_numpy(turned)]
            passed = (change * slope).sum(0).numpy()
            shares += [(float(passed[u]), name, int(u)) for u in members[name]]
        return [(name, unit) for _, name, unit in sorted(shares, key=lambda s: (-s[0], s[1], s[2]))]


def dense_end(graph: Graph) -> tuple[Node, ...]:
    """The dense maps at the end of a network, from the first that reads hidden units."""
    found: list[Node] = []
    node = graph[graph.outputs[0]]
    while node.op == "component.linear" and len(node.type.axes) == 2:
        source = graph[node.inputs[0]]
        before = _map_before(graph, source)
        if before is None:
            break
        found.insert(0, node)
        node = before
    if not found:
        raise InputError(
            "The network does not end in dense maps of hidden units, in which a module could be looked for."
        )
    return tuple(found)


def _map_before(graph: Graph, node: Node) -> Node | None:
    """The map whose units a value holds, through what changes no order."""
    while node.op not in ("component.linear", "component.conv2d"):
        if len(node.inputs) != 1:
            return None
        node = graph[node.inputs[0]]
    return node
