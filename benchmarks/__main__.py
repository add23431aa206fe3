"""Prints every table: `make bench`, or `python -m benchmarks [TABLE ...]` for some of them.

Each runs in a process of its own. Exits with the worst of their codes.
"""

import subprocess
import sys

TABLES = (
    "lift",
    "decompile",
    "compress",
    "nulls",
    "tracr",
    "verify",
    "mutants",
    "explain",
    "features",
    "hunt",
    "influence",
    "modules",
    "modularity",
)

wanted = sys.argv[1:] or TABLES
if unknown := sorted(set(wanted) - set(TABLES)):
    sys.exit(f"There is no table {unknown[0]}; there are {', '.join(TABLES)}.")
sys.exit(max(subprocess.run([sys.executable, "-m", f"benchmarks.{t}"], check=False).returncode for t in wanted))
