"""From a trained network and a behaviour to a program: lift, passes, text, judgement."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from exegesis.behavior import ArraySplit, Behavior, SequenceSplit, Split
from exegesis.evidence.environment import versions
from exegesis.ir import ExegesisError, Graph, InputError, price
from exegesis.ir.progress import Progress, Silent
from exegesis.lift import Lifted, lift
from exegesis.measure import Bench
from exegesis.passes.manager import Manager, Pass, Setting
from exegesis.pipeline.conclude import about, first_verdict, report, text, with_provenance
from exegesis.pipeline.presets import preset
from exegesis.pipeline.program import Program
from exegesis.pipeline.resume import State, checkpoints, fingerprint, latest, settle
from exegesis.pipeline.rows import array_rows, bench_rows, check_arrays_fit
from exegesis.runtime import Network, load
from exegesis.runtime.answers import MAX_TOKENS
from exegesis.store import Checkpoints

ARRAY_BATCH = 512  # rows over arrays at a time


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
    passes: Sequence[Pass] | None = None,
    progress: Progress | None = None,
    checkpoint_at: Path | None = None,
    resume: bool = False,
) -> Program:
    """Reads a trained network back into a program.

    Args:
        network: a module, a Hugging Face folder, `file.py:function`, or `zoo:name`.
        behavior: what counts, or the path of its file.
        seed: of everything that is sampled; the same seed gives the same bytes.
        passes: what to run, in order; None: the preset for sequences or for arrays.
        progress: told what is going on.
        checkpoint_at: where the run will be saved; after every pass its state is kept in a folder beside, until
            `Program.save` or a refusal ends it. None keeps nothing.
        resume: go on with the run that was interrupted there; it ends with the same bytes as one that was not.

    Raises:
        InputError: network and behaviour do not fit each other, either cannot be used, or there is nothing to resume.
        PassError: a pass broke the language or its own promise.
    """
    if resume and checkpoint_at is None:
        raise InputError("A run can be resumed only where it kept its state; say where that is (checkpoint_at).")
    began = time.perf_counter()
    watch = progress or Silent()
    start = prepare(network, behavior, seed=seed, progress=watch)
    passes = preset(start.behavior) if passes is None else passes
    key = fingerprint(
        start.network, start.behavior, start.lifted.graph, passes, seed=seed, version=_text_of(versions())
    )
    kept = checkpoints(checkpoint_at, key, resume=resume)
    try:
        state = (latest(kept) if kept else None) or State(start.lifted.graph)
        before = sum(r.seconds for r in state.records)
        state = run_passes(start, passes, watch, state, kept)
        graph = with_provenance(state.graph, state.records)
        watch.stage("judge", 1)
        watch.pass_started("agreement")
        draft = text(graph, about(start.network, start.behavior, None), start.behavior)
        seconds = before + time.perf_counter() - began
        verdict = first_verdict(draft, graph, start.network, start.behavior, seed=seed, seconds=seconds)
        watch.pass_done("agreement", ", ".join(f"{k} {m.value:.4f}" for k, m in verdict.figures.agreement.items()))
        says = about(start.network, start.behavior, verdict)
        source = text(graph, says, start.behavior)
        page = report(graph, source, says, verdict, start.network)
    except ExegesisError:
        if kept:
            kept.clear()  # what was refused once is refused again
        raise
    return Program(graph, source, verdict, state.records, page)


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
    if isinstance(source, ArraySplit):
        check_arrays_fit(net, signal, source)
    progress.pass_started("lift")
    lifted = lift(net.module, example_of(net, source))
    graph = _labelled(lifted.graph, signal)
    graph = replace(graph, meta={**graph.meta, "lifted_bits": price(graph).opaque_bits})
    lifted = replace(lifted, graph=graph)
    progress.pass_done("lift", f"{len(lifted.graph.nodes)} nodes")
    progress.pass_started("bench")
    setting = setting_of(lifted.graph, signal, source, seed)
    what = "positions" if signal.is_sequence else "inputs"
    progress.pass_done("bench", f"{setting.fit.n} {what} to fit on, {setting.held.n} held out")
    return Start(net, signal, lifted, setting)


def run_passes(
    start: Start,
    passes: Sequence[Pass],
    progress: Progress,
    state: State | None = None,
    kept: Checkpoints | None = None,
) -> State:
    """Runs the passes in order, but for those that a state says are finished.

    Args:
        start: what the passes work on.
        passes: what to run.
        progress: told of each.
        state: where to begin; None: with the lifted network.
        kept: where the state after each pass is kept.
    """
    state = state or State(start.lifted.graph)
    manager = Manager(start.setting, records=list(state.records))
    manager.carry_on(state.graph)
    progress.stage("passes", len(passes))
    for done in state.records:
        progress.pass_done(done.name, "finished before the run was interrupted")
    for step in passes[state.finished :]:
        progress.pass_started(step.name)
        graph = manager.run(state.graph, step)
        state = settle(State(graph, tuple(manager.records)), kept)
        manager.carry_on(state.graph)
        last = manager.records[-1]
        changed = f"{last.applied} of {len(last.attempts)} applied, {last.nodes_before} → {last.nodes_after} nodes"
        progress.pass_done(step.name, last.skipped or changed)
    return state


def setting_of(graph: Graph, behavior: Behavior, source: Split, seed: int) -> Setting:
    """The benches that passes work on."""
    rows = ARRAY_BATCH if isinstance(source, ArraySplit) else MAX_TOKENS
    fit: Split
    held: Split
    if isinstance(source, ArraySplit):
        fit, held = array_rows(source, seed)
    else:
        fit, held = bench_rows(behavior, source, seed)
    first, second = (Bench(graph, behavior.readout, s, max_tokens=rows) for s in (fit, held))
    every = source if isinstance(source, SequenceSplit) else None
    return Setting(first, second, behavior.readout, seed, behavior.domain, graph, every)


def example_of(network: Network, split: Split) -> dict[str, torch.Tensor] | tuple[torch.Tensor]:
    """A few rows of one length or shape as arguments of the network's `forward`."""
    if isinstance(split, ArraySplit):
        return (torch.from_numpy(split.gather(np.arange(3) % len(split)).x),)
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


def _text_of(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
