"""What a head looks at for want of what it looks for, against the attention that it was made with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from exegesis.passes.raising.hard_heads import Rest, harden
from exegesis.passes.raising.raise_hard_heads import Looks
from exegesis.passes.raising.selectors.fallback import with_fallback
from exegesis.passes.raising.selectors.relation import Site, relation
from exegesis.passes.raising.workbench import Workbench


def bench_with(rasp: Any, faint: dict[tuple[int, int], float]) -> tuple[Workbench, list[Tensor], list[Tensor]]:
    """Scores of a head that looks for the same letter before it, prefers some pairs faintly, and rests on `bos`."""
    p = rasp("abcd", 5)
    network = p.compiled(p.map(lambda x: x == "a", p.tokens))
    work = Workbench.on(network, p.setting(network, rows=60).fit, "test", 0)
    scores = []
    for seen in work.bench.batches:
        ids = seen.batch.input_ids
        b, s = ids.shape
        score = np.zeros((b, s, s))
        for row in range(b):
            for q in range(s):
                for k in range(s):
                    asked, shown = int(ids[row, q]), int(ids[row, k])
                    found = 40.0 if shown == asked - 1 else faint.get((asked, shown), 0.0)
                    score[row, q, k] = 20.0 if k == 0 else found
        scores.append(torch.from_numpy(score).float())
    return work, scores, [s.softmax(-1) for s in scores]


def selectors(work: Workbench, scores: list[Tensor], attention: list[Tensor]) -> list[list[np.ndarray]]:
    """Every way to write where the head looks, per batch."""
    counts = [b.scored for b in work.bench.batches]
    pairs = harden(attention, counts, False)
    assert pairs is not None
    tokens = work.columns[0]
    at_rest = tokens.values == 4
    known = frozenset({"tokens", work.place})
    others = pairs.at(~at_rest[pairs.key])
    found = relation(others, [tokens], Site("tokens", work.place, False, known, known))
    assert found is not None
    looks = Looks(found, Rest.ELSE, (tokens, 4))
    ways = []
    for write in with_fallback(work, looks, scores, pairs, False):
        draft = work.draft()
        chosen, full = write(draft)
        assert chosen == full
        ways.append([got[chosen].numpy() for _, got in work.bench.each(draft.whole(), [chosen])])
    return ways


def expected(work: Workbench, scores: list[Tensor], levels: int) -> list[np.ndarray]:
    """Where scores are highest once the resting place is hidden: counting what is within a factor as one level."""
    found = []
    for seen, score in zip(work.bench.batches, scores, strict=True):
        hidden = score.numpy().copy()
        hidden[:, :, 0] = -np.inf
        best = hidden.max(-1, keepdims=True)
        looked = hidden > 30 if levels == 0 else hidden >= (best if levels == 2 else np.where(best > 30, best, 0.0))
        found.append(looked & seen.scored.numpy()[:, :, None])
    return found


def test_without_faint_preferences_everything_is_next(rasp: Any) -> None:
    work, scores, attention = bench_with(rasp, {})
    ways = selectors(work, scores, attention)
    assert len(ways) == 2
    for way, levels in zip(ways, (0, 1), strict=True):
        for got, wanted, seen in zip(way, expected(work, scores, levels), work.bench.batches, strict=True):
            assert (((got > 0) & seen.scored.numpy()[:, :, None]) == wanted).all()


def test_faint_preferences_come_before_everything(rasp: Any) -> None:
    work, scores, attention = bench_with(rasp, {(0, 2): 6.0, (2, 3): 3.0})
    ways = selectors(work, scores, attention)
    assert len(ways) == 3
    for got, wanted, seen in zip(ways[2], expected(work, scores, 2), work.bench.batches, strict=True):
        assert (((got > 0) & seen.scored.numpy()[:, :, None]) == wanted).all()


def test_the_faintest_tip_the_balance_between_equals(rasp: Any) -> None:
    work, scores, attention = bench_with(rasp, {(0, 2): 1e-4, (0, 3): 2e-4})
    ways = selectors(work, scores, attention)
    assert len(ways) == 4
    tipped, exact = ways[2:]
    checked = 0
    for alike, weighed, seen in zip(tipped, exact, work.bench.batches, strict=True):
        ids = seen.batch.input_ids
        for row, query, key in zip(*np.nonzero(seen.scored.numpy()[:, :, None] & (ids[:, None, :] < 4)), strict=True):
            if ids[row, query] != 0:
                continue
            shown = int(ids[row, key])
            assert alike[row, query, key] == pytest.approx(1.001 if shown in (2, 3) else 1.0)
            assert weighed[row, query, key] == pytest.approx(
                {2: np.exp(1e-4), 3: np.exp(2e-4)}.get(shown, 1.0), abs=1e-6
            )
            checked += 1
    assert checked > 20
