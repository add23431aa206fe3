"""Which head a failure comes from: its attention is put where it should be, and failures that go away are counted.

What a head gathers is replaced inside the network by what it would gather if it looked where it is told to: at what the
selector of a program's variable looks at, or at the position that holds the task's own answer. The head's own values
stay, and so does everything else. A failure that goes away then came from where the head looked; one that stays, from
what is made of it. Beside it, the same attention is given to other heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exegesis.behavior import Argmax, Behavior, SequenceBatch, SequenceSplit
from exegesis.ir import Graph
from exegesis.passes.raising.heads import Block, attention_blocks
from exegesis.runtime import Executor
from exegesis.runtime.answers import batch_inputs, read_answers

_TOKENS = 8192  # per batch: attention patterns of all heads are held at once
_ROWS = 150  # with failures, and as many without
_HARMLESS = 0.1  # of right answers; what breaks more is no repair
_OTHERS = 8  # sets of other heads that are given the same attention

Looks = Callable[[SequenceBatch], Tensor]


@dataclass(frozen=True, eq=False)
class Aim:
    """Where heads should look.

    Attributes:
        what: in words: whose selector, or what stands there.
        heads: labels of the heads, `L0H1`; empty where every head is to be tried on its own.
        looks: weights of keys by query for a batch, [b, s, t]; a query whose weights are all zero is left alone.
    """

    what: str
    heads: tuple[str, ...]
    looks: Looks


@dataclass(frozen=True)
class Repair:
    """What becomes of failures and of right answers when heads look where they should.

    Attributes:
        what: where they are made to look.
        heads: which.
        failures, mended: wrong answers that were looked at, and how many are right now.
        right, broken: right answers, and how many are wrong now.
        attention_right, attention_wrong: the mean share of the heads' attention that is there anyway, where the network
            is right and where it is wrong; None where nothing is looked at.
        astray: of the failures, the share at which less than half of the attention is there.
        others: the best that other heads do when given the same attention: the share of failures that are mended, less
            the share of right answers that are broken; None without others.
        other_heads: how many sets of other heads were tried.
    """

    what: str
    heads: tuple[str, ...]
    failures: int
    mended: int
    right: int
    broken: int
    attention_right: float | None
    attention_wrong: float | None
    astray: float | None
    others: float | None = None
    other_heads: int = 0

    @property
    def share(self) -> float:
        """Of failures that are mended."""
        return self.mended / max(1, self.failures)

    @property
    def harm(self) -> float:
        """Of right answers that are broken."""
        return self.broken / max(1, self.right)

    @property
    def reason(self) -> str:
        """What follows from it, as a sentence."""
        heads = " and ".join(self.heads)
        told = f"With {heads} made to look at {self.what}, {self.share:.0%} of failures are mended"
        told += f" and {self.harm:.1%} of right answers broken"
        if self.others is not None:
            told += f" (other heads, given the same, mend at most {max(0.0, self.others):.0%} beyond what they break)"
        if self.attention_wrong is None or self.attention_right is None:
            return f"{told}."
        whose = "its" if len(self.heads) == 1 else "their"
        there = f"{self.attention_wrong:.0%} of {whose} attention is there where the network is wrong"
        there += f", {self.attention_right:.0%} where it is right"
        return f"{told}; {there}."

    @property
    def telling(self) -> bool:
        """Whether it names a cause: beyond what it breaks, it mends at least a quarter of what other heads leave, and
        it breaks few right answers. One that breaks many does no more than tell the head the answer.
        """
        others = max(0.0, self.others or 0.0)
        return self.harm < _HARMLESS and self.share - self.harm - others >= 0.25 * (1 - others)


@dataclass
class _Counts:
    failures: int = 0
    mended: int = 0
    right: int = 0
    broken: int = 0
    attention: dict[bool, list[Tensor]] = field(default_factory=lambda: {False: [], True: []})

    @property
    def gain(self) -> float:
        """The share of failures that are mended, less the share of right answers that are broken."""
        return self.mended / max(1, self.failures) - self.broken / max(1, self.right)


class Workshop:
    """A lifted network and rows that it is wrong on, with as many that it is not.

    Args:
        graph: the lifted network.
        behavior: whose readout and labels count.
        split: labelled rows.
        seed: which rows, and which other heads.
    """

    def __init__(self, graph: Graph, behavior: Behavior, split: SequenceSplit, *, seed: int) -> None:
        self.graph = graph
        self.readout = behavior.readout
        self.run = Executor(graph)
        self.blocks = {f"{b.layer}H{h}": (b, h) for b in attention_blocks(graph) for h in range(b.heads)}
        self.rng = np.random.default_rng([seed, 29])
        self.split = split.select(self._chosen(split))

    def _chosen(self, split: SequenceSplit) -> np.ndarray:
        """Rows with failures, and as many without."""
        failing = np.zeros(len(split), np.bool_)
        for batch in split.batches(_TOKENS):
            values = self.run.run(batch_inputs(self.run, batch), [self.graph.outputs[0]])
            wrong = ~self._right(values, batch)
            failing[batch.rows] = np.bincount(np.nonzero(batch.scored)[0][wrong], minlength=len(batch.rows)) > 0
        some, rest = (self.rng.permutation(np.flatnonzero(f))[:_ROWS] for f in (failing, ~failing))
        return np.sort(np.concatenate([some, rest]))

    def _right(self, values: dict[str, Tensor], batch: SequenceBatch) -> Bool[np.ndarray, " k"]:
        assert batch.expected is not None
        said = read_answers(self.run, values[self.graph.outputs[0]].numpy(), batch, self.readout)
        return self.readout.equal(said, batch.expected)

    def repair(self, aim: Aim) -> Repair | None:
        """What the aim mends, beside other heads; None where the network has none of its heads."""
        if not aim.heads or any(h not in self.blocks for h in aim.heads):
            return None
        groups = [aim.heads, *self._others(aim.heads)]
        own, *others = self._tried(aim, groups)
        shares = [c.gain for c in others]
        return _repair(aim, aim.heads, own, max(shares, default=None), len(shares))

    def repairs_by_head(self, aim: Aim) -> list[Repair]:
        """The same aim for each head alone, and for all heads of a layer together, the best first; for each, what the
        best of the others that share no head with it does."""
        layers: dict[str, list[str]] = {}
        for head, (block, _) in self.blocks.items():
            layers.setdefault(block.mix, []).append(head)
        groups = [(h,) for h in self.blocks] + [tuple(heads) for heads in layers.values() if len(heads) > 1]
        tried = self._tried(aim, groups)
        found = []
        for group, counts in zip(groups, tried, strict=True):
            rest = [
                c.gain
                for other, c in zip(groups, tried, strict=True)
                if not set(other) & set(group) and (len(other) > 1) == (len(group) > 1)
            ]
            found.append(_repair(aim, group, counts, max(rest, default=None), len(rest)))
        return sorted(found, key=lambda r: (r.harm - r.share, r.heads))

    def _others(self, heads: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Sets of as many other heads."""
        rest = [h for h in self.blocks if h not in heads]
        sets = list(combinations(rest, len(heads))) if len(rest) < 12 else [(h,) for h in rest]
        return [sets[k] for k in sorted(self.rng.permutation(len(sets))[:_OTHERS])]

    def _tried(self, aim: Aim, groups: Sequence[tuple[str, ...]]) -> list[_Counts]:
        """Every group of heads with the aim's attention, over all batches."""
        counts = [_Counts() for _ in groups]
        needed = sorted({n for b, _ in self.blocks.values() for n in (b.mix, b.values, b.pattern)})
        for batch in self.split.batches(_TOKENS):
            inputs = batch_inputs(self.run, batch)
            plain = self.run.run(inputs, [*needed, self.graph.outputs[0]])
            before = self._right(plain, batch)
            weights = aim.looks(batch).to(torch.float32)
            for group, count in zip(groups, counts, strict=True):
                after = self._right(self._aimed(inputs, plain, group, weights), batch)
                count.failures += int((~before).sum())
                count.right += int(before.sum())
                count.mended += int((~before & after).sum())
                count.broken += int((before & ~after).sum())
                for right, there in _attention(self._patterns(plain, group), weights, batch, before):
                    count.attention[right].append(there)
        return counts

    def _patterns(self, plain: dict[str, Tensor], group: tuple[str, ...]) -> Tensor:
        """Mean attention of the group's heads, [b, s, t]."""
        return torch.stack([plain[b.pattern][:, h] for b, h in (self.blocks[g] for g in group)]).mean(0)

    def _aimed(
        self, inputs: dict[str, Tensor], plain: dict[str, Tensor], group: tuple[str, ...], weights: Tensor
    ) -> dict[str, Tensor]:
        """The network's output with these heads looking there. Layers are changed in order, each seeing the change
        before."""
        given: dict[str, Tensor] = {}
        for block in {b.mix: b for b, _ in (self.blocks[g] for g in group)}.values():
            heads = [h for b, h in (self.blocks[g] for g in group) if b.mix == block.mix]
            now = self.run.run(inputs, [block.mix, block.values], given=given) if given else plain
            given[block.mix] = _gathered(now, block, heads, weights)
        return self.run.run(inputs, [self.graph.outputs[0]], given=given)


