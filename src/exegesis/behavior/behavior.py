"""The signal a decompilation is relative to: which inputs, which outputs, and how these are read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from exegesis.behavior.arrays import ArrayInput, ArraySplit, check_arrays
from exegesis.behavior.domain import DatasetDomain, Domain, ProductDomain, StringsDomain
from exegesis.behavior.files import (
    arrays_bytes,
    checked_rows,
    read_arrays,
    read_bytes,
    read_sequences,
    sequences_text,
)
from exegesis.behavior.readout import Argmax, Readout, Sign, Value
from exegesis.behavior.schema import ArrayFile, SequenceFile, domain_fields, domain_of, parse_header, parse_row
from exegesis.behavior.sequences import SequenceRow, SequenceSplit
from exegesis.behavior.splits import Split, Splits, arrays_of, outputs_needed, split_paths
from exegesis.behavior.vocabulary import Vocabulary
from exegesis.ir import InputError
from exegesis.ir.files import write_bytes


@dataclass(frozen=True, eq=False)
class Behavior:
    """What the user wants explained.

    Make one with `Behavior.load`, `Behavior.from_sequences` or `Behavior.from_arrays`.

    Args:
        name: a short name.
        task: what the network does, for people.
        readout: how outputs are read as answers.
        splits: `train`, `test` and others by name; a file is read when its split is first asked for.
        vocabulary: the tokens; empty for behaviours over arrays.
        layout: shape and scale of one input for behaviours over arrays; None for sequences.
        output_names: a label per output where outputs are not tokens, else None.
        domain: where inputs come from.
        info: what else the file says (`origin` …); no part of the behaviour.
    """

    name: str
    task: str
    readout: Readout
    splits: Splits
    vocabulary: Vocabulary
    layout: ArrayInput | None
    output_names: tuple[str, ...] | None
    domain: Domain
    info: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> Behavior:
        """Read `behavior.json`; splits are the files it names, else those beside it.

        Args:
            path: the file, the folder it lies in, or `zoo:name` for the behaviour of a network of the zoo.

        Raises:
            InputError: in one sentence, where a file is missing, malformed or contradicts itself. Splits are read,
                and checked in full, when they are first asked for; `check()` asks for all of them.
        """
        path = _zoo_folder(str(path)) or Path(path)
        path = path / "behavior.json" if path.is_dir() else path
        file = parse_header(read_bytes(path), path)
        sources = split_paths(file.splits, path, "npz" if isinstance(file, ArrayFile) else "jsonl")
        try:
            return _from_file(file, sources)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def from_sequences(
        cls,
        name: str,
        vocabulary: Vocabulary | Sequence[str],
        splits: Mapping[str, Iterable[SequenceRow | Mapping[str, Any]]],
        readout: Readout,
        *,
        task: str = "",
        output_names: Sequence[str] | None = None,
        domain: Domain | None = None,
    ) -> Behavior:
        """A behaviour over token sequences made in Python.

        Args:
            name, task, readout, output_names: as in `Behavior`.
            vocabulary: a `Vocabulary`, or just the labels of the tokens.
            splits: rows by name of split, as `SequenceRow` or as a mapping with the keys of a line of a `.jsonl` file.
            domain: where inputs come from; None for the dataset itself.

        Raises:
            InputError: a row does not make sense, or there are none.
        """
        words = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(tuple(vocabulary))
        names = None if output_names is None else tuple(output_names)
        made: dict[str, Split] = {}
        for split, given in splits.items():
            rows = list(given)
            where = [f"split {split} row {i}" for i in range(len(rows))]
            plain = [_checked_types(row, readout, at) for row, at in zip(rows, where, strict=True)]
            sizes = (len(words), len(names or words.labels), _n_answers(names, readout, words))
            made[split] = checked_rows(split, plain, where, readout, *sizes)
        everything = Splits(made)
        return cls(name, task, readout, everything, words, None, names, domain or DatasetDomain(everything))

    @classmethod
    def from_arrays(
        cls,
        name: str,
        splits: Mapping[str, tuple[NDArray[Any], NDArray[Any] | None]],
        readout: Readout,
        *,
        task: str = "",
        output_names: Sequence[str] | None = None,
        scale: float = 1.0,
        features: Sequence[str] | None = None,
    ) -> Behavior:
        """A behaviour over arrays made in Python.

        Args:
            name, task, readout, output_names: as in `Behavior`.
            splits: inputs [n, ...] and answers (or None) by name of split, all inputs of one shape and dtype.
            scale: what the numbers are divided by before the network sees them.
            features: a name for each number of one input, as for the columns of a table.

        Raises:
            InputError: arrays that do not make sense, or none.
        """
        names = None if output_names is None else tuple(output_names)
        made: dict[str, Split] = {}
        for split, (x, y) in splits.items():
            labels = None if names is None else len(names)
            made[split] = ArraySplit(split, *check_arrays(split, x, y, readout, labels, f"split {split}"), scale)
        layouts = {(x.shape[1:], str(x.dtype)) for x, _ in splits.values()}
        if len(layouts) > 1:
            raise InputError(f"The splits hold inputs of different shapes or types: {sorted(map(str, layouts))}.")
        everything = Splits(made)
        ((shape, stored),) = layouts
        layout = ArrayInput(shape, stored, scale, None if features is None else tuple(features))
        return cls(name, task, readout, everything, Vocabulary(()), layout, names, DatasetDomain(everything))

    @property
    def is_sequence(self) -> bool:
        """Whether inputs are sequences of tokens (else arrays)."""
        return self.layout is None

    @property
    def alphabet(self) -> Int[np.ndarray, " letters"]:
        """Ids of the tokens that carry content: the domain's letters, else all that are not special."""
        if isinstance(self.domain, ProductDomain | StringsDomain):
            return self.domain.alphabet
        return self.vocabulary.letters

    def split(self, name: str) -> Split:
        """A split by name. Raises InputError where there is none."""
        if name not in self.splits:
            raise InputError(f"Behaviour {self.name} has no split {name}; it has {', '.join(self.splits)}.")
        return self.splits[name]

    def sequences(self, name: str) -> SequenceSplit:
        """A split of token sequences by name. Raises InputError where there is none."""
        split = self.split(name)
        if not isinstance(split, SequenceSplit):
            raise InputError(f"Behaviour {self.name} is over arrays, not over token sequences.")
        return split

    def arrays(self, name: str) -> ArraySplit:
        """A split of arrays by name. Raises InputError where there is none."""
        split = self.split(name)
        if not isinstance(split, ArraySplit):
            raise InputError(f"Behaviour {self.name} is over token sequences, not over arrays.")
        return split

    def output_labels(self, n_outputs: int) -> tuple[str, ...]:
        """A label per output of the network: its name, else its token where outputs are tokens, else its number."""
        if self.output_names is not None:
            if len(self.output_names) != n_outputs:
                raise InputError(
                    f"Behaviour {self.name} names {len(self.output_names)} outputs, but the network has {n_outputs}."
                )
            return self.output_names
        competing = self.readout.outputs if isinstance(self.readout, Argmax) else None
        if n_outputs == len(self.vocabulary) or (competing and max(competing) < len(self.vocabulary)):
            known = self.vocabulary.labels[:n_outputs]
            return (*known, *(str(i) for i in range(len(known), n_outputs)))
        return tuple(str(i) for i in range(n_outputs))

    @property
    def features(self) -> tuple[str, ...]:
        """What the numbers of one input are called: their names, else `x0`, `x1` …; empty for sequences."""
        if self.layout is None:
            return ()
        return self.layout.features or tuple(f"x{k}" for k in range(math.prod(self.layout.shape)))

    def check(self) -> None:
        """Read every split now. Raises the InputError of the first that does not make sense."""
        for name in self.splits:
            self.split(name)

    def check_vocabulary(self, size: int) -> None:
        """Raise InputError unless a network that embeds `size` tokens can read every split and the alphabet."""
        used = {f"split {name}": int(self.sequences(name).tokens.max()) for name in self.splits}
        used["the alphabet"] = int(self.alphabet.max(initial=0))
        for place, token in used.items():
            if token >= size:
                raise InputError(
                    f"Behaviour {self.name}: {place} uses token id {token}, which exceeds the network's "
                    f"vocabulary of {size} tokens."
                )

    def check_positions(self, size: int) -> None:
        """Raise InputError unless a network with `size` positions can read every row of every split."""
        for name in self.splits:
            split = self.sequences(name)
            last = int(split.lengths.max()) - 1 if split.positions is None else int(split.positions.max())
            if last >= size:
                raise InputError(
                    f"Behaviour {self.name}: split {name} uses position {last}, but the network has {size} positions."
                )

    def check_outputs(self, n_outputs: int) -> None:
        """Raise InputError unless a network with `n_outputs` outputs can give every answer that the splits expect."""
        self.output_labels(n_outputs)
        if isinstance(self.readout, Value):
            needed = 1
        elif isinstance(self.readout, Argmax) and self.readout.outputs:
            needed = max(self.readout.outputs) + 1
        else:
            needed = max((outputs_needed(self.split(name)) for name in self.splits), default=0)
        if needed > n_outputs or (isinstance(self.readout, Value) and n_outputs != 1):
            raise InputError(f"Behaviour {self.name} needs {needed} outputs, but the network has {n_outputs}.")

    def fingerprint(self) -> str:
        """SHA-256 of everything that makes up the behaviour, the same after saving and loading. `info` is left out."""
        digest = hashlib.sha256(json.dumps(self._header(), sort_keys=True).encode())
        for name in sorted(self.splits):
            digest.update(f"split {name}\n".encode())
            for array in arrays_of(self.split(name)):
                digest.update(f"{array.dtype.str} {array.shape}\n".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write `behavior.json` and the splits into a folder, and return the path of the former.

        Each file appears whole or not at all, `behavior.json` last.

        Raises:
            InputError: the folder cannot be written, or the domain is a sampler, which no file can hold.
        """
        folder = Path(folder)
        header = self._header()
        names = {}
        for name in self.splits:
            split = self.split(name)
            is_sequence = isinstance(split, SequenceSplit)
            names[name] = f"{name}.{'jsonl' if is_sequence else 'npz'}"
            content = sequences_text(split) if isinstance(split, SequenceSplit) else arrays_bytes(split)
            write_bytes(folder / names[name], content)
        text = json.dumps({**header, "splits": names, **self.info}, indent=1, ensure_ascii=False)
        write_bytes(folder / "behavior.json", (text + "\n").encode())
        return folder / "behavior.json"

    def _header(self) -> dict[str, Any]:
        """The content of `behavior.json` without `splits` and `info`; keys without a value are left out."""
        words, readout = self.vocabulary, self.readout
        kinds = {Argmax: "argmax", Sign: "sign", Value: "value"}
        header: dict[str, Any] = {"name": self.name, "task": self.task, "readout": kinds[type(readout)]}
        if isinstance(readout, Argmax) and readout.outputs is not None:
            header["outputs"] = list(readout.outputs)
        if isinstance(readout, Value):
            header["tolerance"] = float(readout.tolerance)
        names = None if self.output_names is None else list(self.output_names)
        if self.layout is not None:
            layout = {"shape": list(self.layout.shape), "stored": self.layout.stored, "scale": float(self.layout.scale)}
            named = {} if self.layout.features is None else {"features": list(self.layout.features)}
            return {**header, **({"classes": names} if names else {}), "input": {**layout, **named}}
        header |= {"tokens": list(words.labels), **words.named}
        if words.declared_special is not None:
            header["special"] = sorted(words.declared_special)
        if names is not None:
            header["output_names"] = names
        if (domain := domain_fields(self.domain)) is not None:
            header["domain"] = domain
        return header


def _zoo_folder(text: str) -> Path | None:
    """Where the data of `zoo:name` lie, found without importing that layer above; None for other paths."""
    if not text.startswith("zoo:"):
        return None
    name = text.removeprefix("zoo:")
    folder = Path(__file__).parent.parent / "zoo" / name
    if not name.isidentifier() or not (folder / "behavior.json").is_file():
        raise InputError(f"The zoo has no network {name!r} that brings a behaviour.")
    return folder


def _checked_types(row: SequenceRow | Mapping[str, Any], readout: Readout, where: str) -> SequenceRow:
    fields = vars(row) if isinstance(row, SequenceRow) else dict(row)
    try:
        text = json.dumps(fields, default=lambda value: np.asarray(value).tolist())
    except (TypeError, ValueError):
        raise InputError(f"{where} holds something that is not a number or a list of numbers.") from None
    return parse_row(text.encode(), readout, where)


def _n_answers(names: tuple[str, ...] | None, readout: Readout, words: Vocabulary) -> int | None:
    """How many outputs there are, as far as the behaviour says so."""
    if names is not None:
        return len(names)
    return len(words) if isinstance(readout, Sign) else None


def _from_file(file: SequenceFile | ArrayFile, sources: Mapping[str, Path]) -> Behavior:
    readout = file.read_as(file.outputs)
    info = dict(file.model_extra or {})
    if isinstance(file, ArrayFile):
        features = None if file.input.features is None else tuple(file.input.features)
        layout = ArrayInput(tuple(file.input.shape), file.input.stored, file.input.scale, features)
        names = None if file.classes is None else tuple(file.classes)
        labels = None if names is None else len(names)
        splits = Splits({s: partial(read_arrays, p, s, readout, layout, labels) for s, p in sources.items()})
        words, domain = Vocabulary(()), DatasetDomain(splits)
        return Behavior(file.name, file.task, readout, splits, words, layout, names, domain, info)
    special = None if file.special is None else frozenset(file.special)
    words = Vocabulary(tuple(file.tokens), file.bos, file.sep, file.eos, file.pad, special)
    names = None if file.output_names is None else tuple(file.output_names)
    sizes = (len(words), len(names or words.labels), _n_answers(names, readout, words))
    splits = Splits({s: partial(read_sequences, p, s, readout, *sizes) for s, p in sources.items()})
    return Behavior(file.name, file.task, readout, splits, words, None, names, domain_of(file, splits), info)
