"""What the judge says, how fast, and what it must not miss.

    python -m benchmarks.verify                        # every table; about ten minutes on two cores
    python -m benchmarks.verify judged --only drasp/majority zoo:majority
    python -m benchmarks.verify proof

Tables:

judged   each network's own program within the default budget: the verdict, claims per second, and the floor: what the
         forward passes that were asked for cost when nothing else is done
proof    parentheses: a program written by hand against `algorithmic/bal_paren_20` on all 2^20 strings
flaws    what `algorithmic/palindrome_jul23` does wrong, found without being told, beside networks without a flaw
twins    programs of two networks that give the same answers, each judged in both
nulls    programs judged on their network with shuffled weights
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from exegesis import zoo
from exegesis.behavior import Behavior
from exegesis.evidence import Measurement, Verdict
from exegesis.ir import Axis, Graph, InputError, Node, Type
from exegesis.ir.progress import Silent
from exegesis.pipeline import decompile
from exegesis.runtime import Network, load
from exegesis.runtime.exported import ExportedNetwork
from exegesis.verify import shuffled, verify
from exegesis.verify.blind_spots import find_flaws
from exegesis.verify.budget import Budget
from exegesis.verify.exhaustive import cover_domain, domain_claim
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

MODELS = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
JUDGED = (
    *(f"drasp/{name}" for name in ("bin-majority", "majority", "unique-copy", "D2", "abcde", "tomita1")),
    *(f"algorithmic/mod_add_p59_{letter}" for letter in "ab"),
    "tracr/hist",
    "zoo:majority",
    "zoo:copy",
)
FLAWED = ("palindrome_jul23", "bal_paren_20", "brackets", "addition4", "cumsum_nov23", "sorted_list_oct23")


def opened(name: str) -> tuple[Network, Behavior]:
    """A network by the name that these benchmarks use, and its behaviour."""
    if name.startswith("zoo:"):
        return load(name), zoo.behavior(name.removeprefix("zoo:"))
    folder = MODELS / name
    network = load(f"{folder}/network.py:build" if (folder / "network.py").exists() else folder)
    return network, Behavior.load(folder)


def programs(names: Sequence[str], console: Console) -> Iterator[tuple[str, Network, Behavior, Graph]]:
    """Each network with the program that the default preset makes of it."""
    for name in names:
        if not name.startswith("zoo:") and not (MODELS / name).is_dir():
            console.print(f"{name} is not there")
            continue
        network, behavior = opened(name)
        yield name, network, behavior, decompile(network, behavior).graph


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the inputs and tokens that networks are asked about."""
    asked: Counter[str] = Counter()
    run, plain = ExportedNetwork.run, Network._outputs

    def note(tensors: Sequence[Tensor]) -> None:
        first = tensors[0]
        asked["passes"] += 1
        asked["inputs"] += len(first)
        asked["tokens"] += first.numel()

    def counted_run(
        self: ExportedNetwork, inputs: Mapping[str, Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        note(list(inputs.values()))
        return run(self, inputs, *args, **kwargs)

    def counted_plain(self: Network, *args: Tensor, **kwargs: Tensor) -> Tensor:
        note([*args, *kwargs.values()])
        return plain(self, *args, **kwargs)

    ExportedNetwork.run, Network._outputs = counted_run, counted_plain  # type: ignore[method-assign, assignment]
    try:
        yield asked
    finally:
        ExportedNetwork.run, Network._outputs = run, plain  # type: ignore[method-assign]


def tokens_per_second(network: Network, behavior: Behavior) -> float:
    """How many tokens the bare module reads per second, in batches as large as the judge's."""
    reference = Reference(network, behavior)
    arguments = reference.arguments(reference.example())
    length = next(iter(arguments.values())).shape[1]
    rows = max(1, 16384 // length)
    batch = [value[:1].expand(rows, *value.shape[1:]) for value in arguments.values()]
    best = 0.0
    with torch.no_grad():
        for _ in range(3):
            began = time.perf_counter()
            network.module(**dict(zip(arguments, batch, strict=True)))
            best = max(best, rows * length / (time.perf_counter() - began))
    return best


def judged(names: Sequence[str], budget: str, console: Console) -> Table:
    """The verdict on each network's own program."""
    columns = (
        "network",
        "holds",
        "joint (null)",
        "survives",
        "breaks",
        "proved",
        "claims",
        "seconds",
        "per s",
        "floor s",
    )
    table = Table(*columns, title=f"judged within {budget}, seed 0")
    for name, network, behavior, graph in programs(names, console):
        speed = tokens_per_second(network, behavior)
        with counted() as asked:
            began = time.perf_counter()
            verdict = verify(graph, network, behavior, budget=budget)
            seconds = time.perf_counter() - began
        table.add_row(
            name,
            _holds(verdict),
            _with_null(verdict.figures.joint_interchange),
            _least(verdict.figures.sufficiency),
            _with_null(verdict.figures.necessity.get("resample")),
            "yes" if any(c.status.value == "proved" for c in verdict.claims) else "",
            str(len(verdict.claims)),
            f"{seconds:.1f}",
            f"{len(verdict.claims) / seconds:.1f}",
            f"{asked['tokens'] / speed:.1f}",
        )
    return table


def _holds(verdict: Verdict) -> str:
    return {True: "yes", False: "no", None: "undecided"}[verdict.holds]


def _with_null(measured: Measurement | None) -> str:
    if measured is None:
        return "–"
    null = "–" if measured.null_value is None else f"{measured.null_value:.2f}"
    return f"{measured.value:.3f} ({null})"


def _least(measured: Mapping[str, Measurement]) -> str:
    return f"{min(m.value for m in measured.values()):.3f}" if measured else "–"


def balanced() -> Graph:
    """No prefix closes more than it opens, and at the end as many were opened as closed."""
    bp = ("batch", "position")
    names = (Axis("batch"), Axis("position"), Axis("key"), Axis("token", 4), Axis("bit", 2), Axis("answer", 2))
    selector, yes, real = Type("selector", (*bp, "key")), Type("bool", bp), Type("real", bp)
    zero = {"is": "==", "to": 0}
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", bp, "token")),
        Node("all", "symbolic.everywhere", ("tokens",), selector, {"causal": True}),
        Node("seen", "symbolic.count", ("all", "tokens"), Type("real", (*bp, "token"))),
        Node("depth", "symbolic.form", ("seen",), real, {"terms": [[1, 0, 0], [-1, 0, 1]], "plus": 0}),
        Node("below", "symbolic.compare", ("depth",), yes, {"is": "<", "to": 0}),
        Node("dips", "symbolic.count", ("all", "below"), Type("real", (*bp, "bit"))),
        Node("dipped", "symbolic.form", ("dips",), real, {"terms": [[1, 0, 1]], "plus": 0}),
        Node("stays", "symbolic.compare", ("dipped",), yes, zero),
        Node("closed", "symbolic.compare", ("depth",), yes, zero),
        Node("balanced", "symbolic.and", ("stays", "closed"), yes),
        Node("answer", "symbolic.choose", ("balanced",), Type("category", bp, "answer"), {"gives": [1], "other": 0}),
    )
    return Graph(nodes, ("answer",), {}, {a.name: a for a in names})


def proof(console: Console) -> Table:
    """All strings of twenty parentheses, and a program that forgets to look at one prefix."""
    table = Table(
        "program", "status", "inputs", "differing", "seconds", "inputs per s", title="bal_paren_20, 2^20 strings"
    )
    network, behavior = opened("algorithmic/bal_paren_20")
    for what, graph in (("balanced", balanced()), ("without the prefixes", _without_prefixes())):
        began = time.perf_counter()
        found = cover_domain(Judged(graph), Reference(network, behavior), Budget(900.0).whole, Silent())
        claim = domain_claim(found, 0)
        seconds = time.perf_counter() - began
        size = f"{found.checked:,} of {found.size:,}"
        table.add_row(
            what, claim.status.value, size, f"{found.differing:,}", f"{seconds:.1f}", f"{found.per_second:,.0f}"
        )
        if found.smallest:
            console.print(f"smallest counterexample of the program {what}: {found.smallest}")
    return table


def _without_prefixes() -> Graph:
    graph = balanced()
    nodes = [n for n in graph.nodes if n.id not in ("below", "dips", "dipped", "stays", "balanced")]
    answer = Node("answer", "symbolic.choose", ("closed",), graph["answer"].type, graph["answer"].attrs)
    return graph.with_nodes([*(n for n in nodes if n.id != "answer"), answer])


def flaws(console: Console) -> Table:
    """Blind spots and errors of networks, found without a program."""
    table = Table("network", "right", "blind positions", "errors there", "queries", "seconds", title="flaws")
    for name in FLAWED:
        network, behavior = opened(f"algorithmic/{name}")
        began = time.perf_counter()
        found = find_flaws(Reference(network, behavior), Budget(120.0).whole, Silent())
        seconds = time.perf_counter() - began
        spots = [w for w in found.witnesses if w.kind == "blind_spot"]
        errors = sum(w.count for w in found.witnesses if w.kind == "leaves_task" and w.positions)
        table.add_row(
            name,
            f"{found.claims[0].evidence[0].value:.4f}",
            "; ".join(", ".join(map(str, w.positions)) for w in spots) or "none",
            str(errors or ""),
            f"{found.queries:,}",
            f"{seconds:.1f}",
        )
        for witness in spots:
            console.print(f"{name}: {witness.cause}")
    return table


def twins(console: Console) -> Table:
    """Programs of two networks that answer all 3,481 inputs alike, in both networks."""
    table = Table("program of", "in", "agreement", "joint (null)", "holds", title="twins: a + b mod 59")
    both = {letter: opened(f"algorithmic/mod_add_p59_{letter}") for letter in "ab"}
    for own, (network, behavior) in both.items():
        graph = decompile(network, behavior).graph
        for other in both:
            table.add_row(own, other, *_judgement(graph, *both[other]))
    return table


def nulls(names: Sequence[str], console: Console) -> Table:
    """Programs in networks that know nothing."""
    table = Table("network", "agreement", "joint (null)", "holds", title="shuffled weights, seeds 0 and 1")
    for name, network, behavior, graph in programs(names, console):
        for seed in (0, 1):
            table.add_row(name, *_judgement(graph, shuffled(network, seed), behavior))
    return table


def _judgement(graph: Graph, network: Network, behavior: Behavior) -> tuple[str, str, str]:
    try:
        verdict = verify(graph, network, behavior, budget="60s")
    except InputError as refusal:
        return "–", "–", str(refusal)
    return (
        f"{verdict.figures.agreement['test'].value:.4f}",
        _with_null(verdict.figures.joint_interchange),
        _holds(verdict),
    )


def main() -> None:
    """Prints the tables that were asked for."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=["judged", "proof", "flaws", "twins", "nulls"])
    parser.add_argument("--only", nargs="*", default=list(JUDGED), metavar="NETWORK")
    parser.add_argument("--budget", default="2m")
    chosen = parser.parse_args()
    console = Console(width=150)
    for name in chosen.tables:
        match name:
            case "judged":
                console.print(judged(chosen.only, chosen.budget, console))
            case "nulls":
                console.print(
                    nulls([n for n in chosen.only if n.startswith(("drasp/bin", "zoo:maj", "tracr"))], console)
                )
            case "proof" | "flaws" | "twins":
                console.print({"proof": proof, "flaws": flaws, "twins": twins}[name](console))
            case _:
                parser.error(f"there is no table {name!r}")


if __name__ == "__main__":
    main()
