"""Replaces attention heads by selectors and what they gather, one head at a time, each checked causally.

What: a head's attention becomes a symbolic selector, and its output the share of each category of a variable among the
positions looked at, times a table. Beside the selector that stands in for the head, simpler ones that are close to
its attention are offered
as *views*: variables that a later head or the readout may use, and that the end of the pipeline must justify.
Why valid: after each replacement the whole network, with the rest left as it is, still gives the network's answers.
Refuses when: no idiom keeps the answers; the head then stays as it is, opaque and priced, and only its views are
offered.
Guarantee: statistical (agreement on the bench).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from exegesis.ir import Axis, Graph, Json, Level, Site, Type
from exegesis.measure import Bench
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.head_view import SEQUENCE, HeadView
from exegesis.passes.raising.heads import Block, attention_blocks, splice_head, write_weight
from exegesis.passes.raising.looks import looks
from exegesis.passes.raising.selectors import PARTITIONS, SELECTORS

NAME = "raise_heads"
_NAMELESS = 0.5  # of two halves of a head's attention, a description has to hit the larger


@dataclass(frozen=True)
class RaiseHeads:
    """When a head counts as explained.

    Attributes:
        keep: share of answers that a replacement must leave as they are.
        close: a selector is offered as a view when its attention is within this total-variation distance of the head's,
        nearly: or when putting it in the head's place leaves this share of the answers as they are.
        telling: or when it makes up for this share of what looking everywhere loses;
        views: how many views a head may offer.
        trials: how many selectors, the closest in attention, are put in the head's place.
        readable: how many variables of earlier layers a head may read.
        hard: what is gathered counts as a copy when this share of live positions sees one category only.
    """

    keep: float = 0.997
    close: float = 0.4
    nearly: float = 0.9
    telling: float = 0.4
    views: int = 3
    trials: int = 5
    readable: int = 4
    hard: float = 0.98

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A token input and at least one attention block at component level."""
        if not any(n.op == "input.tokens" for n in graph.inputs):
            return "the network reads no tokens"
        return None if any(attention_blocks(graph)) else "no attention block was recognised"

    def ensures(self, graph: Graph) -> str | None:
        """Whatever is offered beside the network's output is a symbolic variable."""
        wrong = [o for o in graph.outputs[1:] if graph[o].level is not Level.SYMBOLIC]
        return f"{wrong[0]} is offered, but is not symbolic" if wrong else None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph with every head replaced for which an idiom keeps the answers. Its outputs are the network's,
        then every variable that is offered."""
        tokens = next(n.id for n in graph.inputs if n.op == "input.tokens")
        state = _State(replace(graph, axes={**graph.axes, "key": Axis("key")}), [tokens])
        for write, heads in [(b.write, b.heads) for b in attention_blocks(graph)]:
            state.categories = [*state.categories, *state.gathered][: 1 + self.readable]
            state.gathered = []
            passed = 0
            for number in range(heads):
                block = next(b for b in attention_blocks(state.graph) if b.write == write)
                if not _raise_one(state, block, passed, number, setting.fit, self):
                    passed += 1
        return Outcome(state.graph, tuple(state.attempts))


@dataclass
class _State:
    graph: Graph
    categories: list[str]  # what heads of this layer may read
    gathered: list[str] = field(default_factory=list)  # what heads of this layer gather: for later layers
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True)
class _Seen:
    """One head's values on the bench, per batch."""

    mixes: list[Tensor]
    values: list[Tensor]
    view: HeadView


@dataclass(frozen=True)
class _Tried:
    selector: str
    weights: list[Tensor]
    kept: float
    distance: float


