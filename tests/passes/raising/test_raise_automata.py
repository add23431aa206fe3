"""Automata read off recurrent networks whose automaton is known: it is written into their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exegesis as ex
from exegesis.behavior import Argmax, Behavior, Sign, Value
from exegesis.ir.progress import Silent
from exegesis.passes.raising.automata import Automaton, Exchange, Walks, by_clusters, exchanged, merge_states
from exegesis.passes.raising.raise_automata import RaiseAutomata
from exegesis.pipeline.decompile import prepare

A, B, BOS = 0, 1, 2
PARITY = {(0, A): 0, (0, B): 1, (1, A): 1, (1, B): 0}
SAYS_PARITY = (0, 1)
NO_THREE = {(0, A): 1, (1, A): 2, (2, A): 3, (3, A): 3, (0, B): 0, (1, B): 0, (2, B): 0, (3, B): 3}
SAYS_NO_THREE = (1, 1, 1, 0)
DEPTH = {(0, A): 1, (1, A): 2, (1, B): 0, (2, B): 1}
ALLOWS = ((A,), (A, B), (B,))


class Written(nn.Module):
    """An Elman network with ReLU that runs an automaton: one unit per pair of state and token is 1, the others 0.

    A unit of a token hears 1 from it and 1 from every pair that leads to its state, and needs both; `<bos>` leads to
    the first state alone.
    """

    def __init__(self, table: dict[tuple[int, int], int], outputs: np.ndarray) -> None:
        super().__init__()
        pairs = [(-1, BOS), *table]
        leads = [0, *table.values()]
        n = len(pairs)
        self.embed = nn.Embedding.from_pretrained(torch.eye(3))
        self.rnn = nn.RNN(3, n, batch_first=True, nonlinearity="relu")
        self.out = nn.Linear(n, outputs.shape[1])
        with torch.no_grad():
            for w in self.parameters():
                w.zero_()
            self.embed.weight.copy_(torch.eye(3))
            for i, (state, token) in enumerate(pairs):
                self.rnn.weight_ih_l0[i, token] = 1.0
                self.rnn.bias_ih_l0[i] = -1.0 if state >= 0 else 0.0
                for j, to in enumerate(leads):
                    self.rnn.weight_hh_l0[i, j] = float(state == to)
                self.out.weight[:, i] = torch.from_numpy(outputs[leads[i]]).float()
        self.embed.weight.requires_grad_(False)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.rnn(self.embed(input_ids))[0])


class Counter(nn.Module):
    """Counts both letters without end, and says which was more frequent."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(3, 3), nn.RNN(3, 2, batch_first=True, nonlinearity="relu")
        self.out = nn.Linear(2, 2)
        with torch.no_grad():
            for w in self.parameters():
                w.zero_()
            self.embed.weight.copy_(torch.eye(3))
            self.rnn.weight_ih_l0[[0, 1], [A, B]] = 1.0
            self.rnn.weight_hh_l0.copy_(torch.eye(2))
            self.out.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
            self.out.bias[0] = 0.5

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.rnn(self.embed(input_ids))[0])


def one_hot(says: tuple[int, ...]) -> np.ndarray:
    return np.eye(2)[list(says)]


def strings(rng: np.random.Generator, n: int, table: dict[tuple[int, int], int], longest: int) -> list[list[int]]:
    """Random strings, every token of which goes on in the table."""
    found = set[tuple[int, ...]]()
    while len(found) < n:
        state, ids = 0, [BOS]
        for _ in range(int(rng.integers(1, longest))):
            ids.append(int(rng.choice([t for t in (A, B) if (state, t) in table])))
            state = table[state, ids[-1]]
        found.add(tuple(ids))
    return [list(ids) for ids in sorted(found)]


def behavior(table: dict[tuple[int, int], int], *, sets: bool = False, last: bool = False) -> Behavior:
    rng = np.random.default_rng(0)
    rows = strings(rng, 260, table, 20)
    rng.shuffle(rows)

    def row(ids: list[int]) -> dict[str, object]:
        return {"input_ids": ids, "scored": [len(ids) - 1] if last else list(range(len(ids)))}

    splits = {"train": [row(r) for r in rows[:180]], "test": [row(r) for r in rows[180:]]}
    names = None if sets else ("no", "yes")
    readout = Sign() if sets else Argmax()
    return Behavior.from_sequences("written", ("a", "b", "<bos>"), splits, readout, output_names=names)


def raised(network: nn.Module, signal: Behavior) -> ex.Program:
    return ex.decompile(network.eval(), signal, passes=(RaiseAutomata(),), seed=0)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("table", "says"), [(PARITY, SAYS_PARITY), (NO_THREE, SAYS_NO_THREE)])
def test_the_automaton_that_was_written_comes_out(
    table: dict[tuple[int, int], int], says: tuple[int, ...], last: bool
) -> None:
    program = raised(Written(table, one_hot(says)), behavior(table, last=last))
    states = next(n for n in program.graph.nodes if n.op == "symbolic.automaton")
    size = program.graph.axes[states.type.of or ""].size
    assert size == len(says)
    assert len(states.attrs["transitions"]) == sum(after != state for (state, _), after in table.items())
    assert not program.graph.tensors
    assert states.sites
    rng = np.random.default_rng(5)
    for _ in range(30):
        letters = rng.integers(0, 2, 25).tolist()
        state, expected = 0, [says[0]]
        for letter in letters:
            state = table[state, letter]
            expected.append(says[state])
        assert program.run([BOS, *letters]) == expected


