"""The ordered lists of passes. Reading one top to bottom is reading the decompiler."""

from __future__ import annotations

from exegesis.behavior import Behavior
from exegesis.passes.canonicalise.fold_norms import FoldNorms
from exegesis.passes.canonicalise.merge_constants import MergeConstants
from exegesis.passes.compressing.drop_units import DropUnits
from exegesis.passes.compressing.quantise_weights import QuantiseWeights
from exegesis.passes.grouping.fold_steps import FoldSteps
from exegesis.passes.grouping.group_functions import GroupFunctions
from exegesis.passes.grouping.group_modules import GroupModules
from exegesis.passes.grouping.locate_units import LocateUnits
from exegesis.passes.manager import Pass
from exegesis.passes.naming.name_variables import NameVariables
from exegesis.passes.pruning.drop_edges import DropEdges
from exegesis.passes.raising.align_variables import AlignVariables
from exegesis.passes.raising.composed.round_rest import RoundRest
from exegesis.passes.raising.locate_conditions import LocateConditions
from exegesis.passes.raising.raise_arithmetic import RaiseArithmetic
from exegesis.passes.raising.raise_automata import RaiseAutomata
from exegesis.passes.raising.raise_heads import RaiseHeads
from exegesis.passes.raising.raise_layers import RaiseLayers
from exegesis.passes.raising.raise_properties import RaiseProperties
from exegesis.passes.raising.raise_readout import RaiseReadout

STANDARD: tuple[Pass, ...] = (
    RaiseAutomata(),  # recurrent layers whose states are few become an automaton
    RaiseArithmetic(),  # a network that computes in a group becomes waves or motions, as a whole
    RaiseProperties(),  # one that answers a known question becomes a program whose variables were found inside
    FoldNorms(),  # affine parts of norms go into the maps that read them
    MergeConstants(),  # one bias per sum
    RaiseLayers(),  # what can be read exactly: hard heads, MLPs over finite variables, answers made of them
    DropEdges(),  # readers no longer see writers that the behaviour does not need
    RaiseHeads(),  # attention becomes selectors and what they gather
    RaiseReadout(),  # MLPs and unembedding become a readout over what was gathered
    AlignVariables(),  # a variable may live in further heads, which do the same once more
    LocateConditions(),  # or what is made of it lives behind the heads
    RoundRest(),  # what stays opaque, in as few whole numbers as keep the answers
    GroupFunctions(),  # what lives in one place of the network becomes a function
    NameVariables(),  # called after what it holds
)

ARRAYS: tuple[Pass, ...] = (
    DropUnits(),  # pixels, neurons and channels that the others can stand in for
    QuantiseWeights(),  # weights as whole numbers of steps, most of them zero
    LocateUnits(),  # what is kept of a layer is in its units and in those that repeat them
    FoldSteps(),  # the steps of a recurrent layer become one that is taken again and again
    GroupModules(),  # modules become functions, layers where there are none
)


def preset(behavior: Behavior) -> tuple[Pass, ...]:
    """The passes for a behaviour over sequences or over arrays."""
    return STANDARD if behavior.is_sequence else ARRAYS
