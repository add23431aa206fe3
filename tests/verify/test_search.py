"""The attack: gradients against finite differences, triggers that it finds, witnesses that are minimal and replay."""

from typing import Any

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Behavior, SequenceRow, StringsDomain
from exegesis.ir.progress import Silent
from exegesis.runtime import Network, batch_answers
from exegesis.verify.budget import Budget
from exegesis.verify.inputs import Inputs, Space
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.search import Attacker, Difference, Effort, attack
from exegesis.verify.witnesses import shrink, witnesses

TRIGGER = {1: 1, 4: 0, 6: 1, 8: 1}


def later() -> Any:
    return Budget(60.0).whole


@pytest.fixture
def triggered(judged: Judged, made: Any) -> Attacker:
    return Attacker(judged, Reference(Network(made.triggered(TRIGGER), "triggered"), made.behavior()))


def inputs(made: Any, n: int = 6, length: int = 9) -> Inputs:
    ids = np.array(made.strings(n, length, 7))
    scored = np.zeros(ids.shape, dtype=np.bool_)
    scored[:, -1] = True
    return Inputs(ids, None, scored)


def test_the_margin_is_that_of_the_user_s_own_module(judged: Judged, reference: Reference, made: Any) -> None:
    attacker = Attacker(judged, reference)
    given = inputs(made)
    margin, said = attacker.margin(given)
    logits = reference.network.module(torch.from_numpy(given.ids))[:, -1].detach().numpy()
    own = [made.majority(ids) for ids in given.ids]
    expected = [row[answer] - row[1 - answer] for answer, row in zip(own, logits, strict=True)]
    assert np.allclose(margin, expected, atol=1e-3)
    assert said.tolist() == own
    assert attacker.search.queries == 6


def test_the_embedding_is_found_with_what_each_letter_becomes(judged: Judged, reference: Reference) -> None:
    attacker = Attacker(judged, reference)
    assert attacker.embedding is not None
    name, table = attacker.embedding
    assert reference.exported.values[name].op.startswith("aten.embedding")
    assert torch.equal(table, reference.network.module.embed.weight[torch.from_numpy(attacker.space.letters)])


def test_gradients_tell_what_a_letter_changes(judged: Judged, reference: Reference, made: Any) -> None:
    """The counting network is linear in its embeddings, so that first order is all there is."""
    attacker = Attacker(judged, reference)
    given = inputs(made, 3)
    margin, said = attacker.margin(given)
    slope = attacker.gradient(given, said)
    assert slope is not None
    for row in range(3):
        for place in range(1, 10):
            other = given.ids[row : row + 1].copy()
            other[0, place] = 1 - other[0, place]
            one = Inputs(other, None, given.scored[:1])
            letter = int(np.flatnonzero(attacker.space.letters == other[0, place])[0])
            out = attacker._output(one)
            changed = float(attacker._smallest(out, said[row : row + 1], one)[0]) - float(margin[row])
            assert float(slope[row, place, letter]) == pytest.approx(changed, abs=1e-3)


def test_a_trigger_is_found_shrunk_to_its_positions_and_replayed(triggered: Attacker) -> None:
    search = attack(triggered, "test", later(), Silent())
    assert search.found
    assert search.worst_margin is not None
    assert search.worst_margin < 0
    found = witnesses(triggered, search, later())
    for witness in found:
        ids = np.array([witness.input_ids])
        assert all(ids[0, p] == t for p, t in TRIGGER.items())
        assert set(witness.positions) <= set(TRIGGER)
        assert witness.program != witness.network
        assert witness.asked
        batch = Inputs(ids, None, np.eye(10, dtype=np.bool_)[-1:]).batch
        said = batch_answers(triggered.program.executor, batch, Argmax())
        assert said.tolist() != triggered.reference.says(batch).tolist()
    assert found == sorted(found, key=lambda w: (-w.surprise, w.input_ids))
    assert sum(w.count for w in found) <= len(search.found)


def test_without_a_difference_nothing_is_found(judged: Judged, reference: Reference) -> None:
    attacker = Attacker(judged, reference)
    search = attack(attacker, "test", later(), Silent(), Effort(probes=64, restarts=6, steps=3))
    assert not search.found
    assert search.restarts == 6
    assert search.worst_margin is not None
    assert search.worst_margin > 0
    assert search.queries > 64 + 6 * 3 * 16
    assert witnesses(attacker, search, later()) == []


