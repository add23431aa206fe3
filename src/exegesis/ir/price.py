"""The description length of a program in bits: what its opaque parts cost, and what a reader reads.

**Structure** of one node, in a fixed order:

- its op: log2 of how many levels there are, and log2 of how many ops its level has (`ATEN_OPERATORS` at tensor level);
- its inputs: log2 of how many nodes come before it, for each; and their number as an integer, where the op takes
  different numbers of them;
- its attributes: one bit for each that the op lets a node leave out, then the values by kind:

  ==========  =====================================================================================
  integer n   2·log2(abs(n) + 1) + 1: a universal code with a sign
  float       1 for the sign, log2(10) per significant decimal digit that it takes to print it, and
              its decimal exponent as an integer
  word        log2 of how many words the op allows there; other strings: their length in bytes as an
              integer, and 8 per byte
  boolean     1, and as much for None
  list        the number of its entries as an integer, and the entries; a mapping likewise, keys too
  ==========  =====================================================================================

**Tensors**: the shortest of three codes (the second pays a bit for being the one, the third two). A tensor that several
nodes read is paid once, by the first.

- entry by entry: 32 bits per float (fewer where the dtype has fewer), the bits of the dtype per integer, 1 per boolean;
- by values: how many different values there are, as an integer; each of them (a float as above, an integer by its
  universal code); how often each occurs, log2 C(n + d - 1, d - 1) for d values in n entries; and which entry has which,
  log2 of n! over the product of the factorials of these numbers. Zeros are such a value: a sparse tensor pays for its
  other numbers and for where they are. It is the enumerative code (Cover 1973, "Enumerative source encoding"), which an
  arithmetic coder reaches to within a few bits. Not tried for floats whose first 256 entries all differ;
- integers by size: with 0, 1, -1, 2, -2 … numbered from 0, the last k bits of each number as they are, the rest in
  unary, and k as an integer (Rice and Plaunt 1971, "Adaptive variable-length coding"). It is the shorter one where
  nearly every value is another.

Tensors are opaque at every level, and so is the structure of nodes below the symbolic level: nobody explained them.
A weight that counts steps (`attrs["step"]`; `attrs["steps"]` of a recurrent layer) is shorter than the reals it came
from and no clearer: what is *unread* of it is each number that is not zero, at the 32 bits that it had. The legible
share counts what is unread: rounding saves bits and explains nothing, numbers that became zero are gone.
Names, documentation, provenance and alignments are free, since a program computes the same without them. This is the
model part of a two-part code (minimum description length; Rissanen 1978, "Modeling by shortest data description").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from exegesis.ir.errors import GraphError
from exegesis.ir.graph import Array, Graph, Json, Level, Node
from exegesis.ir.levels import SPECS, tensor_spec
from exegesis.ir.spec import OneOf, OpSpec

ATEN_OPERATORS = 2048  # how many overloads torch has, to a power of two
FLOAT_BITS = 32
_MANY = 256


@dataclass(frozen=True)
class Bits:
    """The bits of one node: what nobody could explain, what that would cost unrounded, and what can be read."""

    opaque: float = 0.0
    unread: float = 0.0
    symbolic: float = 0.0

    @property
    def total(self) -> float:
        """What is opaque and what can be read."""
        return self.opaque + self.symbolic


@dataclass(frozen=True)
class Price:
    """The bits of a program, and of each of its nodes by id."""

    opaque_bits: float
    unread_bits: float
    symbolic_bits: float
    by_node: Mapping[str, Bits]

    @property
    def total_bits(self) -> float:
        """What is opaque and what can be read."""
        return self.opaque_bits + self.symbolic_bits


def price(graph: Graph) -> Price:
    """What a program costs, in bits. See the head of this module for the code.

    Raises:
        GraphError: a node whose op or tensors do not exist.
    """
    paid: set[str] = set()
    by_node: dict[str, Bits] = {}
    for before, node in enumerate(graph.nodes):
        opaque = unread = 0.0
        counted = {
            node.tensors[role] for role in (("weight",) if "step" in node.attrs else node.attrs.get("steps", ()))
        }
        for name in sorted(set(node.tensors.values()) - paid):
            if name not in graph.tensors:
                raise GraphError(f"Node {node.id!r} names tensor {name!r}, which the graph does not hold.")
            bits = tensor_bits(graph.tensors[name])
            opaque += bits
            rounded = name in counted
            unread += FLOAT_BITS * np.count_nonzero(graph.tensors[name]) if rounded else bits
            paid.add(name)
        structure = structure_bits(node, before)
        if node.level in (Level.SYMBOLIC, Level.INPUT):
            by_node[node.id] = Bits(opaque, unread, structure)
        else:
            by_node[node.id] = Bits(opaque + structure, unread + structure, 0.0)
    return Price(
        opaque_bits=math.fsum(b.opaque for b in by_node.values()),
        unread_bits=math.fsum(b.unread for b in by_node.values()),
        symbolic_bits=math.fsum(b.symbolic for b in by_node.values()),
        by_node=by_node,
    )


def legible_share(graph: Graph) -> float:
    """1 − unread bits / bits of the lifted program, which the lift leaves in `meta["lifted_bits"]`.

    1 means that nothing opaque is left. It is negative where a program has more unread bits than what it came from.

    Raises:
        GraphError: the graph does not say how long the lifted program was.
    """
    lifted = graph.meta.get("lifted_bits")
    if isinstance(lifted, bool) or not isinstance(lifted, int | float) or not math.isfinite(lifted) or lifted <= 0:
        raise GraphError(f"The legible share needs the bits of the lifted program; meta['lifted_bits'] is {lifted!r}.")
    return 1.0 - price(graph).unread_bits / lifted


def tensor_bits(tensor: Array) -> float:
    """The bits of an array's entries, by the shortest of the three codes at the head of this module."""
    plain, coded = tensor.size * _entry_bits(tensor), 1.0 + coded_bits(tensor)
    return min(plain, coded, 2.0 + sized_bits(tensor)) if tensor.dtype.kind in "iu" else min(plain, coded)


