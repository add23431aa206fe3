"""How much the outputs of a network feel a small change of a value inside: E[JᵀJ], J the Jacobian of the outputs.

For a change δ of a node's value (its last axis, the same statistics at all places), the outputs move by tr(M E[δδᵀ])
on average over answers, in squared distance; changes at different places are taken to be unrelated. Outputs of which
the largest answers are centred first, since adding to all of them changes nothing. M is estimated with random
combinations of outputs, so that no Jacobian is ever held (active subspaces: Constantine 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exegesis.ir import Graph
from exegesis.measure.bench import Bench, Observed
from exegesis.runtime import Executor

PROBES = 8  # random combinations of outputs per batch


def sensitivities(
    graph: Graph, bench: Bench, nodes: Sequence[str], *, probes: int = PROBES, seed: int = 0
) -> Mapping[str, Float[np.ndarray, "d d"]]:
    """Per node, [d, d] for the d numbers on its last axis; heads are laid side by side, [h · e, h · e].

    Args:
        graph: a network whose outputs are real numbers.
        bench: the inputs.
        nodes: ids of nodes with axes batch, position, … or batch, head, position, number; over arrays, batch and units
            or batch, channel, row, column.
        probes: random combinations of outputs per batch; more are more exact.
        seed: of these.
    """
    run, out = Executor(graph), graph.outputs[0]
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, Tensor] = {}
    embeds = [n.id for n in graph.nodes if n.op == "component.embed"]
    for seen in bench.batches:
        leaves = {k: v.clone().requires_grad_() for k, v in run.run(seen.inputs, embeds).items()}
        inputs = {k: v.clone().requires_grad_() if v.is_floating_point() else v for k, v in seen.inputs.items()}
        values = run.run(inputs, [out, *nodes], given=leaves, gradients=True)
        said = scored(values[out], seen)
        for _ in range(probes):
            probe = torch.randn(said.shape, generator=generator)
            wanted = [values[n] for n in nodes]
            found: list[Tensor | None] = list(
                torch.autograd.grad((said * probe).sum(), wanted, retain_graph=True, allow_unused=True)
            )
            for name, value, one in zip(nodes, wanted, found, strict=True):
                rows = _rows(torch.zeros_like(value) if one is None else one, seen).double()
                sums[name] = sums.get(name, torch.zeros(1, dtype=torch.float64)) + rows.T @ rows
    return {n: (total / (probes * bench.n)).numpy() for n, total in sums.items()}


def spread(graph: Graph, bench: Bench) -> float:
    """The variance of the outputs, summed over outputs, centred as in `sensitivities`: what changes are a share of."""
    out = graph.outputs[0]
    said = torch.cat([scored(values[out], seen) for seen, values in bench.each(graph, [out])]).double()
    return max(float(said.var(0, correction=0).sum()), 1e-12)


def scored(value: Tensor, seen: Observed) -> Tensor:
    """Outputs at scored places, [n, outputs], centred where there are several."""
    value = value if value.ndim > seen.scored.ndim else value[..., None]
    rows = value.expand(*seen.scored.shape, value.shape[-1])[seen.scored]
    return rows - rows.mean(-1, keepdim=True) if rows.shape[-1] > 1 else rows


def _rows(value: Tensor, seen: Observed) -> Tensor:
    """All numbers at a place in one row: channels of a picture, heads side by side."""
    if value.ndim == 4:
        value = value.movedim(1, -1) if seen.scored.ndim == 1 else value.movedim(1, 2).flatten(2)
    return value.flatten(0, -2)
