"""The judge on networks trained by others: known flaws, known proofs, and twins that run different algorithms."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exegesis.behavior import Behavior, ProductDomain
from exegesis.evidence import Status
from exegesis.ir import Axis, ExegesisError, Graph, Node, Type, check
from exegesis.ir.progress import Silent
from exegesis.runtime import load
from exegesis.verify import verify
from exegesis.verify.blind_spots import find_flaws
from exegesis.verify.budget import Budget
from exegesis.verify.exhaustive import cover_domain, domain_claim
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged


def opened(models: Path, name: str) -> Reference:
    folder = models / name
    network = load(f"{folder}/network.py:build" if (folder / "network.py").exists() else folder)
    return Reference(network, Behavior.load(folder))


def test_the_palindrome_network_s_blind_pairs_are_found_untold(models: Path) -> None:
    found = find_flaws(opened(models, "algorithmic/palindrome_jul23"), Budget(120.0).whole, Silent())
    spots = [w for w in found.witnesses if w.kind == "blind_spot"]
    assert [w.positions for w in spots] == [(2, 4, 17, 19)]
    assert {2 + 19, 4 + 17} == {21}  # each pair stands at equal distances from the two ends
    assert spots[0].network == 1
    assert spots[0].count == 256
    errors = [w for w in found.witnesses if w.kind == "leaves_task"]
    assert [(w.positions, w.count) for w in errors] == [((2, 4, 17, 19), 97)]


@pytest.mark.parametrize("name", ["bal_paren_20", "addition4", "cumsum_nov23", "brackets"])
def test_networks_without_a_flaw_are_left_alone(models: Path, name: str) -> None:
    found = find_flaws(opened(models, f"algorithmic/{name}"), Budget(120.0).whole, Silent())
    assert found.witnesses == ()
    assert found.claims[0].status is Status.TESTED


def balanced_program() -> Graph:
    """No prefix closes more than it opens, and at the end as many were opened as closed."""
    bp = ("batch", "position")
    names = (Axis("batch"), Axis("position"), Axis("key"), Axis("token", 4), Axis("bit", 2), Axis("answer", 2))
    selector, yes = Type("selector", (*bp, "key")), Type("bool", bp)
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", bp, "token")),
        Node("all", "symbolic.everywhere", ("tokens",), selector, {"causal": True}),
        Node("seen", "symbolic.count", ("all", "tokens"), Type("real", (*bp, "token"))),
        Node("depth", "symbolic.form", ("seen",), Type("real", bp), {"terms": [[1, 0, 0], [-1, 0, 1]], "plus": 0}),
        Node("below", "symbolic.compare", ("depth",), yes, {"is": "<", "to": 0}),
        Node("dips", "symbolic.count", ("all", "below"), Type("real", (*bp, "bit"))),
        Node("never", "symbolic.form", ("dips",), Type("real", bp), {"terms": [[1, 0, 1]], "plus": 0}),
        Node("stays", "symbolic.compare", ("never",), yes, {"is": "==", "to": 0}),
        Node("closed", "symbolic.compare", ("depth",), yes, {"is": "==", "to": 0}),
        Node("balanced", "symbolic.and", ("stays", "closed"), yes),
        Node("answer", "symbolic.choose", ("balanced",), Type("category", bp, "answer"), {"gives": [1], "other": 0}),
    )
    graph = Graph(nodes, ("answer",), {}, {a.name: a for a in names}, meta={"lifted_bits": 2e5})
    check(graph)
    return graph


def test_parentheses_are_proved_over_every_string_that_begins_as_some_do(models: Path) -> None:
    """4,096 of the 2^20 strings; `benchmarks/verify.py` proves all of them."""
    reference = opened(models, "algorithmic/bal_paren_20")
    domain = reference.behavior.domain
    assert isinstance(domain, ProductDomain)
    begun = ((2,), *((t,) for t in (0, 0, 1, 0, 0, 1, 1, 0)), *domain.positions[9:])
    part = replace(reference.behavior, domain=ProductDomain(begun))
    reference = Reference(reference.network, part)
    coverage = cover_domain(Judged(balanced_program()), reference, Budget(60.0).whole, Silent())
    claim = domain_claim(coverage, 0)
    assert (coverage.checked, claim.status) == (4096, Status.PROVED)
    fault = replace(balanced_program()["never"], attrs={"terms": [[1, 0, 1]], "plus": 1})
    wrong = balanced_program().with_nodes([fault if n.id == "never" else n for n in balanced_program().nodes])
    assert (
        domain_claim(cover_domain(Judged(wrong), reference, Budget(60.0).whole, Silent()), 0).status is Status.REFUTED
    )


def decompiled(models: Path, name: str, out: Path) -> Path:
    """The run folder that the command line makes of a network, in a process of its own."""
    folder = models / name
    network = f"{folder}/network.py:build" if (folder / "network.py").exists() else str(folder)
    words = ["decompile", network, "--behavior", str(folder / "behavior.json"), "--out", str(out), "--quiet"]
    done = subprocess.run([sys.executable, "-m", "exegesis", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def runs(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run folders of two networks that add modulo 59."""
    out = tmp_path_factory.mktemp("runs")
    return {letter: decompiled(models, f"algorithmic/mod_add_p59_{letter}", out / letter) for letter in "ab"}


def test_twins_of_modular_addition_are_told_apart(models: Path, runs: dict[str, Path]) -> None:
    """Both answer all 3,481 inputs alike; each program holds for its own network and fails in the other's inside.

    The programs are judged from their run folders alone.
    """
    names = {letter: f"algorithmic/mod_add_p59_{letter}" for letter in "ab"}
    for own, other in ("ab", "ba"):
        right, wrong = (opened(models, names[letter]) for letter in (own, other))
        verdict = verify(runs[own], right.network, right.behavior, budget="60s")
        assert verdict.holds is True, verdict.table()[0]
        assert verdict.figures.joint_interchange is not None
        assert verdict.figures.joint_interchange.value > 0.95
        verdict = verify(runs[own], wrong.network, wrong.behavior, budget="60s")
        assert verdict.holds is False
        assert any(c.status is Status.PROVED for c in verdict.claims)  # every answer is right
        joint: Any = verdict.figures.joint_interchange
        assert joint.value < 0.5


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "schema": (lambda run: edited(run / "program.json", schema=99), "schema"),
    "tensors": (lambda run: (run / "tensors.safetensors").write_bytes(b"nothing"), "tensors.safetensors"),
    "program": (lambda run: (run / "program.py").write_text("def run(:"), "is not Python"),
    "missing": (lambda run: (run / "program.json").unlink(), "program.json missing"),
}


def edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_damaged_runs_are_refused_in_one_sentence(models: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    reference = opened(models, "algorithmic/mod_add_p59_a")
    for name, (damage, sentence) in DAMAGES.items():
        broken = tmp_path / name
        shutil.copytree(runs["a"], broken)
        damage(broken)
        with pytest.raises(ExegesisError) as refusal:
            verify(broken, reference.network, reference.behavior, budget="60s")
        assert sentence in str(refusal.value), name
        assert "\n" not in str(refusal.value)
    other = opened(models, "algorithmic/mod_add_p113_wd1_grokked")
    with pytest.raises(ExegesisError, match="knows 59 tokens"):
        verify(runs["a"], other.network, other.behavior, budget="60s")