def test_gradients_find_what_chance_does_not(judged: Judged, made: Any) -> None:
    """Most of twelve letters must be one of three hundred: eight steps by gradient get there, by chance they do not."""

    class Faint(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = made.counting()
            self.embed = torch.nn.Embedding(302, 4)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            out = self.embed(input_ids)[..., 0].cumsum(1)[..., None]
            return torch.cat([torch.zeros_like(out), out], -1)

    torch.manual_seed(0)
    module = Faint()
    with torch.no_grad():
        module.embed.weight.fill_(-1.0)
        module.embed.weight[300] = 1.0  # one letter of three hundred pushes the other way; more than half of them must
    rows = [SequenceRow(r, [11]) for r in np.random.default_rng(0).integers(299, size=(30, 12)).tolist()]
    words = [f"w{i}" for i in range(301)] + ["<s>"]
    behavior = Behavior.from_sequences("faint", words, {"train": rows, "test": rows}, Argmax())
    zero = made.changed(made.program(), "answer", op="symbolic.always", attrs={"value": 0}, inputs=("tokens",))
    attacker = Attacker(Judged(zero), Reference(Network(module, "faint"), behavior))
    search = attack(attacker, "test", later(), Silent(), Effort(probes=64, restarts=4, steps=8))
    assert search.probes_differing == 0
    assert search.found
    assert witnesses(attacker, search, later())[0].input_ids.count(300) >= 6
    attacker = Attacker(Judged(zero), Reference(Network(module, "faint"), behavior))
    attacker._embedding, attacker._looked_for = None, True  # without gradients
    assert not attack(attacker, "test", later(), Silent(), Effort(probes=64, restarts=4, steps=8)).found


def test_shrinking_takes_back_whatever_does_not_matter(triggered: Attacker) -> None:
    origin = np.array([[2, 0, 0, 0, 1, 0, 0, 0, 0, 0]])
    ids = np.array([[2, 1, 1, 1, 0, 1, 1, 1, 1, 1]])
    minimal = shrink(triggered, Difference(Inputs(ids, None, np.eye(10, dtype=np.bool_)[-1:]), origin))
    assert minimal is not None
    assert minimal.changed == (1, 4, 6, 8)
    assert minimal.inputs.ids.tolist() == [[2, 1, 0, 0, 0, 0, 1, 0, 1, 0]]


def test_a_difference_that_does_not_come_back_is_dropped(triggered: Attacker) -> None:
    ids = np.array([[2, 0, 0, 0, 1, 0, 0, 0, 0, 0]])
    assert shrink(triggered, Difference(Inputs(ids, None, np.eye(10, dtype=np.bool_)[-1:]), ids)) is None


def test_strings_are_shortened(judged: Judged, made: Any) -> None:
    strings = [*made.strings(6, 4, 0), *made.strings(6, 7, 0)]
    rows = [SequenceRow(ids, [len(ids) - 1], None, [made.majority(ids)]) for ids in strings]
    domain = StringsDomain((0, 1), 2, 9, prefix=(2,))
    behavior = Behavior.from_sequences("s", ["a", "b", "<s>"], {"train": rows, "test": rows}, Argmax(), domain=domain)
    attacker = Attacker(judged, Reference(Network(made.triggered({2: 1}), "n"), behavior))
    ids = np.array([[2, 0, 1, 0, 1, 1, 0, 1]])
    scored = np.eye(8, dtype=np.bool_)[-1:]
    minimal = shrink(attacker, Difference(Inputs(ids, None, scored), ids))
    assert minimal is not None
    assert minimal.inputs.ids.tolist() == [[2, 0, 1]]


def test_witnesses_of_one_cause_are_told_as_one(judged: Judged, made: Any) -> None:
    attacker = Attacker(judged, Reference(Network(made.triggered({3: 1, 4: 1}), "n"), made.behavior()))
    search = attack(attacker, "test", later(), Silent())
    found = witnesses(attacker, search, later())
    assert len(search.found) > 3
    assert len(found) <= 3


def test_only_letters_are_changed_where_they_may_stand(judged: Judged, reference: Reference, made: Any) -> None:
    space = Space(reference)
    given = inputs(made, 40)
    mutated = space.mutated(given, space.changeable(given), np.random.default_rng(0))
    assert (mutated.ids[:, 0] == 2).all()
    assert (mutated.ids[:, 1:] == 1 - given.ids[:, 1:]).all()
    open_space = Space(Reference(reference.network, made.behavior(closed=False)))
    assert (space.closed, open_space.closed) == (True, False)
    assert open_space.changeable(given)[:, 1:].all()
    assert not open_space.changeable(given)[:, 0].any()
