"""Run folders: what ``exegesis decompile`` writes and every later command reads."""

import ast
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from exegesis.evidence import Verdict
from exegesis.ir import InputError
from exegesis.ir.files import umask, write_bytes, write_text
from exegesis.store import files

PROGRAM = "program.py"
GRAPH = "program.json"
TENSORS = "tensors.safetensors"
VERDICT = "verdict.json"
REPORT = "report.html"
LIMITS = "limits.json"

REQUIRED = (PROGRAM, GRAPH, VERDICT)
OPTIONAL = (TENSORS, REPORT, LIMITS)

_LEFT_BY_PYTHON = ("__pycache__",)
"""What running a program adds to its folder, and may be replaced with it."""


class RunFolder:
    """A finished run, read-only. Made by :meth:`open`; written through :meth:`create`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def create(out: Path, *, force: bool = False) -> "RunDraft":
        """Begins a run folder at ``out``, which appears there whole on :meth:`RunDraft.commit` and not before.

        Args:
            out: where the run goes; folders above it are made.
            force: replace a run that is already there. Anything but a run is never replaced.

        Raises:
            InputError: something is in the way, or the place cannot be written.
        """
        out = Path(os.path.realpath(out))
        _check_the_way_is_free(out, force)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
        except OSError as error:
            raise InputError(f"Cannot write a run to {out}: {error.strerror or error}.") from error
        return RunDraft(out, work, force)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Opens a finished run after a look at each of its files.

        Raises:
            InputError: the folder or a required file is missing, or a file is damaged.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path} is not a folder{'' if path.exists() else '; nothing is there'}.")
        missing = [name for name in REQUIRED if not (path / name).is_file()]
        if missing:
            raise InputError(f"{path} is not a finished run: {' and '.join(missing)} missing.")
        run = cls(path)
        run.source()
        run.graph_record()
        run.verdict()
        if run.has(TENSORS):
            files.tensor_names(path / TENSORS)
        return run

    def has(self, name: str) -> bool:
        """Whether the run holds the file of this name."""
        return (self.path / name).is_file()

    def source(self) -> str:
        """The text of ``program.py``.

        Raises:
            InputError: it is missing or not Python.
        """
        path = self.path / PROGRAM
        text = files.read_text(path)
        try:
            ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise InputError(f"{path} is not Python: {error}.") from error
        return text

    def graph_record(self) -> dict[str, object]:
        """The JSON object in ``program.json``; :mod:`exegesis.ir` makes a graph of it.

        Raises:
            InputError: it is missing or damaged.
        """
        return files.read_json_object(self.path / GRAPH)

    def tensors(self) -> dict[str, np.ndarray]:
        """What stays opaque, by name; empty where nothing does.

        Raises:
            InputError: the file is damaged.
        """
        return files.read_tensors(self.path / TENSORS) if self.has(TENSORS) else {}

    def verdict(self) -> Verdict:
        """The verdict on the run.

        Raises:
            InputError: it is missing, damaged, of another schema, or does not follow from its parts.
        """
        path = self.path / VERDICT
        return Verdict.from_json(files.read_text(path), source=str(path))

    def report(self) -> str:
        """The text of ``report.html``.

        Raises:
            InputError: it is missing or not UTF-8.
        """
        return files.read_text(self.path / REPORT)


class RunDraft:
    """A run being written, in a hidden folder beside its place.

    Use it as a context manager: leaving without :meth:`commit`, by an error or Ctrl-C, removes it without a trace.
    """

    def __init__(self, out: Path, work: Path, force: bool) -> None:
        self.out = out
        self.work = work
        self._force = force
        self._open = True

    def __enter__(self) -> "RunDraft":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def write_text(self, name: str, content: str) -> None:
        """Writes one of the run's files as UTF-8 text.

        Raises:
            InputError: the disk refuses.
            ValueError: a run holds no file of this name, or the draft is closed.
        """
        write_text(self._place(name), content)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Writes one of the run's files. Raises as :meth:`write_text`."""
        write_bytes(self._place(name), content)

    def write_tensors(self, arrays: files.Arrays) -> None:
        """Writes ``tensors.safetensors``. Raises as :meth:`write_text`."""
        self.write_bytes(TENSORS, files.tensor_bytes(arrays))

    def commit(self) -> RunFolder:
        """Checks the files as any reader would and puts the run in its place.

        Raises:
            InputError: a required file was not written or is damaged, or something got in the way meanwhile. The draft
                is discarded and what was in its place stays.
        """
        try:
            RunFolder.open(self.work)
            _check_the_way_is_free(self.out, self._force)
            os.chmod(self.work, 0o777 & ~umask())
            self._put_in_place()
        except OSError as error:
            raise InputError(f"Cannot put the run at {self.out}: {error.strerror or error}.") from error
        finally:
            self.discard()
        return RunFolder(self.out)

    def discard(self) -> None:
        """Removes what was written; nothing happens after a commit."""
        self._open = False
        shutil.rmtree(self.work, ignore_errors=True)

    def _place(self, name: str) -> Path:
        if not self._open:
            raise ValueError("the draft of this run is closed")
        if name not in REQUIRED + OPTIONAL:
            raise ValueError(f"a run holds no file named '{name}'")
        return self.work / name

    def _put_in_place(self) -> None:
        """Two renames; between them the old run waits under a hidden name, and comes back if the second fails."""
        if not self.out.exists():
            os.rename(self.work, self.out)
            return
        aside = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.", suffix=".old", dir=self.out.parent))
        before = aside / "run"
        try:
            os.rename(self.out, before)
            os.rename(self.work, self.out)
        except BaseException:
            if before.exists() and not self.out.exists():
                os.rename(before, self.out)
            if not before.exists():
                aside.rmdir()
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _check_the_way_is_free(out: Path, force: bool) -> None:
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise InputError(f"{out} is a file; a run needs a folder.")
        there = sorted(entry.name for entry in out.iterdir())
    except OSError as error:
        raise InputError(f"Cannot look into {out}: {error.strerror or error}.") from error
    if there and not force:
        raise InputError(f"{out} is not empty; choose another folder, or replace the run there with --force.")
    foreign = [name for name in there if name not in REQUIRED + OPTIONAL + _LEFT_BY_PYTHON]
    if foreign:
        raise InputError(f"{out} holds what is not part of a run ({foreign[0]}), so it is not replaced.")
