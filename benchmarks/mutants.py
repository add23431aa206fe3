"""How many planted faults the judge notices: the kill rate over random mutants of each program.

    python -m benchmarks.mutants                       # 200 mutants of each of the default programs
    python -m benchmarks.mutants -n 50 drasp/D2 zoo:majority

A mutant counts where it changes any answer on the splits or (for a finite domain) on the domain. It is killed where a
stage of the judge finds that it does not hold. Survivors are listed with the reason.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter

from rich.console import Console
from rich.table import Table

from benchmarks.verify import programs
from exegesis.verify.faults import kill_rate
from exegesis.verify.mutants import mutants
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

DEFAULT = (
    *(f"drasp/{name}" for name in ("bin-majority", "abcde", "D2", "unique-copy")),
    *(f"algorithmic/mod_add_p59_{letter}" for letter in "ab"),
    "tracr/hist",
    "zoo:majority",
)


def main() -> None:
    """Prints the table, and the survivors."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(DEFAULT))
    parser.add_argument("-n", type=int, default=200, help="mutants of each program")
    chosen = parser.parse_args()
    console = Console(width=150)
    table = Table("network", "mutants", "kinds", "change answers", "killed", "rate", "by stage", "seconds")
    for name, network, behavior, graph in programs(chosen.networks, console):
        found = mutants(graph, chosen.n, seed=0)
        began = time.perf_counter()
        killed = kill_rate(Judged(graph), Reference(network, behavior), found)
        stages = Counter(f.killed_by for f in killed.changing if f.killed_by)
        table.add_row(
            name,
            str(len(found)),
            ", ".join(f"{kind} {n}" for kind, n in Counter(m.kind for m in found).most_common()),
            str(len(killed.changing)),
            str(sum(stages.values())),
            f"{killed.rate:.4f}",
            ", ".join(f"{stage} {n}" for stage, n in stages.most_common()),
            f"{time.perf_counter() - began:.0f}",
        )
        for fate in killed.survivors:
            console.print(f"{name} survives: {fate.mutant.what} ({fate.mutant.kind}): {fate.reason}")
    console.print(table)


if __name__ == "__main__":
    main()
