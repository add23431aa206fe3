"""Shortcuts: what decides a network's answer and is none of its task. Each is proved by putting it in and taking it
out."""

from exegesis.explain.shortcuts.access import Samples
from exegesis.explain.shortcuts.hunt import Hunt, hunt_shortcuts
from exegesis.explain.shortcuts.shortcut import Shortcut
from exegesis.explain.shortcuts.strings import token_triggers
from exegesis.explain.shortcuts.triggers import Triggers, TriggerSearch, search_triggers

__all__ = [
    "Hunt",
    "Samples",
    "Shortcut",
    "TriggerSearch",
    "Triggers",
    "hunt_shortcuts",
    "search_triggers",
    "token_triggers",
]
