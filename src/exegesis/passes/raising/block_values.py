"""What the heads of one attention block do on the bench, read once for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.ir import Graph
from exegesis.passes.raising.clusters import Codes, cluster
from exegesis.passes.raising.heads import Block
from exegesis.passes.raising.workbench import Workbench

Real = NDArray[np.floating]


@dataclass
class BlockValues:
    """Values of a block's heads, by their number in the network and by batch.

    Attributes:
        patterns, scores: [b, s, t] per head and batch; scores as they enter the softmax.
        contributed: [b, t, e] per head and batch, what each key contributes.
        gathered: [b, s, e] per head and batch, the mix of them.
        asked, shown: [b, s, e] per head and batch, queries and keys; empty where they are not recognised.
        left: numbers of the heads that are still in the block, in order.
    """

    patterns: list[list[Tensor]]
    scores: list[list[Tensor]]
    contributed: list[list[Tensor]]
    gathered: list[list[Tensor]]
    asked: list[list[Tensor]]
    shown: list[list[Tensor]]
    left: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, work: Workbench, block: Block) -> BlockValues:
        """Runs the bench once."""
        scores = work.graph[block.pattern].inputs[0]
        ends = _products(work.graph, scores)
        wanted = [block.pattern, scores, block.values, block.mix, *(ends or ())]
        got = [values for _, values in work.bench.each(work.graph, wanted)]

        def by_head(node: str) -> list[list[Tensor]]:
            heads = got[0][node].shape[1]
            return [[v[node][:, h * heads // block.heads] for v in got] for h in range(block.heads)]

        asked, shown = [by_head(e) for e in ends] if ends else ([], [])
        return cls(
            patterns=by_head(block.pattern),
            scores=by_head(scores),
            contributed=by_head(block.values),
            gathered=by_head(block.mix),
            asked=asked,
            shown=shown,
            left=list(range(block.heads)),
        )

    def mix_with(self, number: int, parts: list[Tensor]) -> list[Tensor]:
        """The block's mix, per batch, with other values [b, s, e] in the place of one head."""
        return [
            torch.stack([parts[k] if h == number else self.gathered[h][k] for h in self.left], 1)
            for k in range(len(parts))
        ]

    def codes(self, number: int) -> tuple[Codes | None, Codes | None]:
        """A head's queries and keys as groups of equal vectors, [n] each; None where they are no finite set."""
        if not self.asked:
            return None, None
        found = [cluster(laid_out(side[number]), most=1000) for side in (self.asked, self.shown)]
        return found[0][-1].codes if found[0] else None, found[1][-1].codes if found[1] else None


def laid_out(parts: list[Tensor]) -> Real:
    """Values [b, s, width] of every batch, end to end."""
    return np.concatenate([p.reshape(-1, p.shape[-1]).numpy() for p in parts])


def _products(graph: Graph, scores: str) -> tuple[str, str] | None:
    """The queries and keys whose products the scores are, if nothing but masks lies between."""
    node = graph[scores]
    while node.op == "component.mask":
        node = graph[node.inputs[0]]
    return (node.inputs[0], node.inputs[1]) if node.op == "component.scores" else None
