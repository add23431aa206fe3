"""Inputs with labelled concepts: what each shows, and where."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from exegesis.behavior import ArraySplit
from exegesis.ir import ExegesisError


class ConceptError(ExegesisError):
    """Labelled concepts that cannot be used."""


@dataclass(frozen=True, eq=False)
class Attribute:
    """Something in which inputs differ: colour, shape, class.

    Attributes:
        name: what it is called.
        values: its concepts, by name.
        of: which of them each input shows, [n]; -1 where that is not known.
        mask: where in each input it is seen, [n, h, w]; None where nobody knows, or where inputs are no pictures.
    """

    name: str
    values: tuple[str, ...]
    of: Int[np.ndarray, " n"]
    mask: Bool[np.ndarray, "n h w"] | None = None

    def onehot(self) -> Bool[np.ndarray, "n v"]:
        """Which inputs show which concept."""
        return np.asarray(self.of[:, None] == np.arange(len(self.values)))


@dataclass(frozen=True, eq=False)
class Labelled:
    """Inputs and their attributes.

    Attributes:
        x: as the network takes them, [n, ...].
        attributes: what is known about each.
        pairs: for each input the one that differs from it in one attribute alone, [n]; None where there are no such.
        note: where they come from.

    Raises:
        ConceptError: no attributes, labels or masks of another size than the inputs, a value that nobody named, or an
            attribute of which only one value occurs.
    """

    x: Float[np.ndarray, "n ..."]
    attributes: tuple[Attribute, ...]
    pairs: Int[np.ndarray, " n"] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not self.attributes:
            raise ConceptError("There are inputs, but no labelled concepts.")
        for a in self.attributes:
            if a.of.shape != (len(self.x),):
                raise ConceptError(f"Attribute {a.name} has {len(a.of)} labels for {len(self.x)} inputs.")
            if (a.of >= len(a.values)).any():
                raise ConceptError(f"Attribute {a.name} has label {int(a.of.max())}, but {len(a.values)} values.")
            if len(np.unique(a.of[a.of >= 0])) < 2:
                raise ConceptError(f"Attribute {a.name} takes a single value, so that nothing can be told by it.")
            if a.mask is not None and a.mask.shape != (len(self.x), *self.x.shape[-2:]):
                needed = [len(self.x), *self.x.shape[-2:]]
                raise ConceptError(f"The masks of {a.name} have shape {list(a.mask.shape)}, where {needed} is needed.")

    def __len__(self) -> int:
        return len(self.x)

    def split(self) -> ArraySplit:
        """The inputs as a split."""
        return ArraySplit("concepts", self.x)

    def select(self, rows: Int[np.ndarray, " m"]) -> Labelled:
        """Some of the inputs; pairs are dropped."""
        chosen = tuple(
            Attribute(a.name, a.values, a.of[rows], None if a.mask is None else a.mask[rows]) for a in self.attributes
        )
        return Labelled(self.x[rows], chosen, None, self.note)

    def halves(self, seed: int) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
        """Rows to fit on and rows to judge on; both of a pair lie on one side.

        Raises:
            ConceptError: fewer than twenty inputs.
        """
        if len(self) < 20:
            raise ConceptError(f"{len(self)} labelled inputs are too few to fit on one half and judge on the other.")
        rng = np.random.default_rng([seed, 21])
        group = np.arange(len(self)) if self.pairs is None else np.minimum(np.arange(len(self)), self.pairs)
        names = rng.permutation(np.unique(group))
        first = np.isin(group, names[: len(names) // 2])
        return np.flatnonzero(first), np.flatnonzero(~first)


def of_classes(split: ArraySplit, names: Sequence[str]) -> Labelled:
    """The classes of a behaviour as concepts. Raises ConceptError where the split has no labels."""
    if split.y is None or split.y.ndim != 1:
        raise ConceptError(f"Split {split.name} has no class for each input.")
    return Labelled(split.x, (Attribute("class", tuple(names), split.y.astype(np.int64)),), note="classes")


def read_concepts(path: Path, shape: Sequence[int]) -> Labelled:
    """Concepts from an `.npz` file: `x` [n, ...], and for each attribute `name.of` [n] integers, `name.values` names,
    and perhaps `name.mask` [n, h, w].

    Args:
        path: the file.
        shape: what one input must look like.

    Raises:
        ConceptError: the file is missing, is no such file, or holds inputs of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: Mapping[str, np.ndarray] = {name: file[name] for name in file.files}
    except OSError as error:
        raise ConceptError(f"{path} cannot be read ({error.strerror or 'no such file'}).") from None
    except (ValueError, zipfile.BadZipFile):
        raise ConceptError(f"{path} is no .npz file of plain arrays.") from None
    if "x" not in arrays:
        raise ConceptError(f"{path} holds no inputs x.")
    x = arrays["x"]
    if x.shape[1:] != tuple(shape) or x.dtype.kind not in "fiub":
        raise ConceptError(f"{path}: x has shape {list(x.shape)}; each input must have shape {list(shape)}.")
    if not np.isfinite(x).all():
        raise ConceptError(f"{path}: x holds numbers that are NaN or infinite.")
    attributes = []
    for name in sorted(n.removesuffix(".of") for n in arrays if n.endswith(".of")):
        labels = arrays[f"{name}.of"]
        if labels.dtype.kind not in "iub" or labels.ndim != 1:
            raise ConceptError(f"{path}: {name}.of must be whole numbers [n], not {labels.dtype} {list(labels.shape)}.")
        values = arrays.get(f"{name}.values", np.arange(int(labels.max(initial=0)) + 1))
        mask = arrays.get(f"{name}.mask")
        attributes.append(
            Attribute(
                name,
                tuple(str(v) for v in values),
                labels.astype(np.int64),
                None if mask is None else mask.astype(bool),
            )
        )
    return Labelled(x.astype(np.float32), tuple(attributes), note=str(path.name))
