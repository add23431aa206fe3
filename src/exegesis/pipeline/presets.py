"""The ordered lists of passes. Reading one top to bottom is reading the decompiler."""

from __future__ import annotations

from exegesis.passes.grouping.group_functions import GroupFunctions
from exegesis.passes.manager import Pass
from exegesis.passes.naming.name_variables import NameVariables
from exegesis.passes.raising.raise_heads import RaiseHeads
from exegesis.passes.raising.raise_readout import RaiseReadout

STANDARD: tuple[Pass, ...] = (
    RaiseHeads(),  # attention becomes selectors and what they gather
    RaiseReadout(),  # MLPs and unembedding become a readout over what was gathered
    GroupFunctions(),  # what lives in one place of the network becomes a function
    NameVariables(),  # called after what it holds
)
