"""What a hunt found, put into inputs: pairs without and with a trigger, a mark on a place, or the colour of a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng

from exegesis.explain.core import JSON_FILE, Status
from exegesis.explain.shortcuts import Shortcut
from exegesis.explain.shortcuts.colour import recoloured
from exegesis.ir import InputError
from exegesis.measure.concepts import Attribute, Labelled
from exegesis.pipeline.subjects import Subject


def found_mark(folder: Path, there: Subject, images: int, seed: int) -> Labelled:
    """Inputs of a behaviour in pairs, without and with what `exegesis hunt` found; `note` says what it is.

    Args:
        folder: what `hunt --out` wrote, or the folder of one find in it.
        there: the network and its behaviour.
        images: how many inputs, with and without together.
        seed: which.

    Raises:
        InputError: no find, several of them, one that was withheld, or one of inputs of another shape.
    """
    found = Shortcut.open(_one(folder))
    if found.status is not Status.SHOWN:
        raise InputError(f"{folder} holds a candidate that failed a test: {found.why}.")
    plain = there.behavior.arrays(there.split).take(images // 2, seed).x.astype(np.float32)
    marked = _marked(found, there, plain, seed)
    count = len(plain)
    name = found.artefact if found.artefact != "region" else "mark"
    attribute = Attribute(name, ("absent", "present"), np.repeat([0, 1], count))
    pairs = np.concatenate([np.arange(count) + count, np.arange(count)])
    return Labelled(np.concatenate([plain, marked]), (attribute,), pairs, _title(name, found))


def _one(folder: Path) -> Path:
    """The folder of the only find in a folder."""
    if (folder / JSON_FILE).is_file():
        return folder
    finds = sorted(p.parent for p in folder.glob(f"*/{JSON_FILE}"))
    if not finds:
        raise InputError(f"{folder} holds nothing that exegesis hunt found.")
    if len(finds) > 1:
        raise InputError(f"{folder} holds {len(finds)} finds; name one of {', '.join(p.name for p in finds)}.")
    return finds[0]


def _title(name: str, found: Shortcut) -> str:
    """`trigger for 1, bottom right corner`."""
    place = str(found.details.get("place", "")).partition(" (")[0].removeprefix("the ")
    where = "" if name == "colour" or not place else f", {place}"
    return f"{name} for {found.label}{where}"


def _marked(found: Shortcut, there: Subject, plain: np.ndarray, seed: int) -> np.ndarray:
    arrays = found.arrays
    if found.artefact == "colour":
        return _in_the_colour(found, there, plain, seed)
    places, pattern = np.asarray(arrays["places"], bool), np.asarray(arrays["pattern"], np.float32)
    if places.shape != plain.shape[1:] or pattern.shape != plain.shape[1:]:
        raise InputError(
            f"The {found.artefact} was found in inputs of shape {list(places.shape)}; those of the behaviour have "
            f"{list(plain.shape[1:])}."
        )
    return np.where(places, pattern, plain)


def _in_the_colour(found: Shortcut, there: Subject, plain: np.ndarray, seed: int) -> np.ndarray:
    """Inputs with their shapes in the colours of inputs of a class."""
    split = there.behavior.arrays(there.split)
    if split.y is None or split.y.ndim != 1 or found.label not in there.labels:
        raise InputError(f"The behaviour has no labelled inputs of {found.label}, whose colour was found.")
    members = np.flatnonzero(split.y == there.labels.index(found.label))
    if not len(members):
        raise InputError(f"Split {split.name} has no input of {found.label}, whose colour was found.")
    donors = split.gather(default_rng([seed, 37]).choice(members, len(plain))).x.astype(np.float32)
    low, high = float(plain.min()), float(plain.max())
    changed: np.ndarray = recoloured(torch.from_numpy(plain), torch.from_numpy(donors), low, high).numpy()
    return changed