def _gathered(values: dict[str, Tensor], block: Block, heads: Sequence[int], weights: Tensor) -> Tensor:
    """What a block's heads gather when some of them look where the weights say."""
    total = weights.sum(-1, keepdim=True)
    new = values[block.mix].clone()
    for head in heads:
        own = values[block.values][:, head]
        aimed = torch.bmm((weights / total.clamp(min=1e-12)).to(own), own)
        new[:, head] = torch.where(total > 0, aimed, new[:, head])
    return new


def _attention(
    pattern: Tensor, weights: Tensor, batch: SequenceBatch, right: Bool[np.ndarray, " k"]
) -> Iterator[tuple[bool, Tensor]]:
    """The share of attention that is where it should be, at scored positions that should look somewhere."""
    there = (pattern * (weights > 0)).sum(-1)
    scored = torch.from_numpy(batch.scored)
    looks = (weights.sum(-1) > 0)[scored]
    for kind in (True, False):
        yield kind, there[scored][looks & torch.from_numpy(right == kind)]


def _repair(aim: Aim, heads: tuple[str, ...], counts: _Counts, others: float | None, tried: int) -> Repair:
    there = {kind: torch.cat(parts) if parts else torch.zeros(0) for kind, parts in counts.attention.items()}
    means = {kind: float(v.mean()) if len(v) else None for kind, v in there.items()}
    astray = float((there[False] < 0.5).float().mean()) if len(there[False]) else None
    return Repair(
        aim.what,
        heads,
        counts.failures,
        counts.mended,
        counts.right,
        counts.broken,
        means[True],
        means[False],
        astray,
        others,
        tried,
    )


