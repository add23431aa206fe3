"""Explanations by example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
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
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, PLOT, QUIET, SEED, behavior_of

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
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Show what a unit does by inputs: strongest, weakest, spread over its range, near misses.

    The place in each that is responsible is framed: covering it has to take more than covering as much elsewhere. Ask
    for `--units` of a layer, or by `--module` for a part of a program, of a run or of a network as lifted.

    Exits with 0 when every check that could be made was passed, 1 when not.

    ```sh
    exegesis explain examples zoo:digits --layer layers.1 --units 0:3 --out runs/examples
    exegesis explain examples runs/majority --behavior zoo:majority --module 0
    ```
    """
    from exegesis.ir import InputError
    from exegesis.runtime import load

    signal = behavior_of(network, behavior)
    labels = signal.vocabulary.labels
    giving = Giving(out, plot, as_json, quiet, report, {"labels": labels} if signal.is_sequence else {})
    found: Sequence[Explanation]
    if part := part_or_layer(network, signal, module, layer, modules, seed):
        from exegesis.pipeline.explaining_parts import examples_of_part

        found = examples_of_part(part, rows_of(units), position=position, seed=seed)
    elif units is None:
        raise InputError("Examples of what? Name units by --units, or a part of a program by --module.")
    else:
        found = _of_units(load(network), signal, layer, rows_of(units) or [], position, seed)
    return giving.give(found, lambda one: _lines(one, labels), lambda one: {"rows": _rows(one)})


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


def _rows(one: Explanation) -> dict[str, list[int]]:
    """The rows that are shown, by kind; nothing of what is withheld."""
    from exegesis.explain.core import Status
    from exegesis.explain.examples.selection import KINDS

    if one.status is Status.WITHHELD:
        return {}
    return {kind: rows.tolist() for kind, rows in zip(KINDS, one.arrays["rows"], strict=True)}


def _lines(one: Explanation, labels: tuple[str, ...]) -> list[str]:
    """The rows of each kind; of strings the first of each in letters, the responsible one in brackets."""
    from exegesis.explain.examples import StringExamples
    from exegesis.explain.examples.selection import KINDS

    lines = [f"{one.provenance.parameters['unit']} {kind}: {rows}" for kind, rows in _rows(one).items()]
    if isinstance(one, StringExamples):
        arrays = (one.arrays[name] for name in ("tokens", "places", "activation"))
        for kind, tokens, places, values in zip(KINDS, *arrays, strict=True):
            words = [f"[{labels[t]}]" if at == places[0] else labels[t] for at, t in enumerate(tokens[0])]
            lines.append(f"  {kind} ({values[0]:.3g}): {' '.join(words)}")
    return lines
