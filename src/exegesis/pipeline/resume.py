"""What a run keeps while it is under way: an interrupted one goes on where it stopped and ends with the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exegesis.behavior import Behavior
from exegesis.ir import Array, Graph, InputError, Json, graph_from_record, graph_record
from exegesis.passes.manager import Attempt, Pass, Record
from exegesis.runtime import Network
from exegesis.store import Checkpoints, Fingerprint, StepKey, digest_json


@dataclass(frozen=True, eq=False)
class State:
    """Where a run is.

    Attributes:
        graph: the program so far.
        records: what each finished pass did, in order.
    """

    graph: Graph
    records: tuple[Record, ...] = ()

    @property
    def finished(self) -> int:
        """How many passes are done."""
        return len(self.records)


def settle(state: State, kept: Checkpoints | None) -> State:
    """Keeps a state, and returns it exactly as a resumed run would find it.

    A graph loses something on its way through a file (tuples become lists, mappings are sorted, arrays laid out in C
    order), and a later pass may see the difference. So every run goes on with what comes back, interrupted or not.
    """
    record, arrays = graph_record(state.graph)
    if kept is not None:
        content = {"graph": record, "records": [_record_json(r) for r in state.records]}
        kept.save(StepKey(state.finished, state.records[-1].name), content, arrays)
    return State(graph_from_record(record, arrays), state.records)


def latest(kept: Checkpoints) -> State | None:
    """The last state that was kept, or None where no pass was finished.

    Raises:
        InputError: its checkpoint is damaged.
    """
    steps = kept.steps()
    checkpoint = kept.load(steps[-1]) if steps else None
    if checkpoint is None:
        return None
    where = f"the checkpoint of step {checkpoint.step.index} ({checkpoint.step.name})"
    match checkpoint.record:
        case {"graph": graph, "records": [*records]}:
            arrays: dict[str, Array] = checkpoint.arrays
            restored = graph_from_record(graph, arrays, source=where, arrays_source=f"the tensor file of {where}")
            return State(restored, tuple(_record_from(r, where) for r in records))
    raise InputError(f"{where} is damaged; start without --resume.")


def fingerprint(
    network: Network, behavior: Behavior, lifted: Graph, passes: Sequence[Pass], *, seed: int, version: str
) -> Fingerprint:
    """What decides the outcome of a run.

    Args:
        network: its weights count.
        behavior: with all its data.
        lifted: what the network computes with its weights.
        passes: frozen dataclasses, whose text says how they are set.
        seed: of the run.
        version: of everything that can change a result.
    """
    return Fingerprint(
        network=digest_json([network.fingerprint, graph_record(lifted)[0]]),
        behavior=behavior.fingerprint(),
        config=digest_json([[step.stage, step.name, repr(step)] for step in passes]),
        version=version,
        seed=seed,
    )


def checkpoints(at: Path | None, found: Fingerprint, *, resume: bool) -> Checkpoints | None:
    """The checkpoints of the run that will be at `at`: those of an interrupted one, or new ones; None without a place.

    Raises:
        InputError: there is nothing to resume, or it belongs to another run; or the place cannot be written.
    """
    if at is None:
        return None
    return Checkpoints.resume(at, found) if resume else Checkpoints.start(at, found)


def _record_json(record: Record) -> Json:
    attempts = [
        {
            "where": a.where,
            "outcome": a.outcome,
            "applied": bool(a.applied),
            "figures": [[name, str(float(value))] for name, value in a.figures],  # as text: JSON has no infinity
        }
        for a in record.attempts
    ]
    return {**vars(record), "attempts": attempts}


def _record_from(content: Json, where: str) -> Record:
    try:
        attempts = tuple(
            Attempt(a["where"], a["outcome"], a["applied"], tuple((name, float(value)) for name, value in a["figures"]))
            for a in content["attempts"]
        )
        return Record(**{**content, "attempts": attempts})
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where} is damaged; start without --resume.") from None
