"""Options that several explanations share."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.behavior import Behavior
    from exegesis.explain import Explained
    from exegesis.pipeline.explaining_parts import PartOf
    from exegesis.runtime import Network

FEW = 8  # units that are explained unless told
INDEX = typer.Option(
    "--index", "-i", metavar="ROWS", help="Rows of the split, counted from 0: `7`, `0:16`, `3,5,8`.", show_default=False
)
SPLIT = typer.Option("--split", metavar="NAME", help="The split that rows come from.")
TARGET = typer.Option(
    "--target", "-t", metavar="OUTPUT", help="`answer` (the network's own), an output as `7`, or a difference as `7-9`."
)
POSITION = typer.Option(
    "--position",
    metavar="N",
    help="Where in a sequence, negative from its end. Unless told outputs are explained where they are scored, layers "
    "and parts in the mean over all positions.",
    show_default=False,
)
LAYER = typer.Option("--layer", metavar="PATH", help="A module inside it; its outputs unless told.", show_default=False)
CHUNK = typer.Option(
    "--chunk", metavar="N", help="Rows through the network at a time; measured unless told.", show_default=False, min=1
)

SUBJECT = typer.Argument(
    metavar="NETWORK|RUN",
    help="A Hugging Face folder, `file.py:function`, `model.onnx`, `zoo:name`; or a run of `exegesis decompile`.",
    show_default=False,
)
MODULE = typer.Option(
    "--module",
    "-m",
    metavar="PART",
    help="A part of the program: a function, a variable, a head (`L0H1`), or its number. A wrong name lists them.",
    show_default=False,
)
MODULES = typer.Option(
    "--modules",
    metavar="FILE",
    help="What `modules --out` wrote: then --module names one of these.",
    show_default=False,
)
RETRAIN = typer.Option(
    "--retrain/--no-retrain", help="Train networks of the zoo again, for the checks that ask for it: takes a minute."
)


def part_or_layer(
    network: str, behavior: Behavior, module: str | None, layer: str | None, modules: Path | None, seed: int
) -> PartOf | None:
    """The part of a program that `--module` names; None where a layer of a network is meant.

    Raises:
        InputError: a run without `--module` (the sentence lists its parts), or options that exclude each other.
    """
    is_run = (Path(network) / "program.json").is_file()
    if module is None and not is_run:
        if modules is not None:
            raise InputError("Which module of that file? Name it by --module.")
        return None
    if layer is not None:
        raise InputError("A part of a program is named by --module, a layer of a network by --layer; choose one.")
    from exegesis.pipeline.explaining_parts import part_of_program

    return part_of_program(network, behavior, module or "", modules=modules, seed=seed)


def string_targets(
    network: Network,
    behavior: Behavior,
    layer: str | None,
    units: list[int] | None,
    together: bool,
    position: int | None,
) -> list[tuple[str, Explained]]:
    """What is to be explained of a network over tokens, by name: outputs, units of a layer, or all of them as one."""
    import torch

    from exegesis.explain import Distance, NetworkModel, Target, Unit, read_inputs

    at, place = layer or "outputs", None if position is None else (position,)
    if together:
        return [(f"{at} together", Distance(place))]
    if units is None:
        inputs = read_inputs(behavior, next(iter(behavior.splits)), [0])[0]
        model = NetworkModel(network, layer)
        units = list(range(min(FEW, model(model.start(inputs), inputs, torch.arange(1)).shape[-1])))
    made = (Target(unit, position=position) if layer is None else Unit(unit, place) for unit in units)
    return [(f"{at} {unit}", what) for unit, what in zip(units, made, strict=True)]


def rows_of(text: str | None) -> list[int] | None:
    """`7`, `0:16` or `3,5,8` as a list of rows. Raises InputError on anything else."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    rows: list[int] = []
    for part in parts:
        first, colon, last = part.partition(":")
        if not first.isdecimal() or (colon and not last.isdecimal()):
            raise InputError(f"Rows are given as `7`, `0:16` or `3,5,8`, not as {text!r}.")
        rows.extend(range(int(first), int(last)) if colon else [int(first)])
    if not rows:
        raise InputError(f"{text!r} names no row.")
    return rows


def few_rows(text: str | None) -> list[int]:
    """The rows that `--index` names; the first three unless told."""
    return rows_of(text) or [0, 1, 2]


def asked_split(behavior: Behavior, split: str | None) -> str:
    """The split that rows come from: `test` where there is one, else the first."""
    return split or ("test" if "test" in behavior.splits else next(iter(behavior.splits)))


def column_of(behavior: Behavior, text: str) -> int:
    """A feature by its name or its number. Raises InputError where there is none; the sentence says what is close."""
    if behavior.is_sequence:
        raise InputError(f"Behaviour {behavior.name} is over tokens, which are no features of a table.")
    known = behavior.features
    if text in known:
        return known.index(text)
    if text.isdecimal():
        return _in_range(int(text), len(known), "feature", "inputs have")
    close = difflib.get_close_matches(text, known, n=3, cutoff=0.5)
    listed = f"did you mean {' or '.join(map(repr, close))}?" if close else f"features are {', '.join(known[:8])} …"
    raise InputError(f"There is no feature {text!r}; {listed}")


def places_of(behavior: Behavior, text: str | None) -> list[int]:
    """Features of arrays by name or number, positions of strings; separated by commas."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if not behavior.is_sequence:
        return [column_of(behavior, part) for part in parts]
    if wrong := [part for part in parts if not part.isdecimal()]:
        raise InputError(f"Positions of a string are numbers counted from 0, not {wrong[0]!r}.")
    return [int(part) for part in parts]


def output_of(behavior: Behavior, text: str) -> int:
    """An output by its name or its number. Raises InputError where no output has that name."""
    known = behavior.output_names or behavior.vocabulary.labels
    if text in known and not text.isdecimal():
        return known.index(text)
    if text.isdecimal():
        return int(text)
    listed = ", ".join(known[:12]) + (" …" if len(known) > 12 else "") if known else "known by numbers only"
    raise InputError(f"There is no output {text!r}; outputs are {listed}.")


def _in_range(number: int, count: int, what: str, have: str) -> int:
    if number >= count:
        raise InputError(f"There is no {what} {number}: {have} {count}, counted from 0.")
    return number