def _raise_one(state: _State, block: Block, head: int, number: int, bench: Bench, settings: RaiseHeads) -> bool:
    """Tries to replace one head. Returns whether it is gone from its block."""
    label = f"{block.layer}H{number}"
    seen = _look(state, block, head, bench)
    value, table = _choose_value(state, block, head, bench, seen, settings)
    draft = Draft(state.graph, NAME)
    parts = [p for partition in PARTITIONS for p in partition(seen.view, draft)]
    candidates = list(dict.fromkeys(c for idiom in SELECTORS for c in idiom(seen.view, draft)))
    tried = _try(state, draft, block, head, bench, seen, settings, candidates, (value, table))
    figures = tuple(
        (f"{t.selector} {what}", value) for t in tried for what, value in (("keeps", t.kept), ("is off by", t.distance))
    )
    faithful = [t for t in tried if t.kept >= settings.keep]
    mean = torch.cat([m[:, head][live] for m, live in zip(seen.mixes, seen.view.live, strict=True)]).mean(0)
    idle = _agreement(state.graph, block, head, bench, seen, [mean.expand_as(m[:, head]) for m in seen.mixes])
    needed = idle < settings.keep
    blind = next((t.kept for t in tried if t.selector == candidates[0]), 0.0)
    close = [
        t
        for t in tried
        if t.distance <= settings.close
        or (needed and (t.kept >= settings.nearly or t.kept >= blind + settings.telling * (1 - blind)))
    ]
    close = sorted(close, key=lambda t: t.distance)[: settings.views]
    standin = next((t for t in faithful if t in close), None)
    _tell(state, draft, block, label, tried, standin)
    if standin is None and not needed and not close:
        _drop(state, block, head, mean)
        state.attempts.append(Attempt(label, f"not needed: its mean keeps {idle:.4f} of the answers", True, figures))
        return True
    _offer(state, draft, close, parts, value, seen, settings, _sites(state.graph, block, number), label)
    if standin is None:
        state.attempts.append(Attempt(label, f"stays as it is; {len(close)} views of it are offered", False, figures))
        return False
    _replace(state, block, head, standin.selector, value, table)
    state.attempts.append(
        Attempt(label, f"{standin.selector} over {value} keeps {standin.kept:.4f} of the answers", True, figures)
    )
    return True


def _tell(
    state: _State, draft: Draft, block: Block, label: str, tried: Sequence[_Tried], standin: _Tried | None
) -> None:
    """Notes in words where a head looks, how much of its attention that is, and whether it could be replaced.

    A head that stays as it is has it as a comment too: what is legible of a part that is not.
    """
    best = standin or min(tried, key=lambda t: t.distance)
    if best.distance > _NAMELESS:
        told: dict[str, Json] = {"looks at": None, "share": None, "replaced": False}
    else:
        share = round(1 - best.distance, 3)
        told = {"looks at": looks(draft, best.selector), "share": share, "replaced": standin is not None}
    heads = {**state.graph.meta.get("heads", {}), label: told}
    nodes = state.graph.nodes
    if standin is None and told["looks at"]:
        line = f"{label} looks mostly ({100 * (1 - best.distance):.0f} %) at {told['looks at']}."
        nodes = tuple(replace(n, doc="\n".join((*n.doc.splitlines(), line))) if n.id == block.mix else n for n in nodes)
    state.graph = replace(state.graph, nodes=nodes, meta={**state.graph.meta, "heads": heads})
    draft.graph = state.graph


def _try(
    state: _State,
    draft: Draft,
    block: Block,
    head: int,
    bench: Bench,
    seen: _Seen,
    settings: RaiseHeads,
    candidates: Sequence[str],
    gathers: tuple[str, Tensor],
) -> list[_Tried]:
    """How far each candidate is from the head's attention; and for the closest, and the simplest, what putting it
    there keeps."""
    weights: dict[str, list[Tensor]] = {c: [] for c in candidates}
    for _, got in bench.each(draft.whole(), candidates):
        for c in candidates:
            weights[c].append(_normal(got[c]))
    distance = {c: _distance(weights[c], seen.view) for c in candidates}
    closest = set(sorted(candidates, key=lambda c: distance[c])[: settings.trials]) | set(candidates[:1])
    value, table = gathers
    tried = []
    for selector in candidates:
        if selector in closest:
            pairs = zip(weights[selector], seen.view.variables[value], strict=True)
            gathered = [torch.bmm(w, table[c.long() + 1]) for w, c in pairs]
            kept = _agreement(state.graph, block, head, bench, seen, gathered)
            tried.append(_Tried(selector, weights[selector], kept, distance[selector]))
    return tried


