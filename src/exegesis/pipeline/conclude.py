"""The end of a decompilation: text, first judgement, report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from exegesis.behavior import Answers, Behavior, Readout, SequenceSplit, Split, substance
from exegesis.emit import About, Attempt, Step, emit_program, emit_report, measure_source
from exegesis.evidence import Claim, Figures, Measurement, Status, Verdict, VerdictRule
from exegesis.evidence.environment import peak_memory_mb, versions
from exegesis.ir import Graph, legible_share, load_graph, price, save_graph
from exegesis.passes.manager import Record
from exegesis.pipeline.program import import_program
from exegesis.runtime import Network
from exegesis.runtime.answers import answers
from exegesis.store import RunFolder

ARRAY_ROWS = 4_000  # a text takes one input at a time, about a millisecond for a small convolution


def agreement(
    source: str, graph: Graph, network: Network, behavior: Behavior
) -> dict[str, tuple[Measurement, Measurement]]:
    """Per split, how often the emitted text says what the user's own module says: over scored positions, and over
    whole sequences (over arrays the same, on at most `ARRAY_ROWS` inputs)."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        save_graph(graph, path.parent)
        path.write_text(source)
        module = import_program(path)
        for name in behavior.splits:
            split = asked(behavior.split(name))
            reference = answers(network, split, behavior.readout)
            said = _said(module.run, split, behavior.readout)
            same = behavior.readout.equal(said, reference)
            rows = split.scored_offsets[:-1] if isinstance(split, SequenceSplit) else np.arange(len(split))
            whole = np.logical_and.reduceat(same, rows) if len(same) else same
            found[name] = (
                Measurement.proportion("agreement over scored positions", int(same.sum()), len(same)),
                Measurement.proportion("sequences without any difference", int(whole.sum()), len(whole)),
            )
    return found


def asked(split: Split) -> Split:
    """The inputs of a split that the text is asked about, one by one."""
    return split if isinstance(split, SequenceSplit) else split.take(ARRAY_ROWS, seed=0)


def _said(run: object, split: Split, readout: Readout) -> Answers:
    """The program's answers at scored positions, in the order of the split."""
    assert callable(run)
    if not isinstance(split, SequenceSplit):
        return readout.from_entries([run(x) for x in split.x])
    entries = []
    for row in split:
        out = run(row.input_ids, row.position_ids)
        entries += [out[t] for t in row.scored]
    return readout.from_entries(entries)


def first_verdict(
    source: str, graph: Graph, network: Network, behavior: Behavior, *, seed: int, seconds: float
) -> Verdict:
    """The verdict a decompilation ends with: agreement on every split and the price of what stays opaque.

    Interchange, ablation and attacks are the judge's, and are added by `exegesis verify`.
    """
    measured = agreement(source, graph, network, behavior)
    bits, accuracy = substance(behavior, lambda name: answers(network, behavior.split(name), behavior.readout), seed)
    size, cost = measure_source(source), price(graph)
    figures = Figures(
        agreement={name: m[0] for name, m in measured.items()},
        sequences_exact={name: m[1] for name, m in measured.items()},
        answer_bits=bits,
        task_accuracy=accuracy,
        legible_share=legible_share(graph),
        opaque_bits=cost.opaque_bits,
        unread_bits=cost.unread_bits,
        lifted_bits=float(graph.meta["lifted_bits"]),
        code_lines=size.lines,
        numbers_in_code=size.numbers,
        numbers_in_tensors=sum(
            int(graph.tensors[t].size) for t in {t for n in graph.nodes for t in n.tensors.values()}
        ),
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
        seed=seed,
        versions=versions(),
    )
    what = "sequences" if behavior.is_sequence else "inputs"
    claims = [
        Claim(
            statement="The program says what the network says.",
            domain=f"split {name} ({len(asked(behavior.split(name)))} {what})",
            status=Status.TESTED,
            evidence=pair,
            seed=seed,
        )
        for name, pair in measured.items()
    ]
    return Verdict.of(claims, figures, VerdictRule.for_splits(behavior.splits))


def about(network: Network, behavior: Behavior, verdict: Verdict | None) -> About:
    """What the program says of itself."""
    return About.of(behavior, f"{type(network.module).__name__} ({network.parameters_count:,} parameters)", verdict)


def text(graph: Graph, says: About, behavior: Behavior) -> str:
    """The program as Python."""
    return emit_program(graph, about=says, readout=behavior.readout, tokens=behavior.vocabulary.labels)


def with_provenance(graph: Graph, records: Sequence[Record]) -> Graph:
    """The program with what each pass tried, so that a report can be made from the files alone. Times stay out."""
    passes = [
        {
            "name": r.name,
            "stage": r.stage,
            "guarantee": r.guarantee,
            "skipped": r.skipped,
            "before": r.before,
            "after": r.after,
            "nodes": [r.nodes_before, r.nodes_after],
            "attempts": [[a.where, a.outcome, a.applied] for a in r.attempts],
        }
        for r in records
    ]
    return replace(graph, meta={**graph.meta, "passes": passes})


def report(graph: Graph, source: str, says: About, verdict: Verdict, network: Network) -> str:
    """The page that a person would rather look at."""
    steps = [
        Step(
            p["name"],
            p["stage"],
            p["guarantee"],
            tuple(Attempt(*a) for a in p["attempts"]),
            p["skipped"],
            p["before"],
            p["after"],
            *p["nodes"],
        )
        for p in graph.meta.get("passes") or ()
    ]
    again = [f"exegesis verify RUN --network {network.name} --behavior behavior.json", "exegesis show RUN"]
    return emit_report(graph, source=source, about=says, verdict=verdict, steps=steps, rerun=again)


def rejudged(run: RunFolder, verdict: Verdict, network: Network, behavior: Behavior) -> None:
    """Puts a new verdict into a run: its file, the program's docstrings and the report. What the program does stays.

    Raises:
        InputError: the run is damaged, or the disk refuses.
    """
    graph, says = load_graph(run.path), about(network, behavior, verdict)
    source = text(graph, says, behavior)
    with RunFolder.create(run.path, force=True) as draft:
        save_graph(graph, draft.work)
        draft.write_text("program.py", source)
        draft.write_text("verdict.json", verdict.to_json())
        draft.write_text("report.html", report(graph, source, says, verdict, network))
        draft.commit()
