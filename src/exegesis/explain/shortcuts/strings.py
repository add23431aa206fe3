"""Universal triggers of token networks: the shortest string that, written over the start or end of any input, forces
an answer.

E. Wallace et al., *Universal adversarial triggers* (EMNLP 2019): coordinate search guided by the gradient with
respect to the embeddings, and every candidate it proposes is tried in the network itself. Where the alphabet is small
all letters are tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Check, Consequence, Provenance
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import NetworkModel, NotDifferentiableError
from exegesis.explain.shortcuts.inserting import DRAWS, pooled
from exegesis.explain.shortcuts.shortcut import Flips, Shortcut, flip_checks
from exegesis.ir import InputError
from exegesis.runtime import Network

End: TypeAlias = Literal["start", "end"]
TRIED = 24  # letters tried at one place: all of a small alphabet, those the gradient proposes of a large one
LENGTHS = 8  # of rows; each goes through the network on its own, and the most frequent ones come first
RARE = 0.5
"""How much a string as short may do for the other answers: where it does as much, the task itself reads such
strings."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Inputs of one length with the places of their letters."""

    inputs: Inputs
    letters: Int[Tensor, "n k"]  # where the first (or last) `longest` letters of each row stand

    def written(self, string: Int[Tensor, " k"], end: End) -> Int[Tensor, "n s"]:
        """Token ids with a string over the first or last letters."""
        assert self.inputs.tokens is not None
        where = self.letters[:, : len(string)] if end == "start" else self.letters[:, -len(string) :]
        return self.inputs.tokens.scatter(1, where, string.expand(len(where), -1))


@dataclass(frozen=True, eq=False)
class _Bench:
    """A token network on some rows."""

    network: Network
    competing: Int[Tensor, " classes"]
    groups: tuple[_Rows, ...]

    def logits(self, string: Int[Tensor, " k"] | None, end: End) -> Float[Tensor, "n classes"]:
        """Competing outputs at the last scored position, for all rows with the string written over them."""
        found = []
        for rows in self.groups:
            assert rows.inputs.tokens is not None
            assert rows.inputs.at is not None
            ids = rows.inputs.tokens if string is None else rows.written(string, end)
            positions = rows.inputs.positions if self.network.takes_positions else None
            out = self.network.logits(ids, positions)
            found.append(out[torch.arange(len(ids)), rows.inputs.at][:, self.competing])
        return torch.cat(found)


@dataclass(frozen=True)
class TokenTrigger:
    """The shortest string found for one answer.

    Args:
        answer: which of the competing outputs it forces.
        end: what it is written over.
        string: token ids.
        share: of the inputs searched on that it turns.
        by_length: the best share at each length tried; the last also holds for longer strings.
    """

    answer: int
    end: End
    string: tuple[int, ...]
    share: float
    by_length: tuple[float, ...] = (0.0,)

    def at_length(self, length: int) -> float:
        """The best share of a string of at most this length."""
        return max(self.by_length[:length])


