"""Small networks trained by our own scripts, to try things on: `zoo:majority`, `zoo:copy`, `zoo:digits`."""

from exegesis.zoo.cards import Card
from exegesis.zoo.shelf import behavior, behavior_path, build, card, cards, names

__all__ = ["Card", "behavior", "behavior_path", "build", "card", "cards", "names"]
