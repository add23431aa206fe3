"""The program under judgement: its graph, the text that was emitted from it, and what both say."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from exegesis.behavior import Answers, ArraySplit, Readout, SequenceSplit, Split
from exegesis.evidence import Figures, legible_share
from exegesis.ir import Graph, InputError, load_graph, price
from exegesis.runtime import Executor
from exegesis.store import RunFolder
from exegesis.store.run_folder import PROGRAM
from exegesis.verify.budget import Deadline


@dataclass(frozen=True, eq=False)
class Text:
    """An emitted `program.py`, run as any of its users would run it: from its file alone."""

    path: Path

    @cached_property
    def _module(self) -> ModuleType:
        name = f"_exegesis_judged_{abs(hash((self.path.resolve(), self.path.stat().st_mtime_ns)))}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a run folder holds nothing but the run
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise InputError(f"{self.path} cannot be imported: {_reason(error)}.") from error
        finally:
            sys.dont_write_bytecode = kept
        if not callable(getattr(module, "run", None)):
            raise InputError(f"{self.path} has no function run.")
        return module

    def answers(self, split: Split, rows: Sequence[int], readout: Readout, deadline: Deadline) -> tuple[Answers, int]:
        """What it says at the scored positions of these rows, one row after the other until the deadline.

        Returns:
            The canonical answers, and how many rows they are of (at least one).

        Raises:
            InputError: it fails on a row, or says something that the readout cannot take.
        """
        entries: list[object] = []
        done = 0
        for row in rows:
            entries += self._row(split, int(row))
            done += 1
            if deadline.over:
                break
        return readout.from_entries(entries), done

    def _row(self, split: Split, row: int) -> list[object]:
        run: Any = self._module.run
        try:
            if isinstance(split, SequenceSplit):
                at = split[row]
                said = run(at.input_ids, at.position_ids)
                return [said[t] for t in at.scored]
            assert isinstance(split, ArraySplit)
            return [run(split.gather(np.array([row])).x[0])]
        except Exception as error:
            raise InputError(f"{self.path} fails on row {row} of split {split.name}: {_reason(error)}.") from error


@dataclass(frozen=True, eq=False)
class Judged:
    """A program as the judge sees it.

    Attributes:
        graph: what it computes, and where its values live in the network.
        text: the emitted `program.py`, where there is one.
        before: the figures of an earlier verdict on it, for what does not depend on the network (lines of code).
    """

    graph: Graph
    text: Text | None = None
    before: Figures | None = None

    @classmethod
    def of(cls, program: Judged | Graph | RunFolder | str | Path) -> Judged:
        """A program out of memory or out of a run folder, from the files alone.

        Raises:
            InputError: a file is missing, damaged, or of another schema.
        """
        if isinstance(program, Judged):
            return program
        if isinstance(program, Graph):
            return cls(program)
        run = program if isinstance(program, RunFolder) else RunFolder.open(Path(program))
        return cls(load_graph(run.path), Text(run.path / PROGRAM), run.verdict().figures)

    @cached_property
    def executor(self) -> Executor:
        """Runs the graph."""
        return Executor(self.graph)

    @property
    def output(self) -> str:
        """The node that answers."""
        return self.graph.outputs[0]

    def sizes(self) -> dict[str, Any]:
        """The figures that are the program's alone."""
        cost = price(self.graph)
        # A program that was never lifted (written by hand) is measured against itself.
        lifted = self.graph.meta.get("lifted_bits", cost.total_bits)
        held = {name for node in self.graph.nodes for name in node.tensors.values()}  # not the bases of alignments
        sizes: dict[str, Any] = {
            "opaque_bits": cost.opaque_bits,
            "unread_bits": cost.unread_bits,
            "lifted_bits": lifted,
            "legible_share": legible_share(cost.unread_bits, lifted),
            "numbers_in_tensors": sum(int(self.graph.tensors[name].size) for name in held),
        }
        if self.before is not None:
            sizes |= {"code_lines": self.before.code_lines, "numbers_in_code": self.before.numbers_in_code}
        return sizes

    def run(self, inputs: Mapping[str, Tensor], given: Mapping[str, Tensor] | None = None) -> Tensor:
        """The answer node's value."""
        value: Tensor = self.executor.run(inputs, [self.output], given=given)[self.output]
        return value


def _reason(error: BaseException) -> str:
    message = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
    return f"{type(error).__name__}: {message}"
