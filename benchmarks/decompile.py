"""One row per network: what the emitted program says, how legible it is, what the judge says, and what it cost.

    python -m benchmarks.decompile                    # the zoo, and six of ../shared/models that stand for the rest
    python -m benchmarks.decompile --all --programs benchmarks/programs
    python -m benchmarks.decompile drasp/sort tracr/reverse --json

Every network is decompiled by the command line in a process of its own, with the default preset; seconds are wall time
of that process, `cpu` those of its processor (which a busy machine changes less), MiB its peak. `test` and `long`, each
with its share of exact sequences, are measured by ../shared/score.py, which knows nothing of exegesis, on the files of
the run. That script calls `torch.flatnonzero`, which torch does not have; it is run as it is, with this one function
supplied. Networks of the zoo are no folders that it knows: theirs is our own measurement of the emitted text against
the module.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
STANDING_FOR_ALL = ("bin-majority", "majority", "unique-copy", "D2", "tomita1", "abcde")
GROUPS = ("drasp", "tracr", "algorithmic")
SUPPLIED = (
    "import runpy, sys, torch; torch.flatnonzero = lambda x: x.flatten().nonzero().flatten(); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def networks(everything: bool) -> list[str]:
    """Names as this benchmark takes them: `zoo:name`, or `group/folder` below the shared models."""
    zoo = ["zoo:majority", "zoo:copy"]
    models = SHARED / "models"
    if not models.is_dir():
        return zoo
    if not everything:
        return [*(f"drasp/{n}" for n in STANDING_FOR_ALL), *zoo]
    return [*(f"{g}/{p.name}" for g in GROUPS for p in sorted((models / g).iterdir()) if p.is_dir()), *zoo]


def row(name: str, budget: str, programs: Path | None) -> dict[str, Any]:
    """Decompiles, scores and judges one network."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        network, behavior = arguments(name)
        began, before = time.perf_counter(), processor_seconds()
        made = exegesis("decompile", network, *behavior, "--out", str(run), "--quiet")
        seconds, computing = time.perf_counter() - began, processor_seconds() - before
        if made.returncode:
            return {"network": name, "failed": made.stderr.strip().splitlines()[-1:] or ["?"], "seconds": seconds}
        judged = exegesis("verify", str(run), "--network", network, *behavior, "--budget", budget, "--json")
        verdict = json.loads(judged.stdout) if judged.stdout.strip() else {}
        if programs is not None:
            programs.mkdir(parents=True, exist_ok=True)
            shutil.copy(run / "program.py", programs / f"{name.replace('/', '-').replace(':', '-')}.py")
        first = json.loads((run / "verdict.json").read_text())["figures"]
        return {
            "network": name,
            "splits": dict(scores(name, run)) or own(first),
            "legible": first["legible_share"],
            "lines": first["code_lines"],
            "numbers": first["numbers_in_code"],
            "tensors": first["numbers_in_tensors"],
            "holds": verdict.get("holds"),
            "interchange": interchange(verdict),
            "proved": any(c["status"] == "proved" for c in verdict.get("claims", [])),
            "seconds": seconds,
            "processor_seconds": computing,
            "peak_mb": first["peak_memory_mb"],
        }


def processor_seconds() -> float:
    """What the processes that have ended so far have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def arguments(name: str) -> tuple[str, list[str]]:
    """The network and the options of its behaviour, as the command line takes them."""
    if name.startswith("zoo:"):
        return name, []
    folder = SHARED / "models" / name
    network = f"{folder}/network.py:build" if (folder / "network.py").exists() else str(folder)
    return network, ["--behavior", str(folder / "behavior.json")]


def exegesis(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "exegesis", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def scores(name: str, run: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """Agreement and share of exact sequences per split, by the outside referee."""
    if name.startswith("zoo:"):
        return
    folder = SHARED / "models" / name
    for split in ("test", "long"):
        if not (folder / f"{split}.jsonl").exists():
            continue
        command = [sys.executable, "-c", SUPPLIED, str(SHARED / "score.py"), str(run), str(folder), "--split", split]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"score.py failed on {name}: {done.stderr.strip().splitlines()[-1]}")
        said = json.loads(done.stdout.strip().splitlines()[-1])
        yield split, (said["agreement"], said["sequences"])


def own(figures: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """The same from our own verdict."""
    exact = figures["sequences_exact"]
    return {s: (m["value"], exact[s]["value"]) for s, m in figures["agreement"].items() if s in ("test", "long")}


def interchange(verdict: dict[str, Any]) -> tuple[float, float | None] | None:
    """Joint interchange accuracy and its null."""
    joint = verdict.get("figures", {}).get("joint_interchange")
    return (joint["value"], joint.get("null_value")) if joint else None


def table(rows: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    shown = Table(title="decompile: default preset, seed 0")
    for column in (
        "network",
        "test",
        "exact",
        "long",
        "exact",
        "legible",
        "lines",
        "tensors",
        "joint (null)",
        "holds",
        "s",
        "cpu",
        "MiB",
    ):
        shown.add_column(column, justify="left" if column == "network" else "right")
    for r in rows:
        if "failed" in r:
            shown.add_row(r["network"], *r["failed"])
            continue
        cells = [f"{v:.4f}" for s in ("test", "long") for v in r["splits"].get(s, ())]
        cells += ["–"] * (4 - len(cells))
        swap = r["interchange"]
        joint = "–" if swap is None else f"{swap[0]:.3f}" + ("" if swap[1] is None else f" ({swap[1]:.2f})")
        word = {True: "yes", False: "no", None: "?"}[r["holds"]] + (", proved" if r["proved"] else "")
        sizes = (f"{r['legible']:.4f}", str(r["lines"]), str(r["tensors"]), joint, word)
        shown.add_row(
            r["network"], *cells, *sizes, f"{r['seconds']:.1f}", f"{r['processor_seconds']:.1f}", f"{r['peak_mb']:.0f}"
        )
    return shown


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="group/folder below ../shared/models, or zoo:name")
    parser.add_argument("--all", action="store_true", help="every sequence network there is")
    parser.add_argument("--budget", default="30s", help="for the judge, per network")
    parser.add_argument("--programs", type=Path, help="where to keep the emitted programs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    for name in options.networks or networks(options.all):
        rows.append(row(name, options.budget, options.programs))
        print(json.dumps(rows[-1]) if options.json else f"{name} done", file=sys.stdout if options.json else sys.stderr)
    if not options.json:
        Console(width=150).print(table(rows))


if __name__ == "__main__":
    main()
