"""Documentation in a program: what a part computes, where in the network it lives, how well it was checked."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from exegesis.behavior import Argmax, Readout, Sign
from exegesis.emit.code import INDENT, WIDTH
from exegesis.ir import Graph, Node

_FORMULA = re.compile(r"\w\b\s*[^\w\s]")
_PLAIN = frozenset({"symbolic.width"})  # what is counted says as much as one sentence
_UNITS = {"hidden": "unit", "feature": "entry"}  # what one entry of an axis is called
MANY = 12  # entries of an axis that are listed one by one


def docstring(paragraphs: Sequence[str], indent: int) -> list[str]:
    """The lines of a docstring: one if all fits there, else paragraphs. A paragraph with line breaks keeps them."""
    pad = " " * indent
    first, *others = [_safe(p) for p in paragraphs]
    if not others and len(first) + indent + 6 <= WIDTH:
        return [f'{pad}"""{first}"""']
    head = _wrapped(first, WIDTH - indent - 3)
    lines = [f'"""{head[0]}', *head[1:]]
    for paragraph in others:
        lines += ["", *_wrapped(paragraph, WIDTH - indent)]
    return [f"{pad}{line}" if line else "" for line in [*lines, '"""']]


def _wrapped(paragraph: str, width: int) -> list[str]:
    if "\n" in paragraph:
        return [line.rstrip() for line in paragraph.splitlines()]
    return textwrap.wrap(paragraph, width, break_on_hyphens=False, break_long_words=False)


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop. A letter that is a formula's stays as it is: `a + b`."""
    text = " ".join(text.split())
    begins = text[:1] if _FORMULA.match(text) else text[:1].upper()
    return text and begins + text[1:] + ("" if text[-1] in ".!?:" else ".")


def percent(share: float) -> str:
    """A share in per cent, never rounded up to a hundred."""
    tenths = int(share * 1000 + 1e-9) if share > 0.9985 else round(share * 1000)
    return f"{tenths / 10:g} %"


def answer_doc(graph: Graph, readout: Readout) -> str:
    """What `run` returns."""
    where = "" if any(n.op == "input.array" for n in graph.inputs) else " at every position"
    if isinstance(readout, Argmax):
        return f"The output that the network ranks highest{where}."
    if isinstance(readout, Sign):
        return f"The sorted outputs with a positive logit{where}."
    return f"The value that the network gives{where}."


def places(nodes: Iterable[Node]) -> str:
    """Where values live in the network, each place once: `L0H0, L0H3; heads 0, 3 of transformer.h.0.attn`."""
    found: dict[str, dict[str, list[int]]] = {}
    labels: dict[str, None] = {}
    for node in nodes:
        for site in node.sites:
            if site.label:
                labels[site.label] = None
                continue
            follows = ", with what repeats them" if site.echo else ""
            axes = found.setdefault(f"{site.module or site.value}{follows}", {})
            for axis, k in site.index:
                if k not in axes.setdefault(axis, []):
                    axes[axis].append(k)
    named = [", ".join(labels)] if labels else []
    return "; ".join([*named, *(_place(module, axes) for module, axes in found.items())])


def comment(node: Node) -> list[str]:
    """Comment lines above the statement of a variable: what it holds, and where it lives in the network."""
    where = places([node])
    is_plain = node.op in _PLAIN and not where and ". " not in node.doc
    said = [] if is_plain else node.doc.splitlines()
    paragraphs = [*said, *([f"In the network: {where}."] if where else [])]
    pad = " " * INDENT
    if len(paragraphs) == 2 and len(f"{pad}# {' '.join(paragraphs)}") <= WIDTH:
        paragraphs = [" ".join(paragraphs)]
    return [f"{pad}# {line}" for p in paragraphs for line in _wrapped(p, WIDTH - INDENT - 2)]


def _place(module: str, axes: dict[str, list[int]]) -> str:
    return f"{''.join(f'{_entries(axis, ks)} of ' for axis, ks in axes.items())}{module}"


def _entries(axis: str, ks: list[int]) -> str:
    """`heads 0, 3`, or `141 units (2, 3, 5, …)` where there are many."""
    plain = axis.rstrip("0123456789").rstrip("_")
    word = _UNITS.get(plain, plain)
    words = word if len(ks) == 1 else f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    if len(ks) > MANY:
        return f"{len(ks)} {words} ({', '.join(map(str, ks[:3]))}, …)"
    return f"{words} {', '.join(map(str, ks))}"


def _safe(text: str) -> str:
    """Text that cannot end a docstring early."""
    text = text.strip("\n").replace("\\", "\\\\").replace('"""', "'''")
    return f"{text} " if text.endswith('"') else text
