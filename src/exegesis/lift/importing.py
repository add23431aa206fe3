"""Puts an export on the workbench, without what says nothing about the computation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from exegesis.lift.bench import Bench, Cell, Ref, Reference, Shape, Size, substituted
from exegesis.lift.errors import LiftError
from exegesis.lift.evaluate import compute
from exegesis.lift.export import Exported, as_size

_COPIES = ("alias", "clone", "contiguous", "detach", "detach_", "lift_fresh_copy", "lift_fresh")
_CASTS = ("to", "_to_copy", "type_as")
_SHAPES = ("view", "reshape", "_unsafe_view", "expand", "expand_as", "view_as", "flatten")
_DRAWS = ("rand", "normal", "bernoulli", "multinomial", "poisson", "exponential", "native_dropout")
_CHECKS = (
    "_assert_tensor_metadata",
    "_assert_scalar",
    "_assert_async",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
)


def put_on_bench(exported: Exported) -> Bench:
    """The bench of an export.

    Raises:
        LiftError: an op that no program can hold, or outputs that are not one tensor.
    """
    program = exported.program
    tensors = tensors_of(exported)
    ids = dict(zip(program.graph_signature.user_inputs, (a.id for a in exported.arguments), strict=True))
    bench = Bench()
    same: dict[str, Any] = {}  # export value → Ref of the cell that carries it, or the number it is
    for node in program.graph.nodes:
        if node.op == "placeholder":
            same[node.name] = Ref(bench.add(_placeholder(node, ids, tensors)))
        elif node.op == "output":
            (result,) = node.args[0]
            bench.output = same[result.name].id
        elif node.op == "call_function" and _name(node.target) not in _CHECKS:
            same[node.name] = _put(bench, node, same)
        elif node.op != "call_function":
            raise LiftError(
                f"The export holds another graph ({node.name}): control flow that depends on data cannot be lifted."
            )
    bench.prune()
    for cell in bench.cells():
        if cell.name.startswith(_DRAWS):
            raise LiftError(f"The network draws random numbers ({cell.op} at {cell.id}): no program can say the same.")
    return bench


def tensors_of(exported: Exported) -> Mapping[str, Tensor]:
    """Parameters, buffers and constants of an export by the name of their placeholder."""
    program = exported.program
    signature = program.graph_signature
    named: dict[str, str] = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {
        k: (program.state_dict[v] if v in program.state_dict else program.constants[v]).detach()
        for k, v in named.items()
    }


def _placeholder(node: fx.Node, ids: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Cell:
    if node.name in tensors:
        value = tensors[node.name]
        return Cell(node.name, "constant", shape=tuple(value.shape), dtype=value.dtype, value=value)
    if node.name not in ids:
        raise LiftError(f"The export has an input {node.name} that is neither an argument nor a weight.")
    shape, dtype, _ = _meta(node)
    return Cell(ids[node.name], "input", shape=shape, dtype=dtype, reference=Reference(node.name))


def _name(target: Any) -> str:
    return (
        target._schema.name.split("::")[-1]
        if isinstance(target, torch._ops.OpOverload)
        else getattr(target, "__name__", str(target))
    )


def _op(target: Any, value: str) -> str:
    if isinstance(target, torch._ops.OpOverload):
        if target.namespace == "aten" and not target._schema.is_mutable:
            return f"aten.{target._schema.name.split('::')[-1]}.{target._overloadname}"
        raise LiftError(
            f"The export uses {target} ({value}), which no program can hold: only pure operators of aten can."
        )
    if isinstance(target, torch._ops.HigherOrderOperator):
        raise LiftError(f"The export uses {target} ({value}): control flow that depends on data cannot be lifted.")
    if getattr(target, "__module__", "") in ("_operator", "builtins", "math", "torch"):
        return f"builtin.{_name(target)}"
    raise LiftError(f"The export calls {target} ({value}), which no program can hold.")


def _meta(node: fx.Node) -> tuple[Shape | None, torch.dtype | None, Size | None]:
    """Shape and dtype of a tensor, or the expression of a size."""
    value = node.meta.get("val")
    if isinstance(value, Tensor):
        return tuple(as_size(s) for s in value.shape), value.dtype, None
    return None, None, as_size(value) if isinstance(value, int | torch.SymInt) and not isinstance(value, bool) else None


def _put(bench: Bench, node: fx.Node, same: Mapping[str, Any]) -> Any:
    """Adds what a node computes, unless a cell has that value already; returns its Ref, or the number it is."""

    def known(value: Any) -> Any:
        if isinstance(value, fx.Node):
            return same[value.name]
        if isinstance(value, list | tuple):
            return [known(v) for v in value]
        return value

    shape, dtype, size = _meta(node)
    if isinstance(size, int):
        return size
    args = tuple(known(a) for a in node.args)
    kwargs = {k: known(v) for k, v in node.kwargs.items()}
    target: Callable[..., Any] = node.target  # type: ignore[assignment]
    op = _op(target, node.name)
    if op in ("aten.view.default", "aten._unsafe_view.default"):  # copies that made a view possible are left out
        op, target = "aten.reshape.default", torch.ops.aten.reshape.default
    cell = Cell(
        node.name,
        op,
        args,
        kwargs,
        target,
        shape,
        dtype,
        size,
        reference=Reference(node.name) if shape is not None else None,
    )
    if (source := _carried_by(bench, cell) or bench.twin(cell)) is not None:
        return source
    if size is None and _is_fixed(bench, cell):
        return Ref(bench.add(_folded(bench, cell)))
    return Ref(bench.add(cell))


def _carried_by(bench: Bench, cell: Cell) -> Ref | None:
    """The cell that has this value already."""
    source = cell.args[0] if cell.args else None
    if not isinstance(source, Ref) or bench[source.id].shape is None:
        return None
    before = bench[source.id]
    unchanged = before.shape == cell.shape and before.dtype == cell.dtype
    if cell.name in _COPIES or (cell.name in ("dropout", "alpha_dropout", "feature_dropout") and cell.args[2] is False):
        return source
    if cell.name in _CASTS and (unchanged or (before.is_real and cell.is_real)):
        return source
    if cell.name in _SHAPES and unchanged:
        return source
    if cell.name == "slice" and unchanged and cell.arg(4, "step", 1) == 1:
        return source
    if _is_identity(cell, before) and unchanged:
        return source
    return None


def _is_identity(cell: Cell, before: Cell) -> bool:
    other = cell.args[1] if len(cell.args) > 1 else None
    if isinstance(other, Ref | list) or other is None or cell.kwargs:
        return False
    return (cell.name in ("mul", "div") and other == 1) or (cell.name in ("add", "sub") and other == 0)


def _is_fixed(bench: Bench, cell: Cell) -> bool:
    """Whether it depends on no input, not even on a size. Random draws are never fixed."""
    tags = getattr(cell.target, "tags", ())
    if torch.Tag.nondeterministic_seeded in tags:
        return False
    return all(bench[i].op == "constant" for i in cell.inputs)


_REARRANGED = (
    "t", "T", "numpy_T", "mT", "transpose", "permute", "view", "reshape", "slice", "select", "unsqueeze", "squeeze",
    "expand", "getitem", "split", "chunk", "flatten", "unflatten", "unbind", "split_with_sizes",
)  # fmt: skip


def _folded(bench: Bench, cell: Cell) -> Cell:
    """The constant that a cell without inputs is: float64, unless it only rearranges numbers of another precision."""

    def native(ref: Ref) -> Any:
        return bench[ref.id].value

    if cell.name in _REARRANGED and cell.target is not None:
        args = substituted(cell.args, native)
        value = operator.getitem(*args) if cell.name == "getitem" else cell.target(*args, **cell.kwargs)
    else:
        value = compute(cell, native)
    return Cell(cell.id, "constant", shape=cell.shape, dtype=cell.dtype, value=value)
