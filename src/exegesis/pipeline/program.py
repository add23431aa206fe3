"""The facade a user holds: a decompiled program with its text, its verdict and where it came from."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from exegesis.behavior import Behavior
from exegesis.evidence import Verdict
from exegesis.ir import Graph
from exegesis.ir.archive import load_graph, save_graph
from exegesis.ir.progress import Progress
from exegesis.passes.manager import Record
from exegesis.runtime import Network
from exegesis.store import Checkpoints, RunFolder
from exegesis.verify import Judged, Text
from exegesis.verify import verify as judged


@dataclass(frozen=True, eq=False)
class Program:
    """What a decompilation returns.

    Attributes:
        graph: the program itself, at whatever mix of levels was reached.
        source: its text, formatted Python that needs numpy and `exegesis.primitives` only.
        verdict: its claims and figures.
        records: what each pass did, in order.
        report: the text of `report.html`.
    """

    graph: Graph
    source: str
    verdict: Verdict
    records: tuple[Record, ...] = ()
    report: str = ""

    def run(self, *inputs: Any) -> Any:
        """Runs the emitted text: `run(input_ids, position_ids=None)` for sequences, `run(x)` for arrays."""
        return self._module.run(*inputs)

    @cached_property
    def _module(self) -> ModuleType:
        folder = tempfile.mkdtemp(
            prefix="exegesis-"
        )  # stays as long as the program, which reads its tensors when asked
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder) / "program.py"
        save_graph(self.graph, path.parent)
        path.write_text(self.source)
        return import_program(path)

    def verify(
        self,
        network: Network | nn.Module | str | Path,
        behavior: Behavior | str | Path,
        *,
        budget: str | float = "2m",
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Verdict:
        """Judges the program, its text included, against a network: see `exegesis.verify.verify`."""
        with tempfile.TemporaryDirectory() as folder:
            save_graph(self.graph, folder)
            text = Path(folder) / "program.py"
            text.write_text(self.source)
            program = Judged(self.graph, Text(text), self.verdict.figures)
            return judged(program, network, behavior, budget=budget, seed=seed, progress=progress)

    def save(self, out: str | Path, *, force: bool = False) -> RunFolder:
        """Writes the run folder, whole or not at all, and drops what was kept there of the run in progress.

        Args:
            out: where it goes.
            force: replace a run that is already there.

        Raises:
            InputError: something is in the way, or the place cannot be written.
        """
        with RunFolder.create(Path(out), force=force) as draft:
            save_graph(self.graph, draft.work)
            draft.write_text("program.py", self.source)
            draft.write_text("verdict.json", self.verdict.to_json())
            if self.report:
                draft.write_text("report.html", self.report)
            saved = draft.commit()
        Checkpoints.drop(Path(out))
        return saved

    def _repr_html_(self) -> str:
        return self.report or f"<pre>{self.source}</pre>"


def load_program(folder: str | Path) -> Program:
    """Opens a saved run.

    Raises:
        InputError: a file is missing or damaged.
    """
    run = RunFolder.open(Path(folder))
    return Program(
        load_graph(Path(folder)), run.source(), run.verdict(), report=run.report() if run.has("report.html") else ""
    )


def import_program(path: Path) -> ModuleType:
    """Imports an emitted program under a private name."""
    spec = importlib.util.spec_from_file_location(f"_exegesis_program_{abs(hash(path))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