def _entry_bits(tensor: Array) -> float:
    """The bits of one entry as it is."""
    if tensor.dtype.kind == "b":
        return 1.0
    bits = 8 * tensor.dtype.itemsize
    return float(min(bits, FLOAT_BITS) if tensor.dtype.kind == "f" else bits)


def coded_bits(tensor: Array) -> float:
    """The bits of an array by its values: which there are, how often, and where."""
    n = tensor.size
    if tensor.dtype.kind == "f" and n >= _MANY and len(np.unique(tensor.reshape(-1)[:_MANY])) == _MANY:
        return math.inf  # trained numbers: no two of the first are equal, and no sorting is needed to see it
    values, counts = np.unique(tensor, return_counts=True)
    d = len(values)
    if tensor.dtype.kind in "iu":
        alphabet = math.fsum(integer_bits(int(v)) for v in values) if d < 2 * n / 3 else math.inf
    else:
        alphabet = d * _entry_bits(tensor)
    often = log2_factorial(n + d - 1) - log2_factorial(n) - log2_factorial(d - 1) if n else 0.0
    where = log2_factorial(n) - math.fsum(log2_factorial(int(c)) for c in counts)
    return integer_bits(d) + alphabet + often + where


def sized_bits(tensor: Array) -> float:
    """The bits of an array of integers by their sizes."""
    values = tensor.astype(np.float64)
    number = 2 * np.abs(values) - (values > 0)
    widest = int(math.log2(max(float(number.max(initial=0)), 1.0))) + 1
    return min(tensor.size * (k + 1) + float((number // 2**k).sum()) + integer_bits(k) for k in range(widest + 1))


def log2_factorial(n: int) -> float:
    """log2(n!)."""
    return math.lgamma(n + 1) / math.log(2)


def structure_bits(node: Node, before: int) -> float:
    """The bits of a node without its tensors, `before` being how many nodes come before it.

    Raises:
        GraphError: the language has no such op.
    """
    if node.level is Level.TENSOR:
        spec = tensor_spec(node.op)
    elif node.op in SPECS:
        spec = SPECS[node.op]
    else:
        raise GraphError(f"Node {node.id!r} has op {node.op!r}, which the language does not have.")
    bits = math.log2(len(Level)) + math.log2(_ops_at(node.level)) + len(node.inputs) * math.log2(max(before, 1))
    if any(role[-1] in "?*" for role in spec.inputs):
        bits += integer_bits(len(node.inputs))
    return bits + _attribute_bits(node, spec)


def _ops_at(level: Level) -> int:
    return ATEN_OPERATORS if level is Level.TENSOR else sum(op.startswith(f"{level.value}.") for op in SPECS)


def _attribute_bits(node: Node, spec: OpSpec) -> float:
    bits = float(sum(name.endswith("?") for name in spec.attrs))
    allowed = {name.removesuffix("?"): test for name, test in spec.attrs.items()}
    for name, value in node.attrs.items():
        test = allowed.get(name)
        bits += math.log2(len(test.choices)) if isinstance(test, OneOf) else value_bits(value)
    return bits


def value_bits(value: Json) -> float:
    """The bits of an attribute that is no word out of a list.

    Raises:
        GraphError: a value that JSON does not have.
    """
    match value:
        case None | bool():
            return 1.0
        case int():
            return integer_bits(value)
        case float() if math.isfinite(value):
            return float_bits(value)
        case str():
            return integer_bits(len(value.encode())) + 8.0 * len(value.encode())
        case list() | tuple():
            return integer_bits(len(value)) + math.fsum(value_bits(v) for v in value)
        case dict():
            return integer_bits(len(value)) + math.fsum(value_bits(k) + value_bits(v) for k, v in value.items())
    raise GraphError(f"{value!r} has no price: it is no JSON value.")


def integer_bits(n: int) -> float:
    """2·log2(|n| + 1) + 1."""
    return 2 * math.log2(abs(n) + 1) + 1


def float_bits(x: float) -> float:
    """Sign, significant decimal digits and decimal exponent of the shortest text that reads back as `x`."""
    _, digits, exponent = Decimal(repr(x)).normalize().as_tuple()
    if not isinstance(exponent, int):
        raise GraphError(f"{x!r} has no price: it is not finite.")
    return 1 + len(digits) * math.log2(10) + integer_bits(exponent)