def token_triggers(
    network: Network,
    behavior: Behavior,
    *,
    longest: int = 4,
    share: float = 0.95,
    limit: int = 96,
    seed: int = 0,
) -> tuple[Shortcut, ...]:
    """For every answer the shortest string that forces it, tried on held-out rows beside random strings.

    Args:
        network: a network over tokens.
        behavior: with an argmax readout. The answer in question is that at the last scored position of each row.
        longest: how many tokens a string may have.
        share: of the rows that it has to turn.
        limit: how many rows are used, of each split.
        seed: of rows and nulls.

    Returns:
        Shortcuts, those withheld included: where most answers have a string as short, the task itself reads it.

    Raises:
        InputError: another kind of behaviour, or too few rows with more letters than `longest`.
    """
    if not behavior.is_sequence or not isinstance(behavior.readout, Argmax):
        raise InputError(
            f"Behaviour {behavior.name} does not answer sequences with one token each, so no string can force an "
            f"answer."
        )
    names = list(behavior.splits)
    search = _bench(network, behavior, names[0], limit, longest, seed)
    held_out = _bench(network, behavior, names[min(1, len(names) - 1)], limit, longest, seed + 1)
    letters = torch.from_numpy(behavior.alphabet)
    ends: tuple[End, ...] = ("start", "end")
    best: dict[int, TokenTrigger] = {}
    for answer in range(len(search.competing)):
        found = [_shortest(search, answer, end, letters, longest, share) for end in ends]
        best[answer] = min(found, key=lambda t: (t.share < share, len(t.string), -t.share))
    labels = behavior.output_labels(
        int(search.competing.max()) + 1 if behavior.output_names is None else len(behavior.output_names)
    )
    made = []
    for trigger in best.values():
        peers = [t for t in best.values() if t.answer != trigger.answer]
        others = float(np.median([t.at_length(len(trigger.string)) for t in peers])) if peers else 0.0
        tests = (
            Check.at_least(
                "universal", "Share of the rows searched on that it turns.", trigger.share, share, Consequence.WITHHOLDS
            ),
            Check.at_most(
                "rare", "What the best string as short does for the other answers, in the median; much: the task "
                "reads it.",
                others, RARE, Consequence.WITHHOLDS,
            ),
        )  # fmt: skip
        source = Provenance(
            "universal string", {"longest": longest, "share": share}, seed, None,
            network.name, network.fingerprint, behavior.name,
        )  # fmt: skip
        made.append(
            _tried(held_out, trigger, tests, labels[int(search.competing[trigger.answer])], letters, behavior, source)
        )
    return tuple(made)


def _bench(network: Network, behavior: Behavior, split: str, limit: int, longest: int, seed: int) -> _Bench:
    rows = behavior.sequences(split)
    drawn = np.random.default_rng(seed).permutation(len(rows))[: 4 * limit]
    is_letter = torch.zeros(int(max(rows.tokens.max(), behavior.alphabet.max(initial=0))) + 1, dtype=torch.bool)
    is_letter[torch.from_numpy(behavior.alphabet)] = True
    groups, total = [], 0
    found = read_inputs(behavior, split, [int(r) for r in np.sort(drawn)])
    for inputs in sorted(found, key=lambda rows: -len(rows))[:LENGTHS]:
        assert inputs.tokens is not None
        letter = is_letter[inputs.tokens]
        enough = (letter.sum(1) > longest).nonzero()[:, 0][: max(0, limit - total)]
        if not len(enough):
            continue
        kept, letter = inputs.select(enough.numpy()), letter[enough]
        order = letter.long().argsort(dim=1, descending=True, stable=True)
        first, count = order[:, :longest], letter.sum(1)
        last = order.gather(1, (count[:, None] - longest + torch.arange(longest)[None]))
        groups.append((kept, first, last))
        total += len(kept)
    if total < 8:
        raise InputError(
            f"Split {split} has {total} rows with more than {longest} letters; 8 are needed to try strings on."
        )
    with torch.no_grad():
        outputs = network.outputs or network.logits(groups[0][0].tokens[:1], None).shape[-1]  # type: ignore[index]
    readout = behavior.readout
    assert isinstance(readout, Argmax)
    competing = torch.tensor(readout.outputs or range(outputs))
    # Both ends share the rows: the first `longest` columns are for the start, the last for the end.
    return _Bench(network, competing, tuple(_Rows(k, torch.cat([f, la], 1)) for k, f, la in groups))


def _shortest(bench: _Bench, answer: int, end: End, letters: Tensor, longest: int, share: float) -> TokenTrigger:
    """The shortest string for one answer at one end, each length starting from the best of the length before."""
    said = bench.logits(None, end).argmax(1)
    others = said != answer
    best = TokenTrigger(answer, end, (int(letters[0]),), 0.0)
    if not bool(others.any()):
        return best
    string, shares = torch.zeros(0, dtype=torch.long), [0.0]
    for length in range(1, longest + 1):
        filler = letters[:1]
        string = torch.cat([string, filler]) if end == "start" else torch.cat([filler, string])
        fresh = length - 1 if end == "start" else 0
        order = [fresh, *(i for i in range(length) if i != fresh)]
        found, score = string, (-1.0, -float("inf"))
        for _ in range(2):
            before = score
            for place in order:
                for letter in _proposed(bench, found, place, answer, end, letters):
                    tried = found.clone()
                    tried[place] = letter
                    now = _score(bench.logits(tried, end)[others], answer)
                    if now > score:
                        found, score = tried, now
            if score == before or score[0] >= share:
                break
        string = found
        shares.append(max(score[0], *shares))
        if score[0] > best.share:
            best = TokenTrigger(answer, end, tuple(int(t) for t in found), score[0])
        if score[0] >= share:
            break
    return replace(best, by_length=tuple(shares[1:]))


