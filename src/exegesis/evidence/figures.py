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
Seconds = Annotated[Mapping[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]], *_ReadOnly]
Count = Annotated[int, Field(ge=0)]

TIMINGS = ("seconds", "peak_memory_mb", "stage_seconds", "seconds_to_decide", "domain_chunk")
"""The figures that differ between two runs of one seed."""


def legible_share(unread_bits: float, lifted_bits: float) -> float:
    """The share of a network's description that no longer is opaque, ``1 - unread_bits / lifted_bits``.

    Negative where the opaque parts cost more than the lifted program did.

    Args:
        unread_bits: description length of the parts nobody could explain, in bits, with rounded numbers at the
            precision that they had: rounding makes them shorter and no clearer.
        lifted_bits: description length of the lifted program, in bits.

    Raises:
        ValueError: ``lifted_bits`` is not positive, so that there was nothing to explain.
    """
    if not lifted_bits > 0.0:
        raise ValueError(f"a lifted program has a positive description length, not {lifted_bits} bits")
    return 1.0 - unread_bits / lifted_bits


class Attack(Record):
    """An adversarial search for inputs on which program and network differ.

    Attributes:
        queries: inputs that the network was asked about.
        restarts: how many starting inputs were pushed until they differed or nothing helped any more.
        found: how many of the restarts ended at an input on which the two differ.
        worst_margin: by how much the network's output favoured the program's answer where that was least (logit
            difference, or slack within the tolerance for real values); negative where they differ.
    """

    queries: Count
    restarts: Count
    found: Count
    worst_margin: Finite | None = None


class Figures(Record):
    """What was measured of one program, and what it cost.

    Attributes:
        agreement: per split, the share of scored positions where program and network say the same.
        sequences_exact: per split, the share of inputs without any difference.
        legible_share: see :func:`legible_share`; checked against the two lengths it comes from.
        opaque_bits, unread_bits, lifted_bits: description lengths, in bits: of what is opaque, of the same with
            rounded numbers at the precision that they had, and of the lifted program.
        agreement_beyond: as ``agreement``, over the inputs that are shorter or longer than any training input.
        interchange: per variable, how often the network does what the program says after a swap of the whole variable,
            over the swaps after which the program says something else than before.
        interchange_one_position: the same where the value changes hands at one position only.
        interchange_between: the same where a variable gets the value that it has at another position, looked at where
            no two inputs of equal length differ.
        interchange_unchanged: how often the network keeps its answer where the program keeps its own.
        joint_interchange: the same as ``interchange`` for random subsets of the variables, each from its own source.
        constant: whether the program says the same on every input, on those with any other letters too; None where that
            was not looked at.
        without_alignment: variables that live nowhere in particular, so that no swap can test them.
        sufficiency: per ablation, how often the answer survives when all that the program does not use is ablated.
        necessity: per ablation, how often the answer breaks where the program says that it does, when what the program
            uses is ablated.
        parts_unused: how many parts of the network the program does not use; None where they were not counted.
        answer_bits: what the network's answers depend on beyond the token at the position of each: their entropy given
            that token, in bits per answer; 0 where answers are constant, or a table over the tokens.
        task_accuracy: how often the network gives the task's own answer, with the same for answers dealt out at random
            as its null; None where nobody says what the task's answers are.
        attack: what the adversarial search did; None where there was none.
        stability: what two decompilations have in common.
        code_lines: lines of code of ``program.py``, docstrings and comments apart; None for a program without a text.
        numbers_in_code, numbers_in_tensors: constants written in the code, and kept in the tensors it loads.
        seconds, peak_memory_mb: wall time and peak resident memory of the run, in seconds and MiB.
        stage_seconds: wall time of each stage of the judgement, in seconds.
        seconds_to_decide: how much more time would decide the claims that are open, if all goes as before; None where
            none is, or no time would.
        domain_chunk: how many inputs were run at once where all were tried: what was fastest on this machine.
        seed: the seed of the run.
        versions: of Python and of each package that can change a result.
    """

    agreement: Measurements
    sequences_exact: Measurements
    legible_share: Finite
    opaque_bits: Bits
    unread_bits: Bits
    lifted_bits: Bits
    agreement_beyond: Measurements = Field(default_factory=dict, validate_default=True)
    interchange: Measurements = Field(default_factory=dict, validate_default=True)
    interchange_one_position: Measurements = Field(default_factory=dict, validate_default=True)
    interchange_between: Measurements = Field(default_factory=dict, validate_default=True)
    interchange_unchanged: Measurements = Field(default_factory=dict, validate_default=True)
    joint_interchange: Measurement | None = None
    constant: bool | None = None
    without_alignment: tuple[str, ...] = ()
    sufficiency: Measurements = Field(default_factory=dict, validate_default=True)
    necessity: Measurements = Field(default_factory=dict, validate_default=True)
    parts_unused: Count | None = None
    answer_bits: Bits | None = None
    task_accuracy: Measurement | None = None
    attack: Attack | None = None
    stability: Measurements = Field(default_factory=dict, validate_default=True)
    code_lines: Count | None = None
    numbers_in_code: Count | None = None
    numbers_in_tensors: Count
    seconds: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    peak_memory_mb: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    stage_seconds: Seconds = Field(default_factory=dict, validate_default=True)
    seconds_to_decide: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    domain_chunk: Count | None = None
    seed: int
    versions: Versions

    @model_validator(mode="after")
    def _share_follows_from_the_lengths(self) -> "Figures":
        share = legible_share(self.unread_bits, self.lifted_bits)
        if abs(share - self.legible_share) > 1e-9 * max(1.0, abs(share)):
            raise ValueError(
                f"{self.unread_bits} unread of {self.lifted_bits} lifted bits make a legible share of {share}, "
                f"not {self.legible_share}"
            )
        return self
