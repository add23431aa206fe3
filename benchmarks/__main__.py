"""Prints every table: `make bench`."""

import runpy

for table in ("lift", "decompile"):
    runpy.run_module(f"benchmarks.{table}", run_name="__main__")
