"""What networks and programs say on the splits of a behaviour, batch by batch, in the canonical form of its readout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Answers, Argmax, Batch, Readout, SequenceBatch, SequenceSplit, Sign, Split
from exegesis.ir import GraphError, InputError, Node
from exegesis.runtime.executor import Executor
from exegesis.runtime.network import Network

Source: TypeAlias = Network | Executor
# Attention of 16,384 tokens in sequences of 256 takes 16 MiB per head in float32.
MAX_TOKENS = 16384


def batch_inputs(executor: Executor, batch: Batch) -> dict[str, Tensor]:
    """What a program's inputs are on a batch, by node id. Positions that the batch does not give count from 0.

    Raises:
        GraphError: an input that a batch of this kind has no value for.
    """
    return {node.id: _input(node, batch) for node in executor.graph.inputs}


def _input(node: Node, batch: Batch) -> Tensor:
    match node.op, batch:
        case "input.tokens", SequenceBatch():
            return torch.from_numpy(batch.input_ids)
        case "input.positions", SequenceBatch():
            rows, length = batch.input_ids.shape
            given = batch.position_ids
            return torch.arange(length).expand(rows, length) if given is None else torch.from_numpy(given)
        case "input.array", _ if not isinstance(batch, SequenceBatch):
            return torch.from_numpy(batch.x)
    kind = "sequences of tokens" if isinstance(batch, SequenceBatch) else "arrays"
    raise GraphError(f"The program's input {node.id!r} is {node.op}, but the behaviour gives {kind}.")


def outputs(source: Source, batch: Batch) -> NDArray[Any]:
    """What a network, or the first output of a program, is on a batch: [b, s, outputs], or [b, outputs] over arrays.

    Programs may answer themselves: then it is [b, s] categories or values, or booleans [b, s, outputs].
    """
    if isinstance(source, Executor):
        name = source.graph.outputs[0]
        value: Tensor = source.run(batch_inputs(source, batch), [name])[name]
    elif isinstance(batch, SequenceBatch):
        value = source.logits(torch.from_numpy(batch.input_ids), _positions_for(source, batch))
    else:
        value = source(torch.from_numpy(batch.x))
    found: NDArray[Any] = value.detach().cpu().numpy()
    return found


def _positions_for(network: Network, batch: SequenceBatch) -> Tensor | None:
    if batch.position_ids is None:
        return None
    if network.takes_positions:
        return torch.from_numpy(batch.position_ids)
    if (batch.position_ids != np.arange(batch.position_ids.shape[1])).any():
        raise InputError(f"The behaviour gives position_ids that do not count from 0, but {network.name} takes none.")
    return None


def batch_answers(source: Source, batch: Batch, readout: Readout) -> Answers:
    """Canonical answers at the scored places of a batch, in its order: [k], or [k, outputs] for a `sign` readout."""
    return read_answers(source, outputs(source, batch), batch, readout)


def read_answers(source: Source, found: NDArray[Any], batch: Batch, readout: Readout) -> Answers:
    """Canonical answers at the scored places of a batch, read off what `outputs` gave there."""
    plain_rank = 2 if isinstance(batch, SequenceBatch) else 1
    if found.ndim == plain_rank:
        found = found[..., None]
    at_scored = batch.at_scored(found)
    if isinstance(source, Executor):
        kind = source.graph[source.graph.outputs[0]].type.kind
        if kind in ("category", "int") and isinstance(readout, Argmax):
            return at_scored[:, 0].astype(np.int64)
        if kind == "bool" and isinstance(readout, Sign):
            return at_scored
        if kind != "real":
            how = type(readout).__name__.lower()
            raise GraphError(f"The program answers with {kind} values, which a readout by {how} cannot take.")
    return readout.answers(at_scored)


def answers(source: Source, split: Split, readout: Readout, *, max_tokens: int = MAX_TOKENS) -> Answers:
    """Canonical answers on a whole split, in its order.

    Args:
        source: a network or a program.
        split: where the inputs come from.
        readout: how outputs are read.
        max_tokens: how many tokens (or numbers, over arrays, times 64) a batch may hold: this bounds the memory.

    Returns:
        [n_scored], or [n_scored, outputs] for a `sign` readout.
    """
    found: Answers | None = None
    for at, batch in _batches(split, max_tokens):
        said = batch_answers(source, batch, readout)
        if found is None:
            found = np.empty((split.n_scored, *said.shape[1:]), dtype=said.dtype)
        found[at] = said
    if found is None:
        raise GraphError(f"Split {split.name} is empty.")
    return found


def _batches(split: Split, max_tokens: int) -> Iterator[tuple[NDArray[Any], Batch]]:
    """Batches, each with the places of its answers in the order of the split."""
    if isinstance(split, SequenceSplit):
        for batch in split.batches(max_tokens):
            yield batch.scored_at, batch
    else:
        for rows in split.batches(max_tokens * 64):
            yield rows.rows, rows
