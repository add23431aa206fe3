"""Explanations as evidence on the page of a run: each a panel with its picture and its checks, before the foot."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import dataclass

from exegesis.ir import InputError

FOOT = "<footer>"
HEAD = '<h2 id="explanations">Explanations</h2>'


@dataclass(frozen=True)
class Evidence:
    """An explanation as the page shows it.

    Args:
        title: of what kind, by which method, of which network.
        status: `shown`, `marked` or `withheld`.
        sentences: the status in words, then every check.
        svg: the picture.
        alt: what is to be seen, for those who cannot see it.
    """

    title: str
    status: str
    sentences: tuple[str, ...]
    svg: str
    alt: str

    @property
    def key(self) -> str:
        """The same for the same question: its answer replaces an older one."""
        return hashlib.sha256(self.title.encode()).hexdigest()[:12]


def with_evidence(page: str, evidence: Evidence) -> str:
    """The page of a run with an explanation more; one of the same title is replaced.

    Raises:
        InputError: this is no page of a run.
    """
    if page.count(FOOT) != 1:
        raise InputError("The page of that run is none that exegesis wrote, so nothing can be added to it.")
    start, end = f"<!-- evidence {evidence.key} -->", f"<!-- end of evidence {evidence.key} -->"
    panel = f"{start}\n{_panel(evidence)}\n{end}\n"
    if start in page:
        return re.sub(f"{start}.*?{end}\n", lambda _: panel, page, flags=re.DOTALL)
    head = "" if HEAD in page else f"{HEAD}\n"
    return page.replace(FOOT, f"{head}{panel}{FOOT}")


def _panel(evidence: Evidence) -> str:
    picture = base64.b64encode(evidence.svg.encode()).decode()
    state = {"shown": "good", "marked": "open", "withheld": "bad"}[evidence.status]
    lines = "\n".join(f'<p class="soft small">{html.escape(sentence)}</p>' for sentence in evidence.sentences[1:])
    badge = f'<span class="badge {state}">{evidence.status}</span>'
    image = f"data:image/svg+xml;base64,{picture}"
    summary = (
        f'<summary class="small" style="display:list-item;padding:0">{html.escape(evidence.sentences[0])}</summary>'
    )
    return (
        '<div class="panel" style="padding:1rem 1.2rem;margin-bottom:1rem">\n'
        f"<h3>{html.escape(evidence.title)} {badge}</h3>\n"
        f'<img style="max-width:100%;background:white" src="{image}" alt="{html.escape(evidence.alt)}">\n'
        f"<details>{summary}\n{lines}\n</details>\n</div>"
    )
