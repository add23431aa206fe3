"""Small pictures inside a page: PNG made by hand, so that a report needs nothing but what the program brings."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from exegesis.ir import GraphError, Json

_COLOUR = {1: 0, 3: 2}  # of PNG, by the number of channels


@dataclass(frozen=True)
class Loss:
    """What becomes of the answers of one class without a module, in per cent: here, in the network, random units."""

    label: str
    here: float
    network: float | None
    random: float


@dataclass(frozen=True)
class Exhibit:
    """A module or a layer as the report shows it.

    Attributes:
        title: what it is called.
        functions: its definitions in the program.
        says: paragraphs of what is known of it; tables are shown as bars instead.
        losses: by class.
        mean: what drives it, on average, as a `data:` address; empty where nothing is shown.
        examples: inputs that drive it most.
        units: its units that vary most, and the mean of the inputs that drive each.
    """

    title: str
    functions: tuple[str, ...]
    says: tuple[str, ...]
    losses: tuple[Loss, ...]
    mean: str
    examples: tuple[str, ...]
    units: tuple[tuple[str, str], ...]


def exhibits(record: Mapping[str, Json]) -> tuple[Exhibit, ...]:
    """What a program says of its modules, in `meta["modules"]`, ready to be shown.

    Raises:
        GraphError: a picture that is none.
    """
    return tuple(_exhibit(m) for m in record.get("modules") or ())


def _exhibit(module: Mapping[str, Json]) -> Exhibit:
    pictures = module.get("pictures") or {}
    paragraphs = [p for p in str(module["doc"]).split("\n\n") if "\n" not in p]
    return Exhibit(
        title=module["name"],
        functions=tuple(module.get("functions") or ()),
        says=tuple(paragraphs),
        losses=_losses(module),
        mean=address(pictures["mean"]) if "mean" in pictures else "",
        examples=tuple(address(p) for p in pictures.get("examples") or ()),
        units=tuple((u["unit"], address(u["picture"])) for u in pictures.get("units") or ()),
    )


def _losses(module: Mapping[str, Json]) -> tuple[Loss, ...]:
    columns: list[Sequence[float | None] | None] = [module.get(k) for k in ("lost", "lost_in_network", "random_lost")]
    here, network, random = columns
    if here is None or random is None:
        return ()
    return tuple(
        Loss(label, 100 * h, None if network is None else 100 * (network[i] or 0.0), 100 * (random[i] or 0.0))
        for i, (label, h) in enumerate(zip(module["labels"], here, strict=False))
        if h is not None
    )


def address(packed: Mapping[str, Json]) -> str:
    """A picture `{"shape": [h, w, 1 or 3], "bytes": base 64}` as a `data:` address.

    Raises:
        GraphError: the bytes are not as many as the shape says, or no bytes.
    """
    shape = tuple(int(s) for s in packed["shape"])
    try:
        raw = base64.b64decode(str(packed["bytes"]), validate=True)
    except binascii.Error as error:
        raise GraphError("A picture in the program is no base 64.") from error
    if len(shape) != 3 or shape[2] not in _COLOUR or len(raw) != int(np.prod(shape)) or not raw:
        raise GraphError(f"A picture in the program has {len(raw)} bytes for the shape {list(shape)}.")
    return f"data:image/png;base64,{base64.b64encode(png(np.frombuffer(raw, np.uint8).reshape(shape))).decode('ascii')}"


def png(picture: UInt8[np.ndarray, "h w c"]) -> bytes:
    """A picture of one channel (grey) or three (red, green, blue) as a PNG file (ISO/IEC 15948)."""
    height, width, channels = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)  # filter 0: none
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR[channels], 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