def test_sets_of_outputs_and_steps_that_never_come() -> None:
    """Brackets to depth 2: no string closes what is not open, so nothing is said of that."""
    allowed = np.array([[1.0 if t in tokens else -1.0 for t in (A, B, BOS)] for tokens in ALLOWS])
    program = raised(Written(DEPTH, allowed), behavior(DEPTH, sets=True))
    assert program.run([BOS, A, A, B, B, A]) == [[A], [A, B], [B], [A, B], [A], [A, B]]
    assert "AFTER_2_TIMES_A" in program.source
    assert "automaton(" in program.source


def test_swapped_states_are_judged() -> None:
    """The states live in the hidden state: put there, another string's state makes the network answer as it says."""
    from exegesis.verify import verify

    network = Written(NO_THREE, one_hot(SAYS_NO_THREE)).eval()
    signal = behavior(NO_THREE)
    program = raised(network, signal)
    verdict = verify(program.graph, ex.load(network), signal, budget="3s")
    assert verdict.figures.joint_interchange is not None
    assert verdict.figures.joint_interchange.value >= 0.99


def test_a_counter_is_no_automaton() -> None:
    everything = {(0, A): 0, (0, B): 0}
    program = raised(Counter(), behavior(everything))
    assert any(n.op == "component.recurrent" for n in program.graph.nodes)
    assert not program.records[0].applied
    assert program.records[0].attempts


def test_what_reads_from_the_end_or_is_not_recurrent_is_refused() -> None:
    class Both(nn.Module):
        def __init__(self, both: bool) -> None:
            super().__init__()
            self.embed, self.rnn = nn.Embedding(3, 4), nn.GRU(4, 5, batch_first=True, bidirectional=both)
            self.out, self.both = nn.Linear(10 if both else 5, 2), both

        def forward(self, input_ids: Tensor) -> Tensor:
            states = self.rnn(self.embed(input_ids))[0]
            return self.out(states if self.both else states + states.cumsum(1))

    for both, why in ((True, "reads from the end"), (False, "may look at more than the recurrent state")):
        graph = prepare(Both(both).eval(), behavior(PARITY), seed=0, progress=Silent()).lifted.graph
        assert why in (RaiseAutomata().requires(graph) or "")


def test_answers_without_end_are_refused() -> None:
    signal = behavior(PARITY)
    start = prepare(Written(PARITY, one_hot(SAYS_PARITY)).eval(), signal, seed=0, progress=Silent())
    from dataclasses import replace

    outcome = RaiseAutomata().run(start.lifted.graph, replace(start.setting, readout=Value(0.1)))
    assert outcome.graph is start.lifted.graph


def machine(table: dict[tuple[int, int], int], says: tuple[int, ...], tokens: int = 3) -> Automaton:
    rows = np.full((len(says), tokens), -1)
    for (state, token), after in table.items():
        rows[state, token] = after
    return Automaton(rows, np.array(says), np.arange(len(says), dtype=float)[:, None])


def test_merging_joins_what_follows_and_stops_at_answers_that_differ() -> None:
    four = machine({(0, A): 1, (1, A): 2, (2, A): 3, (3, A): 0}, (0, 1, 0, 1))
    two = four.merged(0, 2)
    assert two is not None
    assert two.table[:, A].tolist() == [1, 0]
    assert two.says.tolist() == [0, 1]
    assert four.merged(0, 1) is None
    unasked = machine({(0, A): 1, (1, A): 0}, (-1, 1)).merged(0, 1)
    assert unasked is not None
    assert unasked.says.tolist() == [1]


def test_a_token_that_only_begins_strings_needs_no_state_of_its_own() -> None:
    begun = machine({(0, BOS): 1, (1, A): 2, (2, A): 1}, (0, 0, 1)).begun()
    assert begun.table.tolist() == [[1, -1, 0], [0, -1, -1]]
    twice = machine({(0, A): 1, (1, A): 0}, (0, 1))
    assert twice.begun() is twice


def test_the_network_tells_states_apart_that_a_wrong_automaton_merges() -> None:
    """Exchanges are the guard: for an automaton that takes all strings for equal, they fail."""
    signal = behavior(NO_THREE)
    start = prepare(Written(NO_THREE, one_hot(SAYS_NO_THREE)).eval(), signal, seed=0, progress=Silent())
    layer = next(n.id for n in start.lifted.graph.nodes if n.op == "component.recurrent")
    walks = Walks.of(start.lifted.graph, [layer], start.setting.fit)
    asked = Exchange(start.lifted.graph, Argmax(), walks)
    right, _ = merge_states(by_clusters(walks, 12, 2000, 0).begun(), asked, 0.98, 0).reached()
    wrong = machine({(0, A): 0, (0, B): 0, (0, BOS): 0}, (1,))
    assert len(right.table) == 4
    assert exchanged(right, asked, 0)[0] == 1.0
    assert exchanged(wrong, asked, 0)[0] < 0.9
