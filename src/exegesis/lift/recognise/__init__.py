"""What networks are made of, found in the exported graph: an ordered list of recognisers, each in a file of its own.

Each replaces what it knows and leaves the rest; later ones read what earlier ones made.
"""

from __future__ import annotations

from collections.abc import Callable

from exegesis.lift.bench import Bench
from exegesis.lift.recognise import (
    activations,
    attention,
    elementwise,
    embeddings,
    images,
    norms,
    projections,
    recurrent,
    residuals,
    signals,
    whole_layers,
)

RECOGNISERS: tuple[Callable[[Bench], int], ...] = (
    whole_layers.recognise,  # recurrent layers over tokens
    recurrent.recognise,  # layers of many steps, before their gates are taken for anything else
    norms.recognise,  # first: their squares and roots look like activations, their affine parts like projections
    activations.recognise,  # formulas of many elementwise ops, before any of these is taken for a scaling
    attention.recognise,  # products of two values; says where queries, keys and values are read
    embeddings.recognise,
    signals.recognise,  # as pictures one row high
    images.recognise,
    projections.recognise,  # affine maps between what the recognisers above have found
    residuals.recognise,  # sums of what these write
    elementwise.recognise,  # scalings, gates and picks that no map above has swallowed
)