def aims_of(program: Graph) -> list[Aim]:
    """Where the variables of a program say that heads of the network look."""
    run = Executor(program)
    found: dict[tuple[str, tuple[str, ...]], Aim] = {}
    for node in program.nodes:
        heads = tuple(dict.fromkeys(s.label for s in node.sites if s.index and s.index[-1][0] == "head"))
        selector = next((i for i in node.inputs if program[i].type.kind == "selector"), None)
        if not heads or selector is None:
            continue
        what = f"what the program's {(node.name or node.id).replace('_', ' ')} looks at"
        found.setdefault((selector, heads), Aim(what, heads, _selected(run, selector)))
    return list(found.values())


def _selected(run: Executor, selector: str) -> Looks:
    def looks(batch: SequenceBatch) -> Tensor:
        value = run.run(batch_inputs(run, batch), [selector])[selector]
        rows, length = batch.input_ids.shape
        weights: Tensor = value.to(torch.float32).expand(rows, length, length)
        return weights

    return looks


def at_the_answer(behavior: Behavior) -> Aim | None:
    """Look at the last position so far that holds the token that the task expects; None where answers are no tokens."""
    if not isinstance(behavior.readout, Argmax) or behavior.output_names is not None:
        return None

    def looks(batch: SequenceBatch) -> Tensor:
        assert batch.expected is not None
        wanted = np.full(batch.scored.shape, -1)
        wanted[batch.scored] = batch.expected
        return torch.from_numpy(_latest(batch.input_ids, wanted))

    return Aim("the last position that holds the task's answer", (), looks)


def _latest(ids: np.ndarray, wanted: np.ndarray) -> Float[np.ndarray, "b s s"]:
    """One at the last position up to each query that holds the wanted token."""
    places = np.arange(ids.shape[1])
    there = (ids[:, None, :] == wanted[:, :, None]) & (places <= places[:, None])
    latest = np.where(there, places, -1).max(-1)
    found: Float[np.ndarray, "b s s"] = (places == latest[..., None]) & (latest >= 0)[..., None]
    return found.astype(np.float32)
