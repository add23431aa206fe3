"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from exegesis.ir.errors import InputError


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a temporary file beside `path` and renames it: a reader sees the old content or the new, never a part.

    Folders that are missing are made.

    Raises:
        InputError: the place cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of the text in UTF-8, line ends as they are."""
    write_bytes(path, content.encode("utf-8"))


def umask() -> int:
    """The process's umask, which the system tells only by setting it."""
    current = os.umask(0o077)
    os.umask(current)
    return current
