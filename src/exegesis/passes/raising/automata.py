"""Finite automata read off the states of a recurrent network.

Hidden states are clustered, clusters become states of an automaton with the transitions that most steps take, and
states are merged as long as nothing speaks against it: no answer, no transition, and not the network, whose state after
one string must do for the state after another (the two strings, each with what follows the other, are read by the
network itself: Myhill–Nerode's test, asked of the network). Sources of the ideas: C. L. Giles et al. 1992, "Learning
and extracting finite state automata with second-order recurrent neural networks"; K. J. Lang et al. 1998 (merging
states); G. Weiss, Y. Goldberg, E. Yahav 2018, "Extracting automata from recurrent neural networks using queries and
counterexamples".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.random import Generator
from sklearn.cluster import KMeans

from exegesis.behavior import Answers, Readout
from exegesis.ir import Graph
from exegesis.measure import Bench
from exegesis.runtime import Executor

NOWHERE = -1


@dataclass(frozen=True, eq=False)
class Walks:
    """Strings with what the network has inside and what it says; rows are padded with -1.

    Attributes:
        tokens: [n, s].
        said: [n, s], numbers of answers; -1 where a position is not scored.
        hidden: [n, s, d], the states of all recurrent layers.
        answers: the answers that are numbered.
    """

    tokens: Int[np.ndarray, "n s"]
    said: Int[np.ndarray, "n s"]
    hidden: Float[np.ndarray, "n s d"]
    answers: Answers

    @classmethod
    def of(cls, graph: Graph, layers: Sequence[str], bench: Bench) -> Walks:
        """Everything on a bench."""
        longest = max(b.scored.shape[1] for b in bench.batches)
        every, numbers = np.unique(bench.answers, axis=0, return_inverse=True)
        numbers = numbers.reshape(-1)
        tokens, said, hidden, done = [], [], [], 0
        for seen, values in bench.each(graph, layers):
            ids = seen.inputs[graph.inputs[0].id].numpy()
            codes = np.full(ids.shape, NOWHERE)
            many = len(seen.answers)
            codes[seen.scored.numpy()] = numbers[done : done + many]
            done += many
            held = np.concatenate([values[name].double().numpy() for name in layers], -1)
            wide = [(0, 0), (0, longest - ids.shape[1])]
            tokens.append(np.pad(ids, wide, constant_values=NOWHERE))
            said.append(np.pad(codes, wide, constant_values=NOWHERE))
            hidden.append(np.pad(held, [*wide, (0, 0)]))
        return cls(np.concatenate(tokens), np.concatenate(said), np.concatenate(hidden), every)

    @property
    def there(self) -> Bool[np.ndarray, "n s"]:
        """Where rows have a token."""
        found: Bool[np.ndarray, "n s"] = self.tokens >= 0
        return found


@dataclass(frozen=True, eq=False)
class Automaton:
    """States 0 … k-1, of which 0 is the first.

    Attributes:
        table: [k, tokens], the next state; -1 where no string went on like that.
        says: [k], numbers of answers; -1 where none was asked.
        centres: [k, d], the mean hidden state.
    """

    table: Int[np.ndarray, "k tokens"]
    says: Int[np.ndarray, " k"]
    centres: Float[np.ndarray, "k d"]

    def states(self, tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        """The state after each token; -1 from where the table does not go on."""
        state = np.zeros(len(tokens), dtype=np.int64)
        after = np.full(tokens.shape, NOWHERE)
        for t in range(tokens.shape[1]):
            known = (state >= 0) & (tokens[:, t] >= 0)
            state = np.where(known, self.table[np.maximum(state, 0), np.maximum(tokens[:, t], 0)], NOWHERE)
            after[:, t] = state
        return after

    def agreement(self, walks: Walks) -> float:
        """The share of scored positions at which it says what the network says."""
        states, scored = self.states(walks.tokens), walks.said >= 0
        said = np.where(states >= 0, self.says[np.maximum(states, 0)], NOWHERE)
        return float((said == walks.said)[scored].mean())

    def merged(self, a: int, b: int) -> Automaton | None:
        """With two states as one, and those that this makes one; None where answers differ."""
        group, says = np.arange(len(self.table)), self.says.copy()
        table = self.table.copy()
        waiting = [(a, b)]
        while waiting:
            p, q = sorted(int(group[x]) for x in waiting.pop())
            if p == q:
                continue
            if NOWHERE not in (says[p], says[q]) and says[p] != says[q]:
                return None
            says[p] = max(says[p], says[q])
            both = (table[p] >= 0) & (table[q] >= 0)
            waiting += [(int(table[p, t]), int(table[q, t])) for t in np.flatnonzero(both)]
            table[p] = np.where(table[p] >= 0, table[p], table[q])
            group[group == q] = p
        kept, number = np.unique(group, return_inverse=True)
        moved = np.where(table[kept] >= 0, number[np.maximum(table[kept], 0)], NOWHERE)
        centres = np.stack([self.centres[group == g].mean(0) for g in kept])
        return Automaton(moved, says[kept], centres)

    def begun(self) -> Automaton:
        """Without a state of its own before the first token, where all strings begin with one that comes nowhere else:
        that token then leaves the first state as it is."""
        ways = np.flatnonzero(self.table[0] >= 0)
        if len(ways) != 1 or (self.table[1:, ways[0]] >= 0).any():
            return self
        return self.merged(0, int(self.table[0, ways[0]])) or self

    def reached(self) -> tuple[Automaton, tuple[tuple[int, ...], ...]]:
        """The states that are reached, in the order of the shortest strings that lead there, and these strings."""
        ways: dict[int, tuple[int, ...]] = {0: ()}
        for state in (queue := [0]):
            for token in np.flatnonzero(self.table[state] >= 0).tolist():
                after = int(self.table[state, token])
                if after not in ways:
                    ways[after] = (*ways[state], token)
                    queue.append(after)
        number = np.full(len(self.table), NOWHERE)
        number[queue] = np.arange(len(queue))
        table = np.where(self.table[queue] >= 0, number[np.maximum(self.table[queue], 0)], NOWHERE)
        return Automaton(table, self.says[queue], self.centres[queue]), tuple(ways[s] for s in queue)


def by_clusters(walks: Walks, size: int, most: int, seed: int) -> Automaton:
    """The automaton whose states are a first state and clusters of hidden states: the majority of steps decides.

    Args:
        walks: strings with their hidden states.
        size: how many clusters.
        most: how many hidden states the clusters are fitted to.
        seed: of the clustering.
    """
    there = walks.there
    points = walks.hidden[there]
    rng = np.random.default_rng(seed)
    sample = np.unique(points[rng.permutation(len(points))[:most]].round(6), axis=0)
    size = min(size, len(sample))
    found = KMeans(size, n_init=2, random_state=seed).fit(sample)
    labels = np.full(there.shape, NOWHERE)
    labels[there] = found.predict(points) + 1
    before = np.concatenate([np.zeros((len(labels), 1), dtype=int), labels[:, :-1]], 1)
    many = int(walks.tokens.max()) + 1
    steps = np.zeros((size + 1, many, size + 1), dtype=np.int64)
    np.add.at(steps, (before[there], walks.tokens[there], labels[there]), 1)
    scored = walks.said >= 0
    counts = np.zeros((size + 1, len(walks.answers)), dtype=np.int64)
    np.add.at(counts, (labels[scored], walks.said[scored]), 1)
    table = np.where(steps.any(-1), steps.argmax(-1), NOWHERE)
    says = np.where(counts.any(-1), counts.argmax(-1), NOWHERE)
    centres = np.concatenate([np.zeros((1, points.shape[1])), found.cluster_centers_])
    return Automaton(table, says, centres)


@dataclass(frozen=True, eq=False)
class Exchange:
    """Strings whose beginnings trade places, read by the network.

    Attributes:
        graph: the network; readout: how it is read.
        walks: the strings.
        pairs: how many strings are made of a pair of states.
        look: at how many scored positions after the exchange answers are compared.
    """

    graph: Graph
    readout: Readout
    walks: Walks
    pairs: int = 24
    look: int = 8

    def equal(
        self, states: Int[np.ndarray, "n s"], donor: int, receiver: int, rng: Generator
    ) -> Bool[np.ndarray, " pairs"]:
        """Whether the network goes on after `receiver` as before when it is in the state of another string instead.

        Args:
            states: of an automaton at every position of the walks.
            donor: the state of whose strings the beginnings are.
            receiver: the state after which strings go on.
            rng: which strings.

        Returns:
            For each string that was made, whether all answers compared are equal; empty where none can be made.
        """
        begin, go_on = _places(states, donor), _places(states, receiver, self.walks.said)
        if not len(begin) or not len(go_on):
            return np.zeros(0, dtype=np.bool_)
        first = begin[rng.integers(len(begin), size=self.pairs)]
        second = go_on[rng.integers(len(go_on), size=self.pairs)]
        made, compared = [], []
        for (row, at), (other, since) in zip(first.tolist(), second.tolist(), strict=True):
            rest = self.walks.tokens[other, since + 1 :]
            made.append(np.concatenate([self.walks.tokens[row, : at + 1], rest[rest >= 0]]))
            where = np.flatnonzero(self.walks.said[other, since + 1 :] >= 0)[: self.look]
            compared.append((where + at + 1, self.walks.said[other, since + 1 + where]))
        said = self._said(made)
        equal = [
            bool(self.readout.equal(s[at], self.walks.answers[numbers]).all())
            for s, (at, numbers) in zip(said, compared, strict=True)
        ]
        return np.array(equal, dtype=np.bool_)

    def _said(self, strings: Sequence[Int[np.ndarray, " _"]]) -> list[Answers]:
        """The network's answers at every position of some strings, padded at the end, which no earlier state sees."""
        longest = max(map(len, strings))
        ids = np.stack([np.pad(s, (0, longest - len(s))) for s in strings])
        out = self.graph.outputs[0]
        logits = Executor(self.graph).run({self.graph.inputs[0].id: torch.from_numpy(ids)}, [out])[out].numpy()
        return [self.readout.answers(rows) for rows in logits]


