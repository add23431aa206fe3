"""Pictures of what-if explanations."""

from __future__ import annotations

from exegesis.explain.core import Explanation
from exegesis.explain.figure import Picture, sentence_picture


def anchor_picture(found: Explanation) -> Picture:
    return sentence_picture(found.why)
