"""Overlap of the parts that decompilations use, against sets written out."""

from typing import Any

import pytest

from exegesis.evidence import Status
from exegesis.ir import Graph
from exegesis.verify.stability import idioms_of, jaccard, measure_stability, parts_of


def test_parts_and_idioms(made: Any) -> None:
    program = made.program(head=1)
    assert parts_of(program) == {(made.z, (("head", 1),))}
    assert idioms_of(program) == {
        "symbolic.everywhere": 1, "symbolic.count": 1, "symbolic.form": 1, "symbolic.compare": 1, "symbolic.choose": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("a", "b", "overlap"), [("ab", "bc", 1 / 3), ("", "", 1.0), ("a", "", 0.0), ("ab", "ba", 1.0)])
def test_jaccard(a: str, b: str, overlap: float) -> None:
    def parts(names: str) -> frozenset[Any]:
        return frozenset((n, ()) for n in names)

    assert jaccard(parts(a), parts(b)) == overlap


def test_the_same_program_again_is_stable(made: Any) -> None:
    seeds: list[int] = []

    def again(seed: int) -> Graph:
        seeds.append(seed)
        return made.program()

    figures, claim = measure_stability(made.program(), again, [5, 6])
    assert seeds == [5, 6]
    assert figures["parts"].value == 1.0
    assert figures["idiom count"].value == 1.0
    assert claim.status is Status.TESTED


def test_another_head_or_another_idiom_shows(made: Any) -> None:
    def another(seed: int) -> Graph:
        return made.changed(made.program(head=1), "all", op="symbolic.back", attrs={"by": 0})

    figures, claim = measure_stability(made.program(head=0), another, [1])
    assert figures["parts"].value == 0.0
    assert (figures["idiom everywhere"].value, figures["idiom back"].value) == (0.5, 0.5)
    assert claim.status is Status.REFUTED
    witness: Any = claim.witness
    assert len(witness["not in every program"]) == 2
