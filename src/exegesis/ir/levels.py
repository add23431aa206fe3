"""The ops of every level, gathered: the tables that `spec.check` runs."""

from __future__ import annotations

from collections.abc import Mapping

from exegesis.ir.component import COMPONENT_OPS
from exegesis.ir.recurrent import AUTOMATA, RECURRENT
from exegesis.ir.spec import OpSpec, anything, whole
from exegesis.ir.symbolic import SYMBOLIC_OPS

INPUT_OPS = (
    OpSpec("input.tokens", "Token ids of a sequence.", (), gives=("category",)),
    OpSpec("input.positions", "Position ids of a sequence, as the caller gives them.", (), gives=("category", "int")),
    OpSpec(
        "input.array", "A real-valued input such as an image or a row of a table.", (), gives=("real", "int", "bool")
    ),
)

SPECS: Mapping[str, OpSpec] = {s.op: s for s in (*INPUT_OPS, *COMPONENT_OPS, *RECURRENT, *SYMBOLIC_OPS, *AUTOMATA)}


def tensor_spec(op: str) -> OpSpec:
    """The specification of a tensor-level op: any core operator of torch, named `tensor.aten.<name>.<overload>`.

    Two more forms exist: `tensor.builtin.<name>` (arithmetic on sizes, getitem) and `tensor.constant` (one tensor).
    Arguments are kept in `args` and `kwargs` as JSON, with `{"node": k}` standing for the k-th input (see
    `arguments.py`).
    """
    if op == "tensor.constant":
        return OpSpec(op, "A parameter or buffer.", (), tensors={"value": None}, gives=("real", "int", "bool"))
    return OpSpec(
        op,
        "An operator of the exported graph.",
        ("operand*",),
        attrs={"args?": anything, "kwargs?": anything, "index?": whole},
        gives=("real", "int", "bool", "category", "tuple", "symint", "selector"),
        check=lambda node, graph: (
            None
            if op.startswith(("tensor.aten.", "tensor.builtin."))
            else "is a tensor-level op that is neither aten nor builtin"
        ),
    )
