"""The figures of one decompilation."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from exegesis.evidence.records import Finite, Measurement, Record

_Value = TypeVar("_Value")


def _read_only(mapping: Mapping[str, _Value]) -> Mapping[str, _Value]:
    return MappingProxyType(dict(mapping))


_ReadOnly = (AfterValidator(_read_only), PlainSerializer(dict))
Measurements = Annotated[Mapping[str, Measurement], *_ReadOnly]
Versions = Annotated[Mapping[str, str], *_ReadOnly]
Bits = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]

TIMINGS = ("seconds", "peak_memory_mb")
"""The figures that differ between two runs of one seed."""


def legible_share(opaque_bits: float, lifted_bits: float) -> float:
    """The share of a network's description that no longer is opaque, ``1 - opaque_bits / lifted_bits``.

    Negative where the opaque parts cost more than the lifted program did.

    Args:
        opaque_bits: description length of the parts nobody could explain, in bits.
        lifted_bits: description length of the lifted program, in bits.

    Raises:
        ValueError: ``lifted_bits`` is not positive, so that there was nothing to explain.
    """
    if not lifted_bits > 0.0:
        raise ValueError(f"a lifted program has a positive description length, not {lifted_bits} bits")
    return 1.0 - opaque_bits / lifted_bits


class Figures(Record):
    """What was measured of one program, and what it cost.

    Attributes:
        agreement: per split, the share of scored positions where program and network say the same.
        sequences_exact: per split, the share of inputs without any difference.
        legible_share: see :func:`legible_share`; checked against the two lengths it comes from.
        opaque_bits, lifted_bits: description lengths, in bits.
        code_lines: lines of code of ``program.py``, docstrings and comments apart.
        numbers_in_code, numbers_in_tensors: constants written in the code, and kept in the tensors it loads.
        seconds, peak_memory_mb: wall time and peak resident memory of the run, in seconds and MiB.
        seed: the seed of the run.
        versions: of Python and of each package that can change a result.
    """

    agreement: Measurements
    sequences_exact: Measurements
    legible_share: Finite
    opaque_bits: Bits
    lifted_bits: Bits
    code_lines: Count
    numbers_in_code: Count
    numbers_in_tensors: Count
    seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    peak_memory_mb: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    seed: int
    versions: Versions

    @model_validator(mode="after")
    def _share_follows_from_the_lengths(self) -> "Figures":
        share = legible_share(self.opaque_bits, self.lifted_bits)
        if abs(share - self.legible_share) > 1e-9 * max(1.0, abs(share)):
            raise ValueError(
                f"{self.opaque_bits} opaque of {self.lifted_bits} lifted bits make a legible share of {share}, "
                f"not {self.legible_share}"
            )
        return self
