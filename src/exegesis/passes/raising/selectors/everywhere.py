"""Looks at everything (so far): the head averages."""

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView


def everywhere(head: HeadView, draft: Draft) -> list[str]:
    """What: uniform attention. Why valid: scores do not depend on the key. Refuses when: never; the causal test
    decides."""
    return [draft.add("symbolic.everywhere", [head.tokens], SELECTOR, {"causal": head.causal}, hint="everywhere")]
