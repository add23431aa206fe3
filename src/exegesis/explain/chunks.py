"""How many rows go through a network at a time: as many as is fastest, within a bound on memory.

Small networks are fastest at batches that fit a cache, which depends on the machine; so it is measured, in a probe that
costs at most 3 % of the work ahead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from exegesis.explain.model import Objective

MEMORY = 128 << 20  # bytes of values that a chunk may keep for the way back
SIZES = (32, 128, 512)  # throughput is flat between them on the machines that were tried
PLAIN = 64  # where too little lies ahead to measure
WARM, TRIES = 4, 2
SHARE = 0.03  # of the rows ahead that the probe may spend
WORTH = 1.05  # a larger size is taken unless it is slower by more than this


def chunk_size(
    objective: Objective, total: int, chunk: int | None = None, memory: int = MEMORY, *, gradients: bool = True
) -> int:
    """How many rows to put through at a time.

    Args:
        objective: what will be computed.
        total: how many rows lie ahead.
        chunk: how many the caller wants; None to measure.
        memory: bytes that the values of one chunk may take.
        gradients: whether rows go forth and back, or forth only.

    Returns:
        The size. One and the same size gives the same bytes; a measured one may differ from run to run.
    """
    if chunk is not None:
        return max(1, min(chunk, total))
    limit = max(1, memory // bytes_per_row(objective))
    budget = int(total * SHARE)
    sizes = [size for size in SIZES if size <= min(limit, total)]
    if not sizes or TRIES * sizes[0] > budget:
        return max(1, min(PLAIN, limit, total))
    run = _runner(objective, gradients)
    run(WARM)  # the first call pays for what later ones share
    best, fastest, spent = sizes[0], float("inf"), 0
    for size in sizes:
        spent += TRIES * size
        if spent > budget:
            break
        seconds = min(_seconds(run, size) for _ in range(TRIES)) / size
        if seconds < WORTH * fastest:
            best, fastest = size, seconds
    return max(1, min(best, limit, total))


def bytes_per_row(objective: Objective) -> int:
    """Bytes that one row's values take on the way back, measured on one row; weights are not counted."""
    found = 0

    def count(value: Tensor) -> Tensor:
        nonlocal found
        if value.ndim and value.shape[0] == 2:
            found += value.numel() * value.element_size()
        return value

    rows = torch.zeros(2, dtype=torch.long)
    x = objective.start[:1].expand(2, *objective.start.shape[1:]).detach().clone().requires_grad_(True)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        objective.values(x, rows)
    own = x[0].numel() * x.element_size()
    return max(1, found + 4 * own)  # 2 rows ahead, and as much again for the gradients of each on the way back


def _seconds(run: Callable[[int], None], size: int) -> float:
    started = time.perf_counter()
    run(size)
    return time.perf_counter() - started


def _runner(objective: Objective, gradients: bool) -> Callable[[int], None]:
    def run(size: int) -> None:
        rows = torch.arange(size) % len(objective)
        if gradients:
            objective.gradient(objective.start[rows], rows)
        else:
            with torch.no_grad():
                objective.values(objective.start[rows], rows)

    return run


def parts(total: int, chunk: int) -> Iterator[Tensor]:
    """0 … total-1 in parts of at most `chunk`, as int64 [m]."""
    return iter(torch.split(torch.arange(total), chunk))
