"""Selector idioms: each recognises attention made by its own rule, written out here position by position, and refuses
attention that follows no rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from exegesis.ir import check
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import HeadView
from exegesis.passes.raising.selectors import PARTITIONS, SELECTORS
from exegesis.passes.raising.selectors.aside import asides
from exegesis.passes.raising.selectors.back import back
from exegesis.passes.raising.selectors.everywhere import everywhere
from exegesis.passes.raising.selectors.first import first
from exegesis.passes.raising.selectors.gated import gated
from exegesis.passes.raising.selectors.greatest import greatest
from exegesis.passes.raising.selectors.latest import latest
from exegesis.passes.raising.selectors.match import match
from exegesis.passes.raising.selectors.order import order
from exegesis.passes.raising.selectors.pairwise import pairwise
from exegesis.passes.raising.selectors.phase import phases
from exegesis.passes.raising.selectors.resting import resting
from exegesis.passes.raising.selectors.where import where
from exegesis.runtime import Executor

LETTERS = 8
Rule = Callable[[list[int], int, int], float]
"""How strongly position q looks at position k of a string."""


def strings(*lengths: int) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.integers(0, LETTERS, (40, length))) for length in lengths or (7, 12)]


def attention(tokens: list[Tensor], rule: Rule, *, causal: bool = True) -> list[Tensor]:
    """Attention in proportion to a rule; everything alike where the rule looks at nothing."""
    found = []
    for batch in tokens:
        b, s = batch.shape
        pattern = np.zeros((b, s, s))
        for row, string in enumerate(batch.tolist()):
            for q in range(s):
                seen = range(q + 1) if causal else range(s)
                weights = [rule(string, q, k) for k in seen]
                total = sum(weights)
                pattern[row, q, list(seen)] = [w / total for w in weights] if total else 1 / len(seen)
        found.append(torch.from_numpy(pattern).float())
    return found


def noise(tokens: list[Tensor], *, causal: bool = True, seed: int = 5) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return attention(tokens, lambda string, q, k: float(rng.gamma(1.0)), causal=causal)


def shown(hand: Any, patterns: list[Tensor], tokens: list[Tensor], causal: bool = True) -> tuple[HeadView, Draft]:
    return hand.view_of(patterns, {"tokens": tokens}, {"tokens": LETTERS}, causal)


def explained(draft: Draft, selector: str, patterns: list[Tensor], tokens: list[Tensor], **given: list[Tensor]) -> bool:
    """Whether a drafted selector, executed, looks exactly where the head does, in each row in which it looks at all."""
    graph = draft.whole(outputs=(selector,))
    check(graph)
    run = Executor(graph)
    looked = 0
    for i, (pattern, ids) in enumerate(zip(patterns, tokens, strict=True)):
        put = {name: values[i] for name, values in given.items()}
        weights = run.run({"tokens": ids}, [selector], given=put)[selector].float().expand(pattern.shape)
        total = weights.sum(-1, keepdim=True)
        rows = total[..., 0] > 0
        looked += int(rows.sum())
        if not torch.allclose((weights / total.clamp(min=1e-9))[rows], pattern[rows], atol=2e-3):
            return False
    return looked > sum(t.numel() for t in tokens) / 3


@pytest.mark.parametrize("by", range(5))
def test_back(hand: Any, by: int) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: k == q - by)
    head, draft = shown(hand, patterns, tokens)
    found = back(head, draft)
    assert found
    assert explained(draft, found[0], patterns, tokens)
    assert draft[found[0]].attrs == {"by": by}


def test_back_offers_two_where_attention_is_divided(hand: Any) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: {1: 0.55, 3: 0.45}.get(q - k, 0.0))
    head, draft = shown(hand, patterns, tokens)
    assert [draft[s].attrs["by"] for s in back(head, draft)] == [1, 3]


@pytest.mark.parametrize("causal", [True, False])
def test_everywhere(hand: Any, causal: bool) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: 1.0, causal=causal)
    head, draft = shown(hand, patterns, tokens, causal)
    (found,) = everywhere(head, draft)
    assert explained(draft, found, patterns, tokens)


def test_first(hand: Any) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: k == 0)
    head, draft = shown(hand, patterns, tokens)
    (found,) = first(head, draft)
    assert explained(draft, found, patterns, tokens)


def test_match_of_a_variable_with_itself(hand: Any) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: string[k] == string[q])
    head, draft = shown(hand, patterns, tokens)
    assert any(explained(draft, s, patterns, tokens) for s in match(head, draft))


def test_match_with_another_variable(hand: Any) -> None:
    """Induction: where the previous token is this token."""
    tokens = strings(25, 30)
    before = [torch.cat([torch.full_like(t[:, :1], -1), t[:, :-1]], 1) for t in tokens]
    patterns = attention(tokens, lambda string, q, k: k > 0 and string[k - 1] == string[q])
    sizes = {"tokens": LETTERS, "before": LETTERS}
    head, draft = hand.view_of(patterns, {"tokens": tokens, "before": before}, sizes, True)
    found = [s for s in match(head, draft) if explained(draft, s, patterns, tokens, before=before)]
    assert [draft[s].inputs for s in found] == [("tokens", "before")]


def test_match_with_exceptions(hand: Any) -> None:
    """Token 0 looks for token 3; all others for themselves."""
    tokens = strings(25, 30)
    patterns = attention(tokens, lambda string, q, k: string[k] == (3 if string[q] == 0 else string[q]))
    head, draft = shown(hand, patterns, tokens)
    found = [s for s in match(head, draft) if explained(draft, s, patterns, tokens)]
    assert found
    assert draft[draft[found[0]].inputs[0]].attrs == {"table": [[0, 3]]}


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_order(hand: Any, above: bool, nearest: bool, causal: bool) -> None:
    tokens = strings()

    def rule(string: list[int], q: int, k: int) -> float:
        seen = string[: q + 1] if causal else string
        good = [v for v in seen if (v > string[q] if above else v < string[q])]
        wanted = {min(good) if above else max(good)} if nearest and good else set(good)
        return float(string[k] in wanted)

    patterns = attention(tokens, rule, causal=causal)
    head, draft = shown(hand, patterns, tokens, causal)
    assert any(explained(draft, s, patterns, tokens) for s in order(head, draft))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("ignored", [set(), {7}, {0}])
@pytest.mark.parametrize("causal", [True, False])
def test_greatest(hand: Any, largest: bool, ignored: set[int], causal: bool) -> None:
    """Attention that rises with the category, so that the greatest in sight wins; some are never looked at."""
    tokens = strings()
    sign = 1 if largest else -1

    def rule(string: list[int], q: int, k: int) -> float:
        return 0.0 if string[k] in ignored else float(np.exp(10.0 * sign * string[k]))

    patterns = attention(tokens, rule, causal=causal)
    head, draft = shown(hand, patterns, tokens, causal)
    found = greatest(head, draft)
    assert [draft[s].attrs["which"] for s in found] == ["largest" if largest else "smallest"]
    assert explained(draft, found[0], patterns, tokens)


@pytest.mark.parametrize("values", [{2, 5}, set(range(LETTERS)) - {3}])
def test_latest(hand: Any, values: set[int]) -> None:
    tokens = strings(9, 14)
    patterns = attention(tokens, lambda string, q, k: float(string[k] in values) * float(np.exp(8.0 * k)))
    head, draft = shown(hand, patterns, tokens)
    assert any(explained(draft, s, patterns, tokens) for s in latest(head, draft))


def test_a_set_looked_at_evenly_has_no_latest(hand: Any) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: float(string[k] in {2, 5}))
    head, draft = shown(hand, patterns, tokens)
    assert latest(head, draft) == []


def test_a_mild_preference_for_the_greater_is_none(hand: Any) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: 1.0 + 0.2 * string[k])
    head, draft = shown(hand, patterns, tokens)
    assert greatest(head, draft) == []


@pytest.mark.parametrize("values", [{2}, {1, 4}, set(range(LETTERS)) - {3}])
def test_where(hand: Any, values: set[int]) -> None:
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: string[k] in values)
    head, draft = shown(hand, patterns, tokens)
    found = [s for s in where(head, draft) if draft[s].op == "symbolic.where"]
    assert len(found) == 1
    listed, negated = draft[found[0]].attrs["values"], draft[found[0]].attrs["negated"]
    assert set(listed) == (set(range(LETTERS)) - values if negated else values)
    assert explained(draft, found[0], patterns, tokens)


def test_weighed(hand: Any) -> None:
    """Token 5 gets e times the weight of any other: a step that a quarter in logarithms divides."""
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: np.e if string[k] == 5 else 1.0)
    head, draft = shown(hand, patterns, tokens)
    (found,) = where(head, draft)
    assert draft[found].attrs == {"weights": [[5, 2.7]], "other": 1}
    looked = Executor(draft.whole(outputs=(found,))).run({"tokens": tokens[0]}, [found])[found]
    assert torch.allclose(looked / looked.sum(-1, keepdim=True), patterns[0], atol=0.01)


@pytest.mark.parametrize(("rest", "back_by"), [(lambda q: 0, 1), (lambda q: 0, 2), (lambda q: q, 1)])
def test_gated(hand: Any, rest: Callable[[int], int], back_by: int) -> None:
    """Letters 1 and 4 look back, the others at the first position, or at themselves."""
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: k == (q - back_by if string[q] in (1, 4) else rest(q)))
    head, draft = shown(hand, patterns, tokens)
    (found,) = gated(head, draft)
    looked = Executor(draft.whole(outputs=(found,))).run({"tokens": tokens[1]}, [found])[found]
    assert torch.equal(looked[:, back_by:].bool(), patterns[1][:, back_by:].bool())


@pytest.mark.parametrize("rule", [lambda string, q, k: k == max(q - 1, 0), lambda string, q, k: k == 0])
def test_gated_refuses_what_all_queries_do(hand: Any, rule: Rule) -> None:
    tokens = strings()
    assert gated(*shown(hand, attention(tokens, rule), tokens)) == []


@pytest.mark.parametrize("back_by", [1, 2])
def test_asides(hand: Any, back_by: int) -> None:
    """One letter looks back, all others anywhere."""
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: string[q] != 3 or k == q - back_by)
    head, draft = shown(hand, patterns, tokens)
    (found,) = asides(head, draft)
    assert (draft[found].op, draft[found].attrs) == ("symbolic.back", {"by": back_by})


@pytest.mark.parametrize(
    "rule", [lambda string, q, k: k == max(q - 1, 0), lambda string, q, k: string[q] > 5 or k == q, lambda *_: 1]
)
def test_asides_refuses_what_most_queries_do(hand: Any, rule: Rule) -> None:
    tokens = strings()
    assert asides(*shown(hand, attention(tokens, rule), tokens)) == []


@pytest.mark.parametrize("itself", [0, 1])
@pytest.mark.parametrize("back_by", [1, 2])
def test_resting(hand: Any, back_by: int, itself: int) -> None:
    """On the threes once there has been one (before, or the query itself), and back before that."""
    tokens = strings()

    def rule(string: list[int], q: int, k: int) -> float:
        return float(k < q + itself and string[k] == 3 if 3 in string[: q + itself] else k == q - back_by)

    patterns = attention(tokens, rule)
    head, draft = shown(hand, patterns, tokens)
    (found,) = resting(head, draft)
    looked = Executor(draft.whole(outputs=(found,))).run({"tokens": tokens[1]}, [found])[found]
    assert torch.equal(looked[:, back_by:].bool(), patterns[1][:, back_by:].bool())


@pytest.mark.parametrize("rule", [lambda string, q, k: k == max(q - 1, 0), lambda string, q, k: string[k] == 3])
def test_resting_refuses_heads_that_do_only_one_of_both(hand: Any, rule: Rule) -> None:
    tokens = strings()
    assert resting(*shown(hand, attention(tokens, rule), tokens)) == []


def test_pairwise_weights(hand: Any) -> None:
    """Of three letters, 0 looks twice as much at 1, and 1 half as much at 0, as at anything else."""
    weight = {(0, 1): 2.0, (1, 0): 0.5}
    tokens = [t % 3 for t in strings()]
    patterns = attention(tokens, lambda string, q, k: weight.get((string[q], string[k]), 1.0))
    head, draft = hand.view_of(patterns, {"tokens": tokens}, {"tokens": 3}, True)
    (found,) = pairwise(head, draft)
    looked = Executor(draft.whole(outputs=(found,))).run({"tokens": tokens[0]}, [found])[found]
    assert torch.allclose(looked / looked.sum(-1, keepdim=True), patterns[0], atol=2e-3)


@pytest.mark.parametrize("rule", [lambda string, q, k: 1.0, lambda string, q, k: 1.0 + string[k]])
def test_pairwise_refuses_what_does_not_depend_on_the_query(hand: Any, rule: Rule) -> None:
    tokens = [t % 3 for t in strings()]
    head, draft = hand.view_of(attention(tokens, rule), {"tokens": tokens}, {"tokens": 3}, True)
    assert pairwise(head, draft) == []


@pytest.mark.parametrize(("period", "strong"), [(2, {0}), (3, {0}), (3, {1, 2}), (4, {0, 1}), (4, {2, 3})])
def test_phases_look_everywhere_together(hand: Any, period: int, strong: set[int]) -> None:
    """The shortest period whose phases differ: with two neighbours of four, every second position tells nothing."""
    tokens = strings(36, 48)
    patterns = attention(tokens, lambda string, q, k: 1.0 if (q - k) % period in strong else 0.3)
    head, draft = shown(hand, patterns, tokens)
    found = phases(head, draft)
    assert len(found) == period + 1
    *found, before = found
    looked = Executor(draft.whole(outputs=tuple(found))).run({"tokens": tokens[1]}, found)
    together = sum(looked[s].int() for s in found)
    length = tokens[1].shape[1]
    assert torch.equal(together[0], torch.ones(length, length, dtype=torch.int).tril())
    steps = {tuple(sorted({int(k - q) % period for q, k in looked[s][0].nonzero().tolist()})) for s in found}
    assert steps == {(k,) for k in range(period)}
    earlier = Executor(draft.whole(outputs=(before,))).run({"tokens": tokens[1]}, [before])[before][0]
    index = torch.arange(length)
    apart = index[:, None] - index
    assert torch.equal(earlier.bool(), (apart > 0) & (apart % period == 0))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.parametrize(
    "idiom", [i for i in (*SELECTORS, *PARTITIONS) if i is not everywhere], ids=lambda i: i.__name__
)
def test_attention_without_a_rule_is_refused(hand: Any, idiom: Any, seed: int, causal: bool) -> None:
    tokens = strings()
    head, draft = shown(hand, noise(tokens, causal=causal, seed=seed), tokens, causal)
    assert idiom(head, draft) == []


def test_every_idiom_is_tested_here() -> None:
    known = {asides, everywhere, back, first, gated, match, order, greatest, where, latest, pairwise, resting, phases}
    assert {*SELECTORS, *PARTITIONS} == known


@pytest.mark.parametrize("idiom", [*SELECTORS, *PARTITIONS], ids=lambda i: i.__name__)
def test_every_idiom_is_deterministic_leaves_its_head_alone_and_drafts_what_the_language_has(
    hand: Any, idiom: Any
) -> None:
    tokens = strings()
    rules: list[Rule] = [
        lambda string, q, k: k == q - 1,
        lambda string, q, k: k == 0,
        lambda string, q, k: string[k] == string[q],
        lambda string, q, k: string[k] > string[q],
        lambda string, q, k: string[k] == 2,
        lambda string, q, k: (q - k) % 2 == 0,
        lambda string, q, k: 2.0 if (string[q], string[k]) == (1, 2) else 1.0,
        lambda string, q, k: k == (q - 1 if string[q] < 3 and q else 0),
        lambda string, q, k: string[k] == 2 if 2 in string[: q + 1] else k == max(q - 1, 0),
        lambda string, q, k: (string[k] in {2, 5}) * float(np.exp(8.0 * k)),
        lambda string, q, k: float(np.exp(8.0 * string[k])),
    ]
    drafted = 0
    for rule in rules:
        patterns = attention(tokens, rule)
        before = [p.clone() for p in patterns]
        (head, draft), (again, second) = (shown(hand, patterns, tokens) for _ in range(2))
        found = idiom(head, draft)
        assert idiom(again, second) == found
        assert second.nodes == draft.nodes
        assert all(torch.equal(a, b) for a, b in zip(before, patterns, strict=True))
        graph = draft.whole(outputs=tuple(found) or ("tokens",))
        check(graph)
        assert all(graph[s].type.kind == "selector" for s in found)
        drafted += len(found)
    assert drafted


def test_queries_that_reach_no_answer_do_not_count(hand: Any) -> None:
    """Only the last query is live; it looks one back, the others at the start."""
    tokens = strings()
    patterns = attention(tokens, lambda string, q, k: k == (q - 1 if q == len(string) - 1 else 0))
    head, draft = shown(hand, patterns, tokens)
    assert first(head, draft)
    for live in head.live:
        live[:, :-1] = False
    assert not first(head, draft)
    assert [draft[s].attrs["by"] for s in back(head, draft)] == [1]
