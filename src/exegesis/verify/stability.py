"""Claim 6: a second decompilation, from other samples of the data, uses the same parts and chooses the same idioms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeAlias

from pydantic import JsonValue

from exegesis.evidence import Claim, Measurement, Status
from exegesis.ir import Graph, Level, Site
from exegesis.verify.alignment import used

Decompile = Callable[[int], Graph]
"""Decompiles the same network again, with another seed for whatever is sampled."""

Part: TypeAlias = tuple[str, tuple[tuple[str, int], ...]]
"""A value of the network, with the index of a head."""

SAME_PARTS = 0.9
"""The overlap from which on two programs use the same parts."""


def parts_of(graph: Graph) -> frozenset[Part]:
    """Where a program's variables live: values of the network with the index of a head, inputs left out."""
    return frozenset(_key(site) for n in used(graph) if n.level is not Level.INPUT for site in n.sites)


def _key(site: Site) -> Part:
    return site.value, site.index


def idioms_of(graph: Graph) -> Counter[str]:
    """How often the answer's program uses each operation of the symbolic level."""
    needed = graph.upstream(graph.outputs[:1])
    return Counter(n.op for n in graph.nodes if n.id in needed and n.level is Level.SYMBOLIC)


def jaccard(a: frozenset[Part], b: frozenset[Part]) -> float:
    """|a ∩ b| / |a ∪ b|; 1 where both are empty."""
    return len(a & b) / len(a | b) if a | b else 1.0


def _not_shared(parts: Sequence[frozenset[Part]]) -> frozenset[Part]:
    """Parts that some of the programs use and others do not."""
    return frozenset().union(*parts) - frozenset.intersection(*parts)


def measure_stability(
    program: Graph, decompile: Decompile, seeds: Sequence[int]
) -> tuple[dict[str, Measurement], Claim]:
    """Decompiles again with each seed and compares all programs with each other.

    Args:
        program: what is judged.
        decompile: makes another program of the same network.
        seeds: for each of the others.

    Returns:
        By name the overlap of the parts used, and how often each idiom was chosen (the share of programs that have it);
        and the claim that the parts are the same.
    """
    programs = [program, *(decompile(seed) for seed in seeds)]
    parts = [parts_of(p) for p in programs]
    pairs = [jaccard(a, b) for a, b in combinations(parts, 2)]
    overlap = Measurement(
        metric="Jaccard overlap of the parts used, mean over pairs of decompilations",
        value=sum(pairs) / len(pairs),
        n=len(pairs),
        note=f"least {min(pairs):.3f}; seeds {', '.join(map(str, seeds))}",
    )
    idioms = [idioms_of(p) for p in programs]
    chosen = {
        f"idiom {op.removeprefix('symbolic.')}": Measurement(
            metric="share of the decompilations that use it",
            value=sum(op in i for i in idioms) / len(idioms),
            n=len(idioms),
            note=f"used {min(i[op] for i in idioms)} to {max(i[op] for i in idioms)} times",
        )
        for op in sorted(set().union(*idioms))
    }
    stable = min(pairs) >= SAME_PARTS
    differing: list[JsonValue] = [f"{value} {dict(index)}" for value, index in sorted(_not_shared(parts))]
    claim = Claim(
        statement=f"Decompiled again from other samples, it uses the same parts (overlap at least {SAME_PARTS}).",
        domain=f"{len(programs)} decompilations",
        status=Status.TESTED if stable else Status.REFUTED,
        evidence=(overlap,),
        witness=None if stable else {"not in every program": differing},
    )
    return {"parts": overlap, **chosen}, claim
