"""Checkpoints of a run in progress, kept in ``<out>.partial`` until the run is done."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from exegesis.ir import InputError, Json
from exegesis.ir.files import write_bytes, write_text
from exegesis.store import files

SCHEMA: Final = 1
_FINGERPRINT = "fingerprint.json"
_STEP = re.compile(r"(?P<index>\d{4})-(?P<name>[a-z0-9_]+)\.(?P<kind>json|safetensors)")


class Fingerprint(BaseModel):
    """What decides the outcome of a run; a checkpoint serves only a run of the same fingerprint.

    Attributes:
        network: digest of the network's parameters and of what it computes with them.
        behavior: digest of the behaviour and its data.
        config: digest of the passes and their settings, in order.
        version: of exegesis.
        seed: of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    behavior: str
    config: str
    version: str
    seed: int


@dataclass(frozen=True, order=True)
class StepKey:
    """A place in the pipeline: the step's position and the name of its pass."""

    index: int
    name: str


@dataclass(frozen=True)
class Checkpoint:
    """The state after one step: JSON, and arrays by name."""

    step: StepKey
    record: Json
    arrays: dict[str, np.ndarray]


class Checkpoints:
    """The checkpoints of one run. A step is there once its JSON file is, and that is written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def start(cls, out: Path, fingerprint: Fingerprint) -> "Checkpoints":
        """Begins anew for the run that will be at ``out``; checkpoints of an earlier try are dropped.

        Raises:
            InputError: ``<out>.partial`` holds something else, or cannot be written.
        """
        checkpoints = cls(_folder_of(out))
        checkpoints.clear()
        try:
            checkpoints.folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"Cannot keep checkpoints in {checkpoints.folder}: {error.strerror or error}.") from error
        content = {"schema": SCHEMA, "fingerprint": fingerprint.model_dump()}
        write_text(checkpoints.folder / _FINGERPRINT, _as_json(content))
        return checkpoints

    @classmethod
    def resume(cls, out: Path, fingerprint: Fingerprint) -> "Checkpoints":
        """Goes on with an interrupted run of the same fingerprint.

        Raises:
            InputError: there is nothing to resume, it is damaged, or it belongs to another run; the sentence says in
                what the runs differ.
        """
        folder = _folder_of(out)
        if not cls.are_at(out):
            raise InputError(f"There is no interrupted run to resume at {folder}.")
        content = files.read_json_object(folder / _FINGERPRINT)
        if content.get("schema") != SCHEMA:
            raise InputError(f"The interrupted run at {folder} was written by another version; start without --resume.")
        try:
            before = Fingerprint.model_validate(content.get("fingerprint"), strict=True)
        except ValidationError as error:
            raise InputError(f"{folder / _FINGERPRINT} is damaged; start without --resume.") from error
        differing = [name for name in Fingerprint.model_fields if getattr(before, name) != getattr(fingerprint, name)]
        if differing:
            raise InputError(
                f"The interrupted run at {folder} differs in its {' and '.join(differing)}; start without --resume."
            )
        return cls(folder)

    @staticmethod
    def are_at(out: Path) -> bool:
        """Whether an interrupted run left anything to resume for ``out``."""
        return (_folder_of(out) / _FINGERPRINT).is_file()

    @classmethod
    def drop(cls, out: Path) -> None:
        """Removes the checkpoints of the run that now is at ``out``, where nothing else lies among them."""
        checkpoints = cls(_folder_of(out))
        if cls.are_at(out) and not checkpoints._foreign():
            shutil.rmtree(checkpoints.folder, ignore_errors=True)

    def steps(self) -> tuple[StepKey, ...]:
        """The steps that have a checkpoint, in order."""
        found = [_STEP.fullmatch(path.name) for path in self.folder.iterdir()]
        return tuple(sorted(StepKey(int(m["index"]), m["name"]) for m in found if m and m["kind"] == "json"))

    def save(self, step: StepKey, record: Json, arrays: files.Arrays) -> None:
        """Keeps the state after ``step``; interrupted, it leaves the step without a checkpoint or with its earlier one.

        Args:
            step: an index from 0 to 9999 and a name of lower-case letters, digits and underscores.
            record: JSON; numbers must be finite.
            arrays: of dtypes that safetensors knows.

        Raises:
            InputError: the disk refuses.
            ValueError: ``step`` or ``record`` is out of range.
        """
        content = files.tensor_bytes(arrays)
        digest = hashlib.sha256(content).hexdigest()
        described = _as_json({"schema": SCHEMA, "arrays_sha256": digest, "record": record})
        self._path(step, "json").unlink(missing_ok=True)
        write_bytes(self._path(step, "safetensors"), content)
        write_text(self._path(step, "json"), described)

    def load(self, step: StepKey) -> Checkpoint | None:
        """The state after ``step``, or None where it was not kept.

        Raises:
            InputError: the checkpoint is damaged.
        """
        path = self._path(step, "json")
        if not path.is_file():
            return None
        try:
            described = files.read_json_object(path)
            content = files.read_bytes(self._path(step, "safetensors"))
            sound = described.keys() == {"schema", "arrays_sha256", "record"} and described["schema"] == SCHEMA
            if not sound or described["arrays_sha256"] != hashlib.sha256(content).hexdigest():
                raise InputError(f"{path} and its arrays do not belong together.")
            arrays = files.read_tensors(self._path(step, "safetensors"))
        except InputError as error:
            raise InputError(f"The checkpoint of step {step.index} ({step.name}) is damaged: {error}") from error
        return Checkpoint(step, described["record"], arrays)

    def clear(self) -> None:
        """Removes the folder once the run is done.

        Raises:
            InputError: it holds files that are no checkpoints.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file where a folder of checkpoints goes.")
        if foreign := self._foreign():
            raise InputError(f"{self.folder} holds what is no checkpoint ({foreign[0]}), so it is not removed.")
        shutil.rmtree(self.folder)

    def _foreign(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not _is_ours(path.name))

    def _path(self, step: StepKey, kind: str) -> Path:
        name = f"{step.index:04d}-{step.name}.{kind}"
        if not _STEP.fullmatch(name):
            raise ValueError(f"no checkpoint can be named after step {step.index} '{step.name}'")
        return self.folder / name


def digest_arrays(arrays: files.Arrays) -> str:
    """SHA-256 over names, shapes, dtypes and values, whatever the order or memory layout."""
    return hashlib.sha256(files.tensor_bytes(arrays)).hexdigest()


def digest_json(value: Json) -> str:
    """SHA-256 over a JSON value, whatever the order of its keys."""
    return hashlib.sha256(_as_json(value).encode()).hexdigest()


def _folder_of(out: Path) -> Path:
    out = Path(os.path.realpath(out))
    return out.with_name(f"{out.name}.partial")


def _is_ours(name: str) -> bool:
    return name == _FINGERPRINT or _STEP.fullmatch(name) is not None or name.endswith(".tmp")


def _as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
