"""From a trained network and a behaviour to a program: lift, passes, text, judgement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from exegesis.behavior import Behavior, SequenceSplit
from exegesis.ir import Graph, InputError, price
from exegesis.ir.progress import Progress, Silent
from exegesis.lift import Lifted, lift
from exegesis.measure import Bench
from exegesis.passes.manager import Manager, Pass, Record, Setting
from exegesis.pipeline.conclude import first_verdict, text
from exegesis.pipeline.presets import STANDARD
from exegesis.pipeline.program import Program
from exegesis.runtime import Network, load

_FIT_TOKENS = 8_000
_HELD_TOKENS = 8_000


@dataclass(frozen=True)
class Start:
    """What the passes start from: the lifted network and the bench they work on."""

    network: Network
    behavior: Behavior
    lifted: Lifted
    setting: Setting


def decompile(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    seed: int = 0,
    passes: Sequence[Pass] = STANDARD,
    progress: Progress | None = None,
) -> Program:
    """Reads a trained network back into a program.

    Args:
        network: a module, a Hugging Face folder, `file.py:function`, or `zoo:name`.
        behavior: what counts, or the path of its file.
        seed: of everything that is sampled; the same seed gives the same bytes.
        passes: what to run, in order.
        progress: told what is going on.

    Raises:
        InputError: network and behaviour do not fit each other, or either cannot be used.
    """
    began = time.perf_counter()
    watch = progress or Silent()
    start = prepare(network, behavior, seed=seed, progress=watch)
    graph, records = run_passes(start, passes, watch)
    watch.stage("judge", 1)
    watch.pass_started("agreement")
    draft = text(graph, start.network, start.behavior, None)
    seconds = time.perf_counter() - began
    verdict = first_verdict(draft, graph, start.network, start.behavior, seed=seed, seconds=seconds)
    watch.pass_done("agreement", ", ".join(f"{k} {m.value:.4f}" for k, m in verdict.figures.agreement.items()))
    return Program(graph, text(graph, start.network, start.behavior, verdict), verdict, records)


def prepare(
    network: Network | nn.Module | str | Path, behavior: Behavior | str | Path, *, seed: int, progress: Progress
) -> Start:
    """Loads, checks that network and behaviour fit, lifts, and sets up the bench."""
    progress.stage("lift", 2)
    net = network if isinstance(network, Network) else load(network)
    signal = behavior if isinstance(behavior, Behavior) else Behavior.load(behavior)
    signal.check()
    if net.vocabulary_size is not None and len(signal.vocabulary):
        signal.check_vocabulary(net.vocabulary_size)
    source = signal.splits["train"] if "train" in signal.splits else next(iter(signal.splits.values()))
    if not isinstance(source, SequenceSplit):
        raise InputError("Decompiling networks over arrays is not built yet; sequences of tokens are.")
    progress.pass_started("lift")
    lifted = lift(net.module, example_of(net, source))
    graph = _labelled(lifted.graph, signal)
    graph = replace(graph, meta={**graph.meta, "lifted_bits": price(graph).opaque_bits})
    lifted = replace(lifted, graph=graph)
    progress.pass_done("lift", f"{len(lifted.graph.nodes)} nodes")
    progress.pass_started("bench")
    fit, held = _bench_splits(source, seed)
    setting = Setting(
        Bench(lifted.graph, signal.readout, fit),
        Bench(lifted.graph, signal.readout, held),
        signal.readout,
        seed,
        signal.domain,
    )
    progress.pass_done("bench", f"{setting.fit.n} positions to fit on, {setting.held.n} held out")
    return Start(net, signal, lifted, setting)


def run_passes(start: Start, passes: Sequence[Pass], progress: Progress) -> tuple[Graph, tuple[Record, ...]]:
    """Runs the passes in order."""
    manager = Manager(start.setting)
    graph = start.lifted.graph
    progress.stage("passes", len(passes))
    for step in passes:
        progress.pass_started(step.name)
        graph = manager.run(graph, step)
        done = manager.records[-1]
        note = (
            done.skipped
            or f"{done.applied} of {len(done.attempts)} applied, {done.nodes_before} → {done.nodes_after} nodes"
        )
        progress.pass_done(step.name, note)
    return graph, tuple(manager.records)


def example_of(network: Network, split: SequenceSplit) -> dict[str, torch.Tensor]:
    """A few rows of one length as arguments of the network's `forward`."""
    lengths, counts = np.unique(split.lengths, return_counts=True)
    rows = np.flatnonzero(split.lengths == lengths[counts.argmax()])[:3]
    batch = split.gather(np.resize(rows, 3))
    example = {"input_ids": torch.from_numpy(batch.input_ids)}
    if batch.position_ids is not None and network.takes_positions:
        example["position_ids"] = torch.from_numpy(batch.position_ids)
    return example


def _labelled(graph: Graph, behavior: Behavior) -> Graph:
    """The graph with the behaviour's labels on the axes of its tokens and outputs."""
    axes = dict(graph.axes)
    wanted = {n.type.of: tuple(behavior.vocabulary.labels) for n in graph.inputs if n.op == "input.tokens"}
    outputs = graph[graph.outputs[0]].type.axes[-1]
    if outputs in axes and (size := axes[outputs].size) is not None:
        wanted[outputs] = behavior.output_labels(size)
    for name, labels in wanted.items():
        if name and len(labels) == axes[name].size:
            axes[name] = replace(axes[name], labels=labels)
    return replace(graph, axes=axes)


def _bench_splits(split: SequenceSplit, seed: int) -> tuple[SequenceSplit, SequenceSplit]:
    """Rows to fit on, and other rows to accept on; both bounded in tokens."""
    order = np.random.default_rng(seed).permutation(len(split))
    total = np.cumsum(split.lengths[order])
    cut = int(np.clip(np.searchsorted(total, _FIT_TOKENS), 1, max(1, len(split) // 2)))
    end = int(np.clip(np.searchsorted(total, _FIT_TOKENS + _HELD_TOKENS), cut, len(split)))
    held = order[cut:end] if end > cut else order[:cut]
    return split.select(np.sort(order[:cut])), split.select(np.sort(held))
