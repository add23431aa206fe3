"""Feature visualisation: inputs that excite a unit, a direction, a module or a class, and whether they say anything
true of it."""

from exegesis.explain.features.canvas import Canvas
from exegesis.explain.features.feature import Feature, gallery, visualise
from exegesis.explain.features.jitter import Jitter
from exegesis.explain.features.layer import Layer, Wanted
from exegesis.explain.features.optimise import Climb, maximise
from exegesis.explain.features.tokens import Settle, strongest_strings, strongest_tokens

__all__ = [
    "Canvas",
    "Climb",
    "Feature",
    "Jitter",
    "Layer",
    "Settle",
    "Wanted",
    "gallery",
    "maximise",
    "strongest_strings",
    "strongest_tokens",
    "visualise",
]
