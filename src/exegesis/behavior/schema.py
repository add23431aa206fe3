"""What `behavior.json` and the lines of a `.jsonl` split may say. Types are strict; errors are one sentence.

Keys that `behavior.json` need not know (`origin` …) are kept as information, but a key that looks like a slip of a
known one is refused, because a misspelt option would otherwise be ignored without a word.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from exegesis.behavior.arrays import Stored
from exegesis.behavior.domain import DatasetDomain, Domain, ProductDomain, SamplerDomain, StringsDomain
from exegesis.behavior.readout import Argmax, Readout, Sign, Value
from exegesis.behavior.sequences import SequenceRow
from exegesis.behavior.splits import Splits
from exegesis.ir import InputError

# Ids beyond this could not be indices of anything; the bound also keeps them inside int64.
Index = Annotated[int, Field(ge=0, lt=2**31)]
T = TypeVar("T")


class Model(BaseModel):
    """Strict types, unknown keys refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RowFile(Model, Generic[T]):
    """A line of a split. `expected` holds ints, lists of ints or floats, after the readout."""

    input_ids: Annotated[list[Index], Field(min_length=1)]
    scored: Annotated[list[Index], Field(min_length=1)]
    position_ids: list[Index] | None = None
    expected: list[T] | None = None


class ProductFile(Model):
    """Every choice of one alternative per position."""

    kind: Literal["product"]
    positions: list[list[Index]]


class StringsFile(Model):
    """Every string over an alphabet between two lengths, inside a prefix and a suffix."""

    kind: Literal["strings"]
    alphabet: list[Index]
    min_length: Index
    max_length: Index
    prefix: list[Index] = []
    suffix: list[Index] = []


class InputFile(Model):
    """Shape and dtype of one stored input, what its numbers are divided by, and what they are called."""

    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    stored: Stored
    scale: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    features: list[str] | None = None


class Header(BaseModel):
    """What both kinds of behaviour say."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    task: str = ""
    readout: Literal["argmax", "sign", "value"]
    tolerance: FiniteFloat | None = None
    splits: dict[str, str] | None = None

    def read_as(self, outputs: list[int] | None) -> Readout:
        """The readout these keys describe. Raises InputError where they contradict each other."""
        if (self.readout == "value") != (self.tolerance is not None):
            needs = "needs a" if self.readout == "value" else "takes no"
            raise InputError(f"Readout {self.readout!r} {needs} tolerance.")
        if outputs is not None and self.readout != "argmax":
            raise InputError(f"Readout {self.readout!r} takes no outputs; only 'argmax' chooses among some of them.")
        match self.readout:
            case "argmax":
                return Argmax(None if outputs is None else tuple(outputs))
            case "sign":
                return Sign()
            case "value":
                return Value(self.tolerance if self.tolerance is not None else 0.0)


class SequenceFile(Header):
    """`behavior.json` of a behaviour over token sequences."""

    tokens: Annotated[list[str], Field(min_length=1)]
    bos: Index | None = None
    sep: Index | None = None
    eos: Index | None = None
    pad: Index | None = None
    special: list[Index] | None = None
    outputs: list[Index] | None = None
    output_names: list[str] | None = None
    domain: Annotated[ProductFile | StringsFile, Field(discriminator="kind")] | None = None


class ArrayFile(Header):
    """`behavior.json` of a behaviour over arrays."""

    classes: Annotated[list[str], Field(min_length=1)] | None = None
    outputs: list[Index] | None = None
    input: InputFile


ROW_KINDS: dict[type, type[RowFile[Any]]] = {
    Argmax: RowFile[Index],
    Sign: RowFile[list[Index]],
    Value: RowFile[FiniteFloat],
}


def parse_header(text: bytes, path: Path) -> SequenceFile | ArrayFile:
    """Read `behavior.json`. Raises InputError in one sentence that names the file and the field."""
    try:
        header = Header.model_validate_json(text)
        is_array = "input" in (header.model_extra or {})
        kind: type[SequenceFile | ArrayFile] = ArrayFile if is_array else SequenceFile
        file = kind.model_validate_json(text)
    except ValidationError as error:
        raise InputError(_sentence(error, str(path))) from None
    known = {*kind.model_fields, *SequenceFile.model_fields, *ArrayFile.model_fields}
    for key in file.model_extra or {}:
        if key in known:
            raise InputError(f"{path}: field {key} does not belong to a behaviour over {_subject(kind)}.")
        if close := difflib.get_close_matches(key, kind.model_fields, n=1, cutoff=0.8):
            raise InputError(f"{path}: unknown field {key}; did you mean {close[0]}?")
    return file


def _subject(kind: type[SequenceFile | ArrayFile]) -> str:
    return "arrays" if kind is ArrayFile else "token sequences"


def domain_of(file: SequenceFile, splits: Splits) -> Domain:
    """The domain a file describes; the dataset's own inputs where it describes none."""
    match file.domain:
        case None:
            return DatasetDomain(splits)
        case ProductFile() as d:
            _check_tokens([token for position in d.positions for token in position], file)
            return ProductDomain(tuple(tuple(p) for p in d.positions))
        case StringsFile() as d:
            _check_tokens([*d.alphabet, *d.prefix, *d.suffix], file)
            return StringsDomain(
                tuple(d.alphabet), d.min_length, d.max_length, prefix=tuple(d.prefix), suffix=tuple(d.suffix)
            )


def _check_tokens(used: list[int], file: SequenceFile) -> None:
    if max(used, default=0) >= len(file.tokens):
        raise InputError(f"The domain uses token id {max(used)}, but the vocabulary has {len(file.tokens)} tokens.")


def domain_fields(domain: Domain) -> dict[str, Any] | None:
    """The field `domain` of a file; None for the dataset. Raises InputError for a sampler."""
    match domain:
        case DatasetDomain():
            return None
        case ProductDomain():
            return {"kind": "product", "positions": [list(p) for p in domain.positions]}
        case StringsDomain():
            ends = {name: list(ids) for name, ids in (("prefix", domain.prefix), ("suffix", domain.suffix)) if ids}
            bounds = {"min_length": domain.min_length, "max_length": domain.max_length}
            return {"kind": "strings", "alphabet": list(domain.alphabet_ids), **bounds, **ends}
        case SamplerDomain():
            raise InputError("A behaviour whose domain is a sampler cannot be saved; give it a dataset instead.")


def parse_row(line: bytes, readout: Readout, where: str) -> SequenceRow:
    """Read one line of a split. Raises InputError in one sentence that starts with `where`."""
    try:
        row = ROW_KINDS[type(readout)].model_validate_json(line)
    except ValidationError as error:
        raise InputError(_sentence(error, where)) from None
    return SequenceRow(row.input_ids, row.scored, row.position_ids, row.expected)


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"{where} is not valid JSON ({first['ctx']['error']})."
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        return f"{where}: field {field} is missing."
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown field {field}."
    message = first["msg"][0].lower() + first["msg"][1:]
    if not field:
        return f"{where}: {message}."
    shown = repr(first["input"])
    return f"{where}: {field} is {shown if len(shown) <= 60 else shown[:57] + '...'}, but {message}."