def _look(state: _State, block: Block, head: int, bench: Bench) -> _Seen:
    """The head on the bench."""
    graph = state.graph
    last = not any(graph[n].op == "component.softmax" for n in graph.downstream([block.write]))
    mixes, values, patterns, live = [], [], [], []
    variables: dict[str, list[Tensor]] = {v: [] for v in state.categories}
    for batch, got in bench.each(graph, [block.mix, block.values, block.pattern, *state.categories]):
        mixes.append(got[block.mix])
        values.append(got[block.values][:, head])
        patterns.append(got[block.pattern][:, head])
        needed_later = batch.scored.flip(1).cumsum(1).flip(1) > 0
        live.append(batch.scored if last else needed_later if block.causal else torch.ones_like(batch.scored))
        for v in state.categories:
            variables[v].append(got[v])
    sizes = {v: _size(graph, v) for v in state.categories}
    return _Seen(mixes, values, HeadView(patterns, live, variables, sizes, state.categories[0], block.causal))


def _size(graph: Graph, variable: str) -> int:
    size = graph.axes[graph[variable].type.of or ""].size
    assert size is not None, f"{variable} has no known number of categories"
    return size


def _agreement(graph: Graph, block: Block, head: int, bench: Bench, seen: _Seen, instead: Sequence[Tensor]) -> float:
    """Share of answers kept when this head's output is replaced, everything upstream held fixed."""

    def given(k: int) -> dict[str, Tensor]:
        changed = seen.mixes[k].clone()
        changed[:, head] = instead[k]
        return {block.mix: changed}

    return bench.agreement_given(graph, given)


def _normal(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)


def _distance(weights: Sequence[Tensor], view: HeadView) -> float:
    """Mean total-variation distance to the head's attention over live queries that look at something.

    Where a selector looks at nothing it says nothing of the head. One that does so for most queries is no description.
    """
    total = looking = count = 0.0
    for w, pattern, live in zip(weights, view.patterns, view.live, strict=True):
        looks = live & (w.sum(-1) > 0)
        total += float(0.5 * (w - pattern).abs().sum(-1)[looks].sum())
        looking += float(looks.sum())
        count += float(live.sum())
    return total / looking if looking > 0.5 * count else 1.0


def _choose_value(
    state: _State, block: Block, head: int, bench: Bench, seen: _Seen, settings: RaiseHeads
) -> tuple[str, Tensor]:
    """The variable whose category decides what a key contributes: the first that keeps the answers, else the best."""
    found = []
    for name, categories in seen.view.variables.items():
        table = _mean_by_category(seen.values, categories, seen.view.sizes[name])
        gathered = [torch.bmm(p, table[c.long() + 1]) for p, c in zip(seen.view.patterns, categories, strict=True)]
        kept = _agreement(state.graph, block, head, bench, seen, gathered)
        found.append((kept, name, table))
        if kept >= settings.keep:
            break
    _, name, table = max(found, key=lambda f: f[0])
    return name, table


def _mean_by_category(values: Sequence[Tensor], categories: Sequence[Tensor], size: int) -> Tensor:
    """Mean of values [b, t, e] by category, [size + 1, e]; row 0 is for “none”."""
    width = values[0].shape[-1]
    total, seen = torch.zeros(size + 1, width), torch.zeros(size + 1)
    for v, c in zip(values, categories, strict=True):
        total.index_add_(0, c.long().flatten() + 1, v.reshape(-1, width))
        seen += torch.bincount(c.long().flatten() + 1, minlength=size + 1)
    return total / seen.clamp(min=1)[:, None]


