"""Explanations by example: of a unit, by neighbours, by influence, by prototypes."""

from exegesis.explain.examples.ek_fac import EkFac
from exegesis.explain.examples.influence import GradientProduct, Influence, Scorer, TracIn, influence_of
from exegesis.explain.examples.looks_like import PrototypeLayer, prototype_layer
from exegesis.explain.examples.neighbours import Neighbours, nearest
from exegesis.explain.examples.prototype_network import PrototypeNetwork, Training, prototype_network
from exegesis.explain.examples.prototypes import Prototypes, prototypes_of
from exegesis.explain.examples.selection import UnitExamples, unit_examples
from exegesis.explain.examples.strings import StringExamples, string_examples

__all__ = [
    "EkFac",
    "GradientProduct",
    "Influence",
    "Neighbours",
    "PrototypeLayer",
    "PrototypeNetwork",
    "Prototypes",
    "Scorer",
    "StringExamples",
    "TracIn",
    "Training",
    "UnitExamples",
    "influence_of",
    "nearest",
    "prototype_layer",
    "prototype_network",
    "prototypes_of",
    "string_examples",
    "unit_examples",
]
