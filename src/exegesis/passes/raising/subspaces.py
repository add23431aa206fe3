"""What looks for variables in subspaces of the residual stream has in common: inputs, places, sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from exegesis.ir import Array, Graph, Site
from exegesis.measure import Bench
from exegesis.measure.rotations import Found, Rows
from exegesis.measure.streams import streams
from exegesis.passes.raising.heads import attention_blocks


def places(network: Graph) -> list[str]:
    """Points of the stream between the first attention and the last layer that computes anything with it."""
    after = network.downstream(b.write for b in attention_blocks(network))
    working = [n.id for n in network.nodes if n.op in ("component.softmax", "component.activation")]
    return [n for n in streams(network) if n in after and network.downstream([n]).intersection(working)]


def sites_of(
    network: Graph, variables: Sequence[str], found: Found
) -> tuple[dict[str, tuple[Site, ...]], dict[str, Array]]:
    """Where each variable lives, and the bases by the names that the sites give them."""
    sites: dict[str, tuple[Site, ...]] = {}
    tensors: dict[str, Array] = {}
    for variable, basis in zip(variables, found.bases, strict=True):
        name = f"{variable}.at.{found.node}"
        tensors[name] = np.ascontiguousarray(basis)
        label = f"{found.node}, {len(basis)} dimension{'s' if len(basis) > 1 else ''}"
        sites[variable] = tuple(replace(s, basis=name, label=label) for s in network[found.node].sites)
    return sites, tensors


def filled_up(bench: Bench, most: int) -> Rows | None:
    """Rows of all lengths that several rows have, the shorter ones filled up with what they end with.

    For networks whose positions see only what came before, so that what follows a row changes nothing in it.

    Args:
        bench: the inputs.
        most: how many rows at most; of every length about the same share.

    Returns:
        The rows, by length; None where no two rows have the same.
    """
    batches: dict[int, list[tuple[Mapping[str, torch.Tensor], torch.Tensor]]] = {}
    for seen in bench.batches:
        batches.setdefault(seen.scored.shape[1], []).append((seen.inputs, seen.scored))
    every = max(1.0, sum(len(s.scored) for s in bench.batches) / most)
    parts: list[tuple[dict[str, torch.Tensor], torch.Tensor]] = []
    for length in sorted(batches):
        scored = torch.cat([s for _, s in batches[length]])
        inputs = {k: torch.cat([i[k] for i, _ in batches[length]]) for k in batches[length][0][0]}
        kept = scored.any(1).nonzero()[:, 0][: max(2, round(len(scored) / every))]
        if len(kept) > 1:
            parts.append(({k: v[kept] for k, v in inputs.items()}, scored[kept]))
    if not parts:
        return None
    longest = parts[-1][1].shape[1]
    names = list(parts[0][0])
    return Rows(
        {k: torch.cat([_ended(inputs[k], longest) for inputs, _ in parts]) for k in names},
        torch.cat([torch.nn.functional.pad(scored, (0, longest - scored.shape[1])) for _, scored in parts]),
        torch.cat([torch.full((len(scored),), scored.shape[1]) for _, scored in parts]),
    )


def _ended(value: torch.Tensor, length: int) -> torch.Tensor:
    """Values [n, s] with their last repeated up to a length."""
    return torch.cat([value, value[:, -1:].expand(-1, length - value.shape[1])], 1)