def _places(
    states: Int[np.ndarray, "n s"], state: int, said: Int[np.ndarray, "n s"] | None = None
) -> Int[np.ndarray, "m 2"]:
    """Rows and positions at which an automaton is in a state; with `said`, those alone after which one is scored. The
    beginning of a row is none of them: what stands there may come nowhere else."""
    there = states == state
    if said is not None:
        later = np.cumsum((said >= 0)[:, ::-1], 1)[:, ::-1] > 0
        there = there & np.concatenate([later[:, 1:], np.zeros((len(said), 1), dtype=bool)], 1)
    found: Int[np.ndarray, "m 2"] = np.argwhere(there)
    return found


def merge_states(machine: Automaton, exchange: Exchange, equal: float, seed: int) -> Automaton:
    """As few states as answers, transitions and the network allow, nearest hidden states first.

    Args:
        machine: the automaton.
        exchange: asks the network.
        equal: the share of exchanged strings that must go on as before.
        seed: of the strings that are drawn.
    """
    rng = np.random.default_rng(seed)
    walks, kept = exchange.walks, machine.agreement(exchange.walks)
    refused: set[tuple[bytes, bytes]] = set()
    while True:
        apart = np.square(machine.centres[:, None] - machine.centres).sum(-1)
        pairs = [(a, b) for a in range(len(apart)) for b in range(a + 1, len(apart))]
        states = machine.states(walks.tokens)
        for a, b in sorted(pairs, key=lambda p: apart[p]):
            key = (machine.centres[a].tobytes(), machine.centres[b].tobytes())
            if key in refused or (smaller := machine.merged(a, b)) is None or smaller.agreement(walks) < kept:
                continue
            asked = np.concatenate([exchange.equal(states, p, q, rng) for p, q in ((a, b), (b, a))])
            if len(asked) and asked.mean() >= equal:
                machine = smaller
                break
            refused.add(key)
        else:
            return machine


def exchanged(machine: Automaton, exchange: Exchange, seed: int) -> tuple[float, float]:
    """The share of strings that go on as before when their beginning is another of the same state, and of another
    state: what is claimed of the automaton, and its null."""
    rng = np.random.default_rng(seed)
    states = machine.states(exchange.walks.tokens)
    many = len(machine.table)
    same = np.concatenate([exchange.equal(states, s, s, rng) for s in range(many)])
    few = replace(exchange, pairs=max(1, exchange.pairs // 4))
    others = [few.equal(states, a, b, rng) for b in range(many) for a in rng.permutation(many)[:4].tolist() if a != b]
    other = np.concatenate([*others, np.zeros(0, dtype=np.bool_)])
    return float(same.mean()), float(other.mean()) if len(other) else 0.0
