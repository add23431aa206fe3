"""The words that emitted programs are written in: numpy, one input at a time.

A *variable* holds one value per position of a sequence: which category (an integer, -1 for none), a bool, or a number;
with a second axis, one number per class. A *selector* `[query, key]` says which keys every position looks at, and may
carry weights; a position is looked at where the weight is positive. Sequences have no batch axis here.
"""

from exegesis.primitives.answers import allow, allow_by, choose, positive
from exegesis.primitives.components import (
    activation,
    conv2d,
    embed,
    heads,
    linear,
    mask,
    mix,
    norm,
    pool2d,
    scores,
    softmax,
    write,
)
from exegesis.primitives.selectors import at, attend, back, both, everywhere, match, nearest, weigh, where
from exegesis.primitives.tensors import Tensors, load_tensors
from exegesis.primitives.variables import (
    always,
    classify,
    copy,
    count,
    is_in,
    largest,
    lookup,
    mod,
    relabel,
    share,
    shift,
    worth,
)

__all__ = [
    "Tensors",
    "activation",
    "allow",
    "allow_by",
    "always",
    "at",
    "attend",
    "back",
    "both",
    "choose",
    "classify",
    "conv2d",
    "copy",
    "count",
    "embed",
    "everywhere",
    "heads",
    "is_in",
    "largest",
    "linear",
    "load_tensors",
    "lookup",
    "mask",
    "match",
    "mix",
    "mod",
    "nearest",
    "norm",
    "pool2d",
    "positive",
    "relabel",
    "scores",
    "share",
    "shift",
    "softmax",
    "weigh",
    "where",
    "worth",
    "write",
]
