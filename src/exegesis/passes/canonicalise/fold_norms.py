"""Folds the affine part of norms into what reads them.

What: `norm(x)·w + b` read by linear maps becomes a plain norm read by maps with weights diag(w)·W and biases bW + c.
Why valid: linear maps compose. Refuses when: something else than heads or a linear map reads the norm.
Guarantee: exact, to float error.
Example: `ln1 → q, k, v` becomes a norm without parameters and three changed projections.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from exegesis.ir import Array, Graph, Node
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

_READERS = ("component.heads", "component.linear")


@dataclass(frozen=True)
class FoldNorms:
    """No settings."""

    name = "fold_norms"
    stage = "canonicalise"
    guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """A norm with an affine part."""
        return None if any(_is_affine(n) for n in graph.nodes) else "no norm has an affine part"

    def ensures(self, graph: Graph) -> str | None:
        """Norms that only linear maps read have no affine part left."""
        left = [n.id for n in graph.nodes if _is_affine(n) and _is_foldable(graph, n)]
        return f"{left[0]} still has an affine part" if left else None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph with every norm folded that can be."""
        attempts = []
        for norm in [n for n in graph.nodes if _is_affine(n)]:
            foldable = _is_foldable(graph, norm)
            attempts.append(Attempt(norm.id, "folded" if foldable else "read by more than linear maps", foldable))
            if foldable:
                graph = _fold(graph, norm)
        return Outcome(graph, tuple(attempts))


def _is_affine(node: Node) -> bool:
    return node.op == "component.norm" and bool(node.tensors)


def _is_foldable(graph: Graph, norm: Node) -> bool:
    return norm.id not in graph.outputs and all(u.op in _READERS for u in graph.users(norm.id))


def _fold(graph: Graph, norm: Node) -> Graph:
    """The norm loses its sites with its parameters: the network holds the affine value there."""
    tensors: dict[str, Array] = {}
    changed = {norm.id: replace(norm, tensors={}, sites=())}
    scale = graph.tensors[norm.tensors["weight"]] if "weight" in norm.tensors else None
    shift = graph.tensors[norm.tensors["bias"]] if "bias" in norm.tensors else None
    for reader in graph.users(norm.id):
        weight = graph.tensors[reader.tensors["weight"]]
        roles = {"weight": f"{reader.id}.weight+{norm.id}"}
        tensors[roles["weight"]] = weight if scale is None else (scale[:, None] * weight).astype(weight.dtype)
        bias = graph.tensors[reader.tensors["bias"]] if "bias" in reader.tensors else None
        if shift is not None:
            moved = np.einsum("d,...de->...e", shift, weight)
            bias = moved if bias is None else bias + moved
        if bias is not None:
            roles["bias"] = f"{reader.id}.bias+{norm.id}"
            tensors[roles["bias"]] = bias.astype(weight.dtype)
        changed[reader.id] = replace(reader, tensors=roles)
    return graph.with_nodes([changed.get(n.id, n) for n in graph.nodes], tensors=tensors).pruned()
