"""Networks with shuffled weights: none may come out both agreeing and legible, unless it has nothing left to say.

    python -m benchmarks.nulls [drasp/D2 ...] [--seeds 1]

Every weight tensor's entries are permuted, and the result is decompiled against its own answers. `answer bits` is the
entropy of those answers over the
scored positions of `test`: a shuffled network that says the same everywhere *is* a constant program, and
a short one says little.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from math import log2

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import exegesis as ex
from benchmarks.decompile import SHARED, STANDING_FOR_ALL, arguments
from exegesis.behavior import Behavior
from exegesis.runtime.answers import answers
from exegesis.verify import shuffled


def entropy(said: NDArray[np.generic]) -> float:
    """Bits per answer."""
    counts = Counter(row.tobytes() for row in np.ascontiguousarray(said))
    return -sum(k / len(said) * log2(k / len(said)) for k in counts.values())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[f"drasp/{n}" for n in STANDING_FOR_ALL])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    shown = Table(title="shuffled weights, default preset")
    for column in ("network", "seed", "answer bits", "test", "legible", "lines"):
        shown.add_column(column, justify="left" if column == "network" else "right")
    for name in options.networks:
        spec, words = arguments(name)
        behavior = Behavior.load(words[1] if words else name)
        for seed in range(options.seeds):
            network = shuffled(ex.load(spec), seed)
            said = answers(network, behavior.sequences("test"), behavior.readout)
            figures = ex.decompile(network, behavior, seed=0).verdict.figures
            cells = (f"{entropy(said):.2f}", f"{figures.agreement['test'].value:.4f}", f"{figures.legible_share:.4f}")
            shown.add_row(name, str(seed), *cells, str(figures.code_lines))
            print(name, seed, *cells, figures.code_lines, flush=True)
    Console(width=120).print(shown)


if __name__ == "__main__":
    if not SHARED.is_dir():
        raise SystemExit("the networks beside this checkout are not there")
    main()
