"""Explanations by example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.options import (
    LAYER,
    MODULE,
    MODULES,
    POSITION,
    SUBJECT,
    part_or_layer,
    rows_of,
    string_targets,
)
from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, QUIET, SEED, behavior_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exegesis.behavior import Behavior
    from exegesis.explain.core import Explanation
    from exegesis.runtime import Network


@guarded
def examples(
    network: Annotated[str, SUBJECT],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    module: Annotated[str | None, MODULE] = None,
    modules: Annotated[Path | None, MODULES] = None,
    layer: Annotated[str | None, LAYER] = None,
    units: Annotated[
        str | None, typer.Option("--units", "-u", help="Examples of units: `3`, `0:8`, `1,4`.", show_default=False)
    ] = None,
    position: Annotated[int | None, POSITION] = None,
    nearest: Annotated[
        str | None,
        typer.Option("--nearest", metavar="ROWS", help="Training rows nearest to these.", show_default=False),
    ] = None,
    prototypes: Annotated[
        int, typer.Option("--prototypes", metavar="N", help="So many rows that stand for the others.", min=0)
    ] = 0,
    patches: Annotated[
        int, typer.Option("--patches", metavar="N", help="So many prototype patches for each answer.", min=0)
    ] = 0,
    scratch: Annotated[
        bool,
        typer.Option(
            "--scratch",
            help="With --patches: train a network that knows nothing but patches, on the labels of the behaviour.",
            show_default=False,
        ),
    ] = False,
    influence: Annotated[
        str | None,
        typer.Option("--influence", metavar="ROWS", help="What made it say this of these.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write arrays, checks and pictures here.", show_default=False),
    ] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Show what a unit does, or why an input is answered as it is, by other inputs; and test whether they tell.

    Choose one: `--units` (strongest, weakest, spread, near misses), `--module` (the same for a part of a program: of a
    run, or of a network as lifted), `--nearest`, `--prototypes`, `--patches` (this looks like that), `--influence`
    (marked, since only retraining can test it: see `exegesis.explain.examples.tracin`).

    Exits with 0 when every check that could be made was passed, 1 when not.

    ```sh
    exegesis explain examples zoo:digits --layer layers.1 --units 0:3 --out runs/examples
    exegesis explain examples runs/majority --behavior zoo:majority --module 0
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain.core import Status
    from exegesis.ir import InputError
    from exegesis.runtime import load

    signal = behavior_of(network, behavior)
    wanted = [units is not None, nearest is not None, prototypes > 0, patches > 0, influence is not None]
    if part := part_or_layer(network, signal, module, layer, modules, seed):
        if any(wanted[1:]):
            raise InputError("Of a part of a program there are examples of its units only: --units, with --module.")
        from exegesis.pipeline.explaining_parts import examples_of_part

        found: Sequence[Explanation] = examples_of_part(part, rows_of(units), position=position, seed=seed)
    elif sum(wanted) != 1:
        raise InputError(
            "Which examples? Choose one of --units, --module, --nearest, --prototypes, --patches and --influence."
        )
    elif units is not None:
        found = _of_units(load(network), signal, layer, rows_of(units) or [], position, seed)
    elif signal.is_sequence:
        raise InputError(f"Behaviour {signal.name} is over tokens; there only --units and --module find examples.")
    elif prototypes or patches:
        found = [_of_all(network, signal, layer, prototypes, patches, scratch, seed)]
    else:
        found = [_of_rows(load(network), signal, layer, nearest, influence, seed)]
    if out is not None:
        _write(found, out, signal.vocabulary.labels)
    if as_json:
        print_json([{**one.record(), "rows": _rows(one)} for one in found])
    elif not quiet:
        _say(found, signal.vocabulary.labels)
    return HOLDS if all(one.status is Status.SHOWN for one in found) else DOES_NOT_HOLD


def _of_units(
    network: Network, signal: Behavior, layer: str | None, units: list[int], position: int | None, seed: int
) -> Sequence[Explanation]:
    from exegesis.explain.examples import string_examples, unit_examples

    split = next(iter(signal.splits))
    if not signal.is_sequence:
        return unit_examples(network, signal, layer, units, split=split, seed=seed)
    asked = string_targets(network, signal, layer, units, False, position)
    return [
        string_examples(network, signal, what, layer=layer, name=name, split=split, seed=seed) for name, what in asked
    ]


def _of_all(
    network: str, signal: Behavior, layer: str | None, prototypes: int, patches: int, scratch: bool, seed: int
) -> Explanation:
    from exegesis.explain.examples import Training, prototype_layer, prototype_network, prototypes_of
    from exegesis.ir import InputError
    from exegesis.runtime import load

    if prototypes:
        split = next(iter(signal.splits))
        return prototypes_of(load(network), signal, layer, count=prototypes, split=split, seed=seed)
    if scratch:
        return prototype_network(signal, Training(each=patches), seed=seed)[1]
    if layer is None:
        raise InputError("Patches of which layer? Name a convolution by --layer, or train anew with --scratch.")
    return prototype_layer(load(network), signal, layer, each=patches, seed=seed)


def _of_rows(
    network: Network, signal: Behavior, layer: str | None, nearest: str | None, influence: str | None, seed: int
) -> Explanation:
    from exegesis.explain.examples import influence_of
    from exegesis.explain.examples import nearest as nearest_to

    split = "test" if "test" in signal.splits else next(iter(signal.splits))
    among = next(iter(signal.splits))
    if nearest is not None:
        return nearest_to(network, signal, layer, rows_of(nearest) or [], split=split, among=among, seed=seed)
    return influence_of(network, signal, rows_of(influence) or [], split=split, among=among, seed=seed)


def _rows(one: Explanation) -> dict[str, list[int]]:
    """The rows that are shown, by what they are; nothing of what is withheld."""
    from exegesis.explain.core import Status
    from exegesis.explain.examples import Influence, StringExamples, UnitExamples
    from exegesis.explain.examples.selection import KINDS

    if one.status is Status.WITHHELD:
        return {}
    if isinstance(one, UnitExamples | StringExamples):
        return {kind: rows.tolist() for kind, rows in zip(KINDS, one.arrays["rows"], strict=True)}
    if isinstance(one, Influence):
        found: dict[str, list[int]] = {}
        for query, row in enumerate(one.arrays["rows"].tolist()):
            best, worst = one.strongest(query)
            found |= {f"for {row}": best.tolist(), f"against {row}": worst.tolist()}
        return found
    if "queries" in one.arrays:
        return {
            f"nearest to {q}": rows.tolist()
            for q, rows in zip(one.arrays["queries"].tolist(), one.arrays["rows"], strict=True)
        }
    return {name: one.arrays[name].tolist() for name in ("prototypes", "criticisms", "rows") if name in one.arrays}


def _say(found: Sequence[Explanation], labels: tuple[str, ...]) -> None:
    for one in found:
        for name, rows in _rows(one).items():
            print(f"{one.provenance.parameters.get('unit', one.kind)} {name}: {rows}")
        for line in _strings(one, labels):
            print(f"  {line}")
        for check in one.checks:
            print(f"  {check.sentence()}")


def _strings(one: Explanation, labels: tuple[str, ...]) -> list[str]:
    """The first row of each kind in letters, the responsible one in brackets."""
    from exegesis.explain.core import Status
    from exegesis.explain.examples import StringExamples
    from exegesis.explain.examples.selection import KINDS

    if not isinstance(one, StringExamples) or one.status is Status.WITHHELD:
        return []
    lines = []
    for kind, tokens, places, values in zip(
        KINDS, one.arrays["tokens"], one.arrays["places"], one.arrays["activation"], strict=True
    ):
        words = [f"[{labels[t]}]" if at == places[0] else labels[t] for at, t in enumerate(tokens[0])]
        lines.append(f"{kind} ({values[0]:.3g}): {' '.join(words)}")
    return lines


def _write(found: Sequence[Explanation], out: Path, labels: tuple[str, ...]) -> None:
    from exegesis.explain.examples import StringExamples

    for number, one in enumerate(found):
        folder = out / f"{number:02d}-{one.kind.replace(' ', '-')}"
        one.save(folder)
        picture = one.figure(labels=labels) if isinstance(one, StringExamples) else one.figure()
        picture.save(folder / "picture.svg")