def _score(logits: Float[Tensor, "n classes"], answer: int) -> tuple[float, float]:
    """Share of the rows that give the answer, then the mean margin of its logit."""
    rivals = logits.clone()
    rivals[:, answer] = -torch.inf
    margin = logits[:, answer] - rivals.max(1).values
    return float((logits.argmax(1) == answer).float().mean()), float(margin.mean())


def _proposed(bench: _Bench, string: Tensor, place: int, answer: int, end: End, letters: Tensor) -> Tensor:
    """The letters worth trying at a place of the string: all, or those that the gradient speaks for."""
    if len(letters) <= TRIED:
        return letters
    rows = bench.groups[0]
    inputs = Inputs(
        rows.inputs.rows, tokens=rows.written(string, end), positions=rows.inputs.positions, at=rows.inputs.at
    )
    model = NetworkModel(bench.network)
    try:
        start = model.start(inputs).requires_grad_()
        weight = model.start(Inputs(np.zeros(1, dtype=np.int64), tokens=letters[None]))[0]
    except (NotDifferentiableError, InputError):
        return letters[:: max(1, len(letters) // TRIED)]
    assert inputs.at is not None
    index = torch.arange(len(inputs))
    out = model(start, inputs, index)[index, inputs.at][:, bench.competing]
    loss = out.log_softmax(1)[:, answer].mean()
    (slope,) = torch.autograd.grad(loss, start)
    where = rows.letters[:, place] if end == "start" else rows.letters[:, place - len(string)]
    gain = slope[index, where].mean(0) @ weight.T
    return letters[gain.topk(TRIED).indices]


def _tried(
    bench: _Bench,
    trigger: TokenTrigger,
    tests: tuple[Check, ...],
    label: str,
    letters: Tensor,
    behavior: Behavior,
    source: Provenance,
) -> Shortcut:
    """A string written over held-out rows, beside random strings of its length; and those rows with random strings
    over it."""
    generator = torch.Generator().manual_seed(source.seed)
    string = torch.tensor(trigger.string)
    others = bench.logits(None, trigger.end).argmax(1) != trigger.answer
    said = bench.logits(string, trigger.end).argmax(1)
    insertion = Flips(int((said[others] == trigger.answer).sum()), int(others.sum()))
    turned = others & (said == trigger.answer)
    random, left = [], []
    for _ in range(DRAWS):
        drawn = letters[torch.randint(len(letters), (len(string),), generator=generator)]
        now = bench.logits(drawn, trigger.end).argmax(1) == trigger.answer
        random.append(Flips(int(now[others].sum()), int(others.sum())))
        left.append(Flips(int((~now[turned]).sum()), int(turned.sum())))
    text = " ".join(behavior.vocabulary.labels[t] for t in trigger.string)
    checks = (
        *tests,
        *flip_checks("insertion", "Share of held-out rows of other answers that the string "
        "turns.", insertion, {"random string": pooled(random)}),
        *flip_checks("removal", "Share of turned rows that go back when random letters take its "
        "place.", pooled(left), {}),
    )  # fmt: skip
    details = {
        "artefact": "trigger",
        "class": label,
        "place": f"the {trigger.end} of the letters",
        "pattern": text,
        "tokens": list(trigger.string),
        "insertion": insertion.record(),
        "removal": pooled(left).record(),
        "nulls": {"random string": pooled(random).record()},
        "sentence": f"“{text}” over the {'first' if trigger.end == 'start' else 'last'} {len(string)} letters turns "
        f"{insertion.rate:.1%} of {insertion.of} held-out rows with other answers into {label}; random strings: "
        f"{pooled(random).rate:.1%}.",
    }
    return Shortcut("shortcut", {"string": np.array(trigger.string)}, checks, source, details=details)
