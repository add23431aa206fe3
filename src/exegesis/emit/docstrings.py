"""Documentation in a program: what a part computes, where in the network it lives, how well it was checked."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from exegesis.behavior import Argmax, Readout, Sign
from exegesis.emit.code import WIDTH
from exegesis.ir import Graph, Node, Site


def docstring(paragraphs: Sequence[str], indent: int) -> list[str]:
    """The lines of a docstring: one line if all fits there, else its first sentence, a blank line and the rest."""
    pad = " " * indent
    first, *others = [_safe(p) for p in paragraphs]
    if not others and len(first) + indent + 6 <= WIDTH:
        return [f'{pad}"""{first}"""']
    wrapped = [textwrap.wrap(p, WIDTH - indent, break_on_hyphens=False, break_long_words=False) for p in others]
    head = textwrap.wrap(first, WIDTH - indent - 3, break_on_hyphens=False, break_long_words=False)
    lines = [f'"""{head[0]}', *head[1:]]
    for paragraph in wrapped:
        lines += ["", *paragraph]
    return [f"{pad}{line}" if line else "" for line in [*lines, '"""']]


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    text = " ".join(text.split())
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?:" else ".")


def answer_doc(graph: Graph, readout: Readout) -> str:
    """What `run` returns."""
    where = "" if any(n.op == "input.array" for n in graph.inputs) else " at every position"
    if isinstance(readout, Argmax):
        return f"The output that the network ranks highest{where}."
    if isinstance(readout, Sign):
        return f"The sorted outputs with a positive logit{where}."
    return f"The value that the network gives{where}."


def places(nodes: Iterable[Node]) -> str:
    """Where values live in the network, each place once: `transformer.h.0.attn (heads 0, 3); transformer.h.0.mlp`."""
    found: dict[str, dict[str, list[int]]] = {}
    for node in nodes:
        for site in node.sites:
            axes = found.setdefault(_module(site), {})
            for axis, k in site.index:
                if k not in axes.setdefault(axis, []):
                    axes[axis].append(k)
    return "; ".join(_place(module, axes) for module, axes in found.items())


def _module(site: Site) -> str:
    return site.module if site.module else f"value {site.value}"


def _place(module: str, axes: dict[str, list[int]]) -> str:
    parts = [f"{axis}{'s' if len(ks) > 1 else ''} {', '.join(map(str, ks))}" for axis, ks in axes.items()]
    return f"{module} ({', '.join(parts)})" if parts else module


def _safe(text: str) -> str:
    """Text that cannot end a docstring early."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace('"""', "'''")
    return f"{text} " if text.endswith('"') else text
