"""What a hypothesis about a whole network may look at, and what it proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Argmax, Domain
from exegesis.ir import Axis, Graph, Type
from exegesis.measure import Bench
from exegesis.measure.rotations import Rows
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.runtime import Executor

WHOLE = Type("int", SEQUENCE)
TRUTH = Type("bool", SEQUENCE)
_TRUTH = Axis("truth", 2, ("False", "True"))


@dataclass(frozen=True, eq=False)
class Proposal:
    """A program for the whole network.

    Attributes:
        what: in words.
        graph: the network, with the program drafted beside it.
        answer: the node of its answer.
        variables: those that must be found inside the network, in order of computation.
        material: tokens that can change places without making an input of another kind.
        coarse: whether its variables say less than those of other proposals, so that it is for want of these.
    """

    what: str
    graph: Graph
    answer: str
    variables: tuple[str, ...]
    material: tuple[int, ...]
    coarse: bool = False

    @property
    def program(self) -> Graph:
        """The program alone."""
        return replace(self.graph, outputs=(self.answer,)).pruned()


@dataclass(frozen=True, eq=False)
class Evidence:
    """A network on the bench.

    Attributes:
        graph: the network; one input of tokens.
        bench: inputs and what the network answers.
        readout: how its outputs are read.
        by: the pass, for provenance.
        causal: whether positions see only what came before.
        domain: what inputs there are, where that is known.
    """

    graph: Graph
    bench: Bench
    readout: Argmax
    by: str
    causal: bool
    domain: Domain | None = None

    @cached_property
    def tokens(self) -> str:
        """The input node."""
        return self.graph.inputs[0].id

    @cached_property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.graph.axes[self.graph.inputs[0].type.of or ""].size or 0

    @cached_property
    def answer_type(self) -> Type:
        """The type of an answer."""
        return Type("category", SEQUENCE, self.graph[self.graph.outputs[0]].type.axes[-1])

    @cached_property
    def longest(self) -> Rows:
        """The rows of the commonest length."""
        by_length: dict[int, int] = {}
        for seen in self.bench.batches:
            by_length[seen.scored.shape[1]] = by_length.get(seen.scored.shape[1], 0) + len(seen.scored)
        length = max(by_length, key=lambda k: (by_length[k], k))
        parts = [s for s in self.bench.batches if s.scored.shape[1] == length]
        inputs = {name: torch.cat([s.inputs[name] for s in parts]) for name in parts[0].inputs}
        return Rows(inputs, torch.cat([s.scored for s in parts]))

    def stirred(self, material: Sequence[int], most: int, seed: int) -> Rows:
        """At most so many rows of the commonest length: those there are, then copies in which two tokens of the
        material have changed places."""
        rows, rng = self.longest, np.random.default_rng(seed)
        ids, source = [self.ids[:most]], [np.arange(len(self.ids))[:most]]
        while (missing := most - sum(map(len, ids))) > 0:
            chosen = rng.integers(len(self.ids), size=missing)
            new = self.ids[chosen]
            key = np.where(np.isin(new, material), rng.random(new.shape), -1.0)
            first, second = np.argsort(-key, axis=1)[:, :2].T
            at = np.arange(missing)
            new[at, first], new[at, second] = new[at, second], new[at, first]
            moved = (np.take_along_axis(key, np.stack([first, second], 1), 1) >= 0).all(1)
            if not moved.any():
                break
            ids.append(new[moved])
            source.append(chosen[moved])
        scored = rows.scored[torch.from_numpy(np.concatenate(source))]
        return Rows({self.tokens: torch.from_numpy(np.concatenate(ids)).to(rows.inputs[self.tokens])}, scored)

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The tokens of these rows, [n, s]."""
        ids: NDArray[np.int64] = self.longest.inputs[self.tokens].numpy().astype(np.int64)
        return ids

    @cached_property
    def places(self) -> list[int] | None:
        """The positions that count, where these are the same in every row; else None."""
        scored = self.longest.scored
        return scored[0].nonzero()[:, 0].tolist() if bool((scored == scored[:1]).all()) else None

    @cached_property
    def varying(self) -> list[int]:
        """Positions at which rows differ."""
        return [int(p) for p in np.flatnonzero((self.ids != self.ids[:1]).any(0))]

    def ask(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the network answers at every position of other rows, [n, s]."""
        run, out = Executor(self.graph), self.graph.outputs[0]
        found = []
        for part in np.array_split(ids, max(1, ids.size // 40_000)):
            value: Tensor = run.run({self.tokens: torch.from_numpy(part)}, [out])[out]
            found.append(self.readout.answers(value.flatten(0, 1).numpy()).reshape(part.shape))
        return np.concatenate(found)

    def draft(self) -> Draft:
        """A draft over the network, in which selectors and truth values can be typed."""
        graph = replace(self.graph, axes={**self.graph.axes, "key": Axis("key"), "truth": _TRUTH})
        return Draft(graph, self.by)


@dataclass(frozen=True)
class Phrases:
    """Short ways to draft what hypotheses have in common."""

    draft: Draft
    tokens: str
    causal: bool

    def everywhere(self, *, causal: bool | None = None) -> str:
        """Looks at all positions (so far, where causal)."""
        attrs = {"causal": self.causal if causal is None else causal}
        return self.draft.add("symbolic.everywhere", [self.tokens], SELECTOR, attrs, hint="everywhere")

    def where(self, selector: str, key: str, values: Sequence[int], *, negated: bool = False) -> str:
        """Of the positions looked at, those whose key has one of these values."""
        attrs = {"values": list(values), "negated": negated}
        return self.draft.add("symbolic.where", [selector, key], SELECTOR, attrs, hint="where")

    def width(self, selector: str, hint: str) -> str:
        """How many positions are looked at."""
        return self.draft.add("symbolic.width", [selector], WHOLE, hint=hint)

    def form(self, terms: Sequence[tuple[int, str]], plus: int, hint: str) -> str:
        """A sum of whole numbers with coefficients."""
        nodes = list(dict.fromkeys(n for _, n in terms))
        attrs = {"terms": [[c, nodes.index(n), None] for c, n in terms], "plus": plus}
        return self.draft.add("symbolic.form", nodes, WHOLE, attrs, hint=hint)

    def compare(self, value: str, sign: str, to: int, hint: str) -> str:
        """Whether a number stands in this relation to a constant."""
        return self.draft.add("symbolic.compare", [value], TRUTH, {"is": sign, "to": to}, hint=hint)

    def place(self) -> str:
        """The position itself."""
        return self.draft.add("component.arange", [self.tokens], WHOLE, hint="place")

    def call(self, node: str, name: str, sentence: str) -> str:
        """Gives a drafted variable a name and a sentence."""
        self.draft.nodes[node] = replace(self.draft[node], name=name, doc=sentence)
        return node

    def choose(self, condition: str, yes: int, no: int, type: Type) -> str:
        """One answer where a condition holds, another elsewhere."""
        attrs = {"gives": [yes], "other": no}
        return self.draft.add("symbolic.choose", [condition], type, attrs, hint="answer")
