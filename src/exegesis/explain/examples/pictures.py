"""Pictures of explanations by example."""

from __future__ import annotations

from exegesis.explain.core import Explanation
from exegesis.explain.figure import Picture, sentence_picture


def influence_picture(found: Explanation) -> Picture:
    return sentence_picture(found.why)
