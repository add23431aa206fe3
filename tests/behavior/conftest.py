"""A small behaviour on disk, to load or to break."""

import json
from pathlib import Path
from typing import Any

import pytest

ROWS = [
    {"input_ids": [2, 0, 1, 3], "scored": [3], "expected": [0], "position_ids": [5, 6, 7, 8]},
    {"input_ids": [2, 1, 3], "scored": [2], "expected": [1], "position_ids": [0, 1, 2]},
    {"input_ids": [2, 1, 1, 3], "scored": [1, 3], "expected": [1, 0], "position_ids": [1, 2, 3, 4]},
]
HEADER = {
    "name": "first",
    "task": "first letter",
    "tokens": ["a", "b", "<bos>", "<sep>"],
    "bos": 2,
    "readout": "argmax",
}


class Folder:
    """A behaviour's folder, written piece by piece."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def header(self, without: tuple[str, ...] = (), **changes: Any) -> Path:
        fields = {key: value for key, value in {**HEADER, **changes}.items() if key not in without}
        (self.path / "behavior.json").write_text(json.dumps(fields))
        return self.path

    def rows(self, *rows: dict[str, Any], split: str = "train") -> Path:
        (self.path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return self.path

    def row(self, **changes: Any) -> Path:
        """Two good rows, and between them one with changes; None leaves a field out."""
        row = {key: value for key, value in {**ROWS[0], **changes}.items() if value is not None}
        return self.rows(ROWS[1], row, ROWS[2])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.header()
    made.rows(*ROWS)
    made.rows(*ROWS[:2], split="test")
    return made
