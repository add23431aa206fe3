"""Mutants are valid, different and of every kind; the judge kills those that change anything."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from exegesis.behavior import Argmax, Behavior, SequenceRow, domain_split
from exegesis.ir import Node, check, diff
from exegesis.runtime import answers
from exegesis.verify.faults import kill_rate
from exegesis.verify.mutants import KINDS, Mutant, mutants
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged


def test_mutants_are_other_valid_programs_of_every_kind(made: Any) -> None:
    program = made.program()
    found = mutants(program, 200, seed=0)
    assert len(found) == 200
    assert set(Counter(m.kind for m in found)) <= set(KINDS)
    assert {"predicate swapped", "offset by one", "part dropped", "entries exchanged"} <= {m.kind for m in found}
    for mutant in found:
        check(mutant.graph)
        assert diff(program, mutant.graph), mutant.what
    texts = {str([(n.id, n.op, n.inputs, dict(n.attrs)) for n in m.graph.nodes]) + str(m.graph.outputs) for m in found}
    assert len(texts) == 200


def test_constants_are_perturbed(made: Any) -> None:
    program = made.program(plus=0.25)
    assert any(m.kind == "constant perturbed" and "plus 0.25" in m.what for m in mutants(program, 200, seed=0))


def test_one_seed_gives_the_same_mutants(made: Any) -> None:
    one, two = ([m.what for m in mutants(made.program(), 60, seed=3)] for _ in range(2))
    assert one == two
    assert one != [m.what for m in mutants(made.program(), 60, seed=4)]


def test_every_mutant_that_changes_an_answer_is_killed(judged: Judged, made: Any, reference: Reference) -> None:
    found = mutants(judged.graph, 40, seed=1)
    killed = kill_rate(judged, reference, found)
    assert len(killed.changing) >= 20
    assert killed.rate == 1.0
    assert killed.survivors == ()
    (ids,) = reference.behavior.domain.enumerate(512)
    everything = domain_split(reference.behavior, ids)
    own = answers(judged.executor, everything, reference.behavior.readout)
    for fate in killed.fates:
        other = answers(Judged(fate.mutant.graph).executor, everything, reference.behavior.readout)
        assert (fate.changes > 0) == bool((own != other).any()), fate.mutant.what
        assert bool(fate.killed_by) == (fate.changes > 0)
        if not fate.changes:
            assert fate.reason == "equivalent: it changes no answer"


def test_a_survivor_is_listed_with_its_reason(judged: Judged, reference: Reference, made: Any) -> None:
    """A fault that shows on one input in a thousand stays within a rule that asks for 99 % of an open behaviour."""
    strings = made.strings(1000, 9, 5)
    rows = [SequenceRow(ids, [9], None, [made.majority(ids)]) for ids in strings]
    behavior = Behavior.from_sequences("open", ["a", "b", "<s>"], {"train": rows[:50], "test": rows}, Argmax())
    ones = sorted(sum(ids) - 2 for ids in strings)
    assert ones.count(9) in range(1, 9)
    nodes = [
        *judged.graph.nodes[:-1],
        Node("full", "symbolic.compare", ("more",), judged.graph["wins"].type, {"is": "<", "to": 8.5}),
        Node("both", "symbolic.and", ("wins", "full"), judged.graph["wins"].type),
        replace(judged.graph["answer"], inputs=("both",)),  # nine of nine ones no longer count
    ]
    fault = Mutant(judged.graph.with_nodes(nodes), "constant perturbed", "planted by hand")
    found = kill_rate(judged, Reference(reference.network, behavior), [fault])
    (survivor,) = found.survivors
    assert found.rate == 0.0
    assert survivor.changes == pytest.approx(ones.count(9) / 1050, abs=2e-3)
    assert "less than the rule asks for" in survivor.reason
