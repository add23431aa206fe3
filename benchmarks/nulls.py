"""Shuffled weights: what the decompiler says of networks that learned nothing.

    python -m benchmarks.nulls                          # the zoo and six of ../shared/models, three seeds each
    python -m benchmarks.nulls drasp/D2 --seeds 10 --json

The entries of every weight tensor are permuted, gains and biases of norms included, and the network is decompiled like
any other, relative to what it now answers. Its program must agree with it: the parts that nobody can explain are kept
as they are, and agree exactly. It must not be legible, unless there is hardly anything to explain: a shuffled network
may answer the same everywhere, or by the token at the position alone, and then a line or a table is what it computes.
`bits` is the entropy of its answers, `beyond` that entropy given the token at the position of each, `accuracy (chance)`
how often the answers are the task's own, and how often the task's own would be when dealt out at random. The judge is
asked about every program that comes out legible, and must not say that it holds.

Exits with 1 where a legible program agrees and its verdict holds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.decompile import arguments, networks
from exegesis import Behavior, decompile
from exegesis.behavior import Answers
from exegesis.evidence import Verdict, findings
from exegesis.runtime import Network, answers, load
from exegesis.verify import shuffled

LEGIBLE, AGREES = 0.9, 0.99
COLUMNS = ("network", "seed", "test", "long", "legible", "lines", "bits", "beyond", "accuracy (chance)", "verdict", "s")


def row(name: str, network: Network, behavior: Behavior, seed: int, budget: str) -> dict[str, Any]:
    """Shuffles, decompiles and, where the program is legible, judges."""
    began = time.perf_counter()
    null = shuffled(network, seed)
    said = answers(null, behavior.sequences("test"), behavior.readout)
    program = decompile(null, behavior)
    figures = program.verdict.figures
    accuracy = figures.task_accuracy
    found = {
        "network": name,
        "seed": seed,
        "agreement": {split: m.value for split, m in figures.agreement.items() if split in ("test", "long")},
        "legible": figures.legible_share,
        "lines": figures.code_lines,
        "bits": entropy(said),
        "beyond": figures.answer_bits,
        "accuracy": None if accuracy is None else [accuracy.value, accuracy.null_value],
        "holds": None,
        "verdict": "opaque",
    }
    if figures.legible_share >= LEGIBLE:
        verdict = program.verify(null, behavior, budget=budget)
        found |= {"holds": verdict.holds, "verdict": reason(verdict)}
    return {**found, "seconds": time.perf_counter() - began}


def entropy(said: Answers) -> float:
    """Bits per answer."""
    counts = np.unique(said, axis=0, return_counts=True)[1] / len(said)
    return abs(float(counts @ np.log2(counts)))


def reason(verdict: Verdict) -> str:
    """Why a verdict does not hold, in a few words."""
    unmet = [f for f in findings(verdict.claims, verdict.figures, verdict.rule) if f.met is not True]
    if verdict.holds:
        return "HOLDS"
    if any("beyond a table" in f.sentence for f in unmet):
        return "nothing to explain"
    return next((f.sentence for f in unmet if f.met is verdict.holds), "not decided")


def is_fooled(found: dict[str, Any]) -> bool:
    """Whether a network that learned nothing came out as if it had been explained."""
    agrees = all(value >= AGREES for value in found["agreement"].values())
    return agrees and found["legible"] >= LEGIBLE and found["holds"] is True


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    shown = Table(*COLUMNS, title="nulls: every weight tensor shuffled, default preset")
    for r in rows:
        agreement = [f"{r['agreement'][s]:.4f}" if s in r["agreement"] else "–" for s in ("test", "long")]
        accuracy = "–" if r["accuracy"] is None else "{:.3f} ({:.3f})".format(*r["accuracy"])
        sizes = (f"{r['legible']:.4f}", str(r["lines"]), f"{r['bits']:.2f}", f"{r['beyond']:.2f}", accuracy)
        shown.add_row(r["network"], str(r["seed"]), *agreement, *sizes, r["verdict"], f"{r['seconds']:.1f}")
    return shown


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="group/folder below ../shared/models, or zoo:name")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="15s", help="for the judge, per legible program")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.networks or networks(everything=False):
        source, _ = arguments(name)
        network, behavior = load(source), Behavior.load(source.removesuffix("/network.py:build"))
        for seed in range(options.seeds):
            rows.append(row(name, network, behavior, seed, options.budget))
            if options.json:
                print(json.dumps(rows[-1]), flush=True)
    if not options.json:
        console = Console(width=150)
        console.print(table(rows))
        legible = [r for r in rows if r["legible"] >= LEGIBLE]
        beyond = max((r["beyond"] for r in legible), default=0.0)
        console.print(
            f"{len(rows)} shuffled networks: {len(rows) - len(legible)} stay opaque; {len(legible)} come out legible, "
            f"with at most {beyond:.2f} bits per answer beyond a table of tokens; {sum(map(is_fooled, rows))} hold."
        )
    sys.exit(any(map(is_fooled, rows)))


if __name__ == "__main__":
    main()
