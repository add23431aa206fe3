"""What if the input were another?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.options import rows_of
from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, QUIET, SEED, behavior_of
from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.behavior import Behavior
    from exegesis.explain.core import Explanation
    from exegesis.runtime import Network


@guarded
def what_if(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    turn: Annotated[
        str | None, typer.Option("--turn", metavar="ROWS", help="Smallest change that turns each.", show_default=False)
    ] = None,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="OUTPUT", help="With --turn: what it is to become.", show_default=False),
    ] = None,
    anchor: Annotated[
        int | None, typer.Option("--anchor", metavar="ROW", help="What of it suffices.", show_default=False)
    ] = None,
    tile: Annotated[int, typer.Option("--tile", help="With --anchor: squares of so many pixels.", min=1)] = 1,
    feature: Annotated[
        int | None, typer.Option("--feature", metavar="N", help="What depends on a feature.", show_default=False)
    ] = None,
    output: Annotated[int, typer.Option("--output", help="With --feature: of which output.")] = 0,
    importance: Annotated[
        bool, typer.Option("--importance", help="Which features are needed.", show_default=False)
    ] = False,
    tree: Annotated[int, typer.Option("--tree", metavar="LEAVES", help="A tree that says the same.", min=0)] = 0,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="The split that rows come from.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write arrays, checks and a picture here.", show_default=False),
    ] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Ask what would turn an answer, what suffices for it, what it depends on; and test the reply.

    Choose one: `--turn` (minimal counterfactuals), `--anchor` (sufficient features, with precision and coverage),
    `--feature` (partial dependence, single inputs, local effects), `--importance` (by permutation), `--tree` (a global
    surrogate with its fidelity).

    Exits with 0 when every check that could be made was passed, 1 when not.

    ```sh
    exegesis explain what-if zoo:digits --turn 0:4
    exegesis explain what-if zoo:digits --tree 16
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain.contrast import Dependence
    from exegesis.explain.core import Status
    from exegesis.runtime import load

    wanted = [turn is not None, anchor is not None, feature is not None, importance, tree > 0]
    if sum(wanted) != 1:
        raise InputError("What if what? Choose one of --turn, --anchor, --feature, --importance and --tree.")
    signal, loaded = behavior_of(network, behavior), load(network)
    if turn is not None or anchor is not None:
        found = _of_rows(loaded, signal, turn, to, anchor, tile, split, seed)
    else:
        found = _of_all(loaded, signal, feature, output, tree, seed)
    if out is not None:
        found.save(out)
        if isinstance(found, Dependence):
            found.figure().save(out / "picture.svg")
    lines = [] if found.status is Status.WITHHELD else _lines(found)
    if as_json:
        print_json({**found.record(), "lines": lines})
    elif not quiet:
        for line in (*lines, *(f"  {check.sentence()}" for check in found.checks), *found.notes):
            print(line)
        for row, reason in found.undefined.items():
            print(f"undefined for number {row}: {reason}")
    return HOLDS if found.status is Status.SHOWN else DOES_NOT_HOLD


def _of_rows(
    network: Network,
    signal: Behavior,
    turn: str | None,
    to: int | None,
    anchored: int | None,
    tile: int,
    split: str,
    seed: int,
) -> Explanation:
    from exegesis.explain.contrast import anchor, counterfactuals

    if turn is not None:
        return counterfactuals(network, signal, rows_of(turn) or [], to=to, split=split, seed=seed)
    assert anchored is not None
    return anchor(network, signal, anchored, split=split, tile=tile, seed=seed)


def _of_all(
    network: Network, signal: Behavior, feature: int | None, output: int, leaves: int, seed: int
) -> Explanation:
    from exegesis.explain.contrast import dependence, permutation_importance, surrogate

    if feature is not None:
        return dependence(network, signal, feature, output=output, seed=seed)
    if leaves:
        return surrogate(network, signal, leaves=leaves, seed=seed)
    return permutation_importance(network, signal, seed=seed)


def _lines(found: Explanation) -> list[str]:
    """The result in words and numbers."""
    from exegesis.explain.contrast import Anchor, Counterfactuals, Dependence, Importance, Surrogate

    arrays = found.arrays
    match found:
        case Counterfactuals():
            numbered = zip(arrays["rows"], arrays["before"], arrays["after"], arrays["places"], strict=True)
            shown = [(k, *one) for k, one in enumerate(numbered) if k not in found.undefined]
            return [
                f"row {row}: {before} becomes {after} with {places} places changed"
                for _, row, before, after, places in shown
            ]
        case Anchor():
            places = ", ".join(map(str, arrays["features"][:40].tolist()))
            return [f"these suffice for {found.provenance.parameters['answer']}: {places}"]
        case Importance():
            mean = arrays["drops"].mean(0)
            best = (-mean).argsort(kind="stable")[:10]
            return [f"feature {k}: {mean[k]:.1%} of the answers change" for k in best if mean[k] > 0]
        case Surrogate():
            return list(found.rules)
        case Dependence():
            return [f"at {x:.3g}: {y:.3g}" for x, y in zip(arrays["grid"], arrays["mean"], strict=True)]
    return []