def _sites(graph: Graph, block: Block, number: int) -> tuple[Site, ...]:
    label = f"{block.layer}H{number}"
    return tuple(
        replace(s, index=(*s.index, ("head", number)) if "head" in s.axes else s.index, label=label)
        for s in graph[block.mix].sites
    )


def _offer(
    state: _State,
    draft: Draft,
    views: Sequence[_Tried],
    parts: Sequence[str],
    value: str,
    seen: _Seen,
    settings: RaiseHeads,
    sites: tuple[Site, ...],
    label: str,
) -> None:
    """Drafts what each view gathers: counts for plain selectors, shares for weighted ones, a copy where one category
    is seen."""
    of = state.graph[value].type.of or ""
    offered = []
    for view in views:
        if _is_hard(view.weights, seen, value, settings):
            type = Type("category", SEQUENCE, of)
            offered.append(
                draft.add("symbolic.copy", [view.selector, value], type, hint=f"copied_{label}", sites=sites, doc=label)
            )
            continue
        op = "symbolic.share" if _is_weighted(draft, view.selector) else "symbolic.count"
        type = Type("real", (*SEQUENCE, of))
        offered.append(draft.add(op, [view.selector, value], type, hint=f"seen_{label}", sites=sites, doc=label))
    for part in parts:
        copies = draft[part].op == "symbolic.back"
        op, type = ("copy", Type("category", SEQUENCE, of)) if copies else ("count", Type("real", (*SEQUENCE, of)))
        offered.append(draft.add(f"symbolic.{op}", [part, value], type, hint=f"part_{label}", sites=sites, doc=label))
    graph = draft.whole()
    state.graph = replace(graph, outputs=tuple(dict.fromkeys((*graph.outputs, *offered))))
    for node in offered:
        if graph[node].type.kind == "category" and node not in (*state.categories, *state.gathered):
            state.gathered.append(node)


def _is_weighted(draft: Draft, selector: str) -> bool:
    node = draft[selector]
    if node.op in ("symbolic.weigh", "symbolic.weigh_pairs", "symbolic.attend", "symbolic.otherwise"):
        return True
    return any(draft[i].type.kind == "selector" and _is_weighted(draft, i) for i in node.inputs)


def _is_hard(weights: Sequence[Tensor], seen: _Seen, value: str, settings: RaiseHeads) -> bool:
    """Whether nearly every live query that looks at anything sees one category of the value only."""
    single = total = 0
    for w, live, c in zip(weights, seen.view.live, seen.view.variables[value], strict=True):
        share = torch.bmm(w, torch.nn.functional.one_hot(c.long() + 1, seen.view.sizes[value] + 1).to(w.dtype))
        looked = (w.sum(-1) > 0) & live
        single += int((share.max(-1).values[looked] > 0.99).sum())
        total += int(looked.sum())
    return total > 0 and single >= settings.hard * total


def _drop(state: _State, block: Block, head: int, mean: Tensor) -> None:
    draft = Draft(state.graph, NAME)
    write = state.graph[block.write]
    vector = mean.numpy() @ write_weight(state.graph, block, head)
    held = draft.add(
        "component.constant", [state.categories[0]], write.type, hint=f"{block.write}.held", tensors={"value": vector}
    )
    state.graph = splice_head(state.graph, draft, block, head, held, NAME)


def _replace(state: _State, block: Block, head: int, selector: str, value: str, table: Tensor) -> None:
    """Puts the share of each category, times what a category contributes, in the place of a head."""
    draft = Draft(state.graph, NAME)
    write = state.graph[block.write]
    type = Type("real", (*SEQUENCE, state.graph[value].type.of or ""))
    share = draft.add("symbolic.share", [selector, value], type, hint="share")
    weight = table[1:].numpy() @ write_weight(state.graph, block, head)
    written = draft.add(
        "component.linear", [share], write.type, hint=f"{block.write}.from_{share}", tensors={"weight": weight}
    )
    state.graph = splice_head(state.graph, draft, block, head, written, NAME)
