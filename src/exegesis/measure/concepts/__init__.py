"""Concepts people have names for, and how well units, directions and layers match them."""

from exegesis.measure.concepts.carriers import Carriers, carriers
from exegesis.measure.concepts.causal import LayerState, Suppression, Swap, discriminant, suppress, swap
from exegesis.measure.concepts.generators import drawn_images, patched, recoloured
from exegesis.measure.concepts.labelled import Attribute, ConceptError, Labelled, of_classes, read_concepts
from exegesis.measure.concepts.scores import (
    Probe,
    Rotation,
    UnitMatch,
    directions,
    dissect,
    kinds_of,
    probe,
    rotate,
)
from exegesis.measure.concepts.vectors import Sensitivity, sensitivities

__all__ = [
    "Attribute",
    "Carriers",
    "ConceptError",
    "Labelled",
    "LayerState",
    "Probe",
    "Rotation",
    "Sensitivity",
    "Suppression",
    "Swap",
    "UnitMatch",
    "carriers",
    "directions",
    "discriminant",
    "dissect",
    "drawn_images",
    "kinds_of",
    "of_classes",
    "patched",
    "probe",
    "read_concepts",
    "recoloured",
    "rotate",
    "sensitivities",
    "suppress",
    "swap",
]
