"""The user's network as torch exports it: every value inside it can be read, and replaced, by the name torch gave it.

Nothing is re-expressed here. The operations are the network's own, run one after the other, so that a value without a
module boundary of its own (one head of a fused attention) is as reachable as the output of a module.
"""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from exegesis.ir import InputError
from exegesis.runtime.network import Network, output_tensor
from exegesis.runtime.tracing import tracing, with_torchs_layers

Replace: TypeAlias = Callable[[Tensor], Tensor]

_KEPT: Mapping[str, Any] = {"use_cache": False}  # what a network must be told so that it returns nothing but its output


@dataclass(frozen=True)
class Value:
    """A tensor inside a network.

    Attributes:
        name: what torch's export calls it.
        shape: its sizes; None where a size varies with the input.
        dtype: of its entries.
        reads: the values it is computed from.
        op: the operation that computes it, e.g. `aten.softmax.int`; `input` for what the caller gives.
        module: the path of the module in whose `forward` it is computed; empty at the top.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: torch.dtype
    reads: tuple[str, ...]
    op: str
    module: str


class _TensorOut(nn.Module):
    """A network whose only result is the tensor that counts, with positional arguments."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._names = tuple(names)
        takes = inspect.signature(network.forward).parameters
        self._kept = {name: value for name, value in _KEPT.items() if name in takes}

    def forward(self, *args: Tensor) -> Tensor:
        out = self.network(**dict(zip(self._names, args, strict=True)), **self._kept)
        return output_tensor(out, type(self.network).__name__)


class ExportedNetwork:
    """A network opened up by torch.export.

    Args:
        network: the network.
        example: arguments of its `forward` by name, each with at least two rows; batch and length may vary afterwards
            where the network allows it.

    Attributes:
        network: as given.
        names: the arguments of `forward` that it takes, in order.
        values: every tensor inside that depends on them, by name, in the order of computation; arguments come first.
        output: the name of the output.

    Raises:
        InputError: torch.export rejects the network, or it changes tensors in place, or its output is no tensor.
    """

    def __init__(self, network: Network, example: Mapping[str, Tensor]) -> None:
        self.network = network
        self.names = tuple(example)
        self._program = _export(network, example)
        self._nodes = {n.name: n for n in self._program.graph.nodes if n.op in ("placeholder", "call_function")}
        self._arguments = dict(zip(self._program.graph_signature.user_inputs, self.names, strict=True))
        self._weights = _weights(self._program)
        returned: Any = next(n for n in self._program.graph.nodes if n.op == "output").args[0]
        result: object = returned[0]
        if not isinstance(result, fx.Node):
            raise InputError(f"The network {network.name} has an output that does not depend on its input.")
        self.output: str = result.name
        for node in self._nodes.values():
            _check_pure(node, network.name)
        self.values: Mapping[str, Value] = {v.name: v for v in self._tensors()}

    def _tensors(self) -> Iterator[Value]:
        """Tensors that depend on the input by their content. Sizes carry no content; tuples are seen through."""
        content: dict[str, tuple[str, ...]] = {}  # node → the tensors that its content comes from
        for node in self._nodes.values():
            meta = node.meta.get("val")
            is_argument = node.name in self._arguments
            reads = tuple(dict.fromkeys(r for i in node.all_input_nodes for r in content.get(i.name, ())))
            if not is_argument and not reads:
                continue
            if isinstance(meta, tuple | list):
                content[node.name] = reads
            elif isinstance(meta, Tensor):
                content[node.name] = (node.name,)
                sizes: tuple[Any, ...] = tuple(meta.shape)  # symbols where they vary
                shape = tuple(size if isinstance(size, int) else None for size in sizes)
                op = "input" if is_argument else str(node.target)
                yield Value(node.name, shape, meta.dtype, reads, op, _module_of(node))

    @cached_property
    def _users(self) -> Mapping[str, tuple[str, ...]]:
        return {name: tuple(u.name for u in node.users) for name, node in self._nodes.items()}

    def is_constant(self, name: str) -> bool:
        """Whether a value is there, but the same for all inputs of one shape."""
        return name in self._nodes and name not in self.values

    def after(self, names: Collection[str]) -> frozenset[str]:
        """Values that depend on any of these, themselves included."""
        return _closure(names, lambda name: self._users.get(name, ()))

    def before(self, names: Collection[str]) -> frozenset[str]:
        """Values that any of these depend on, themselves included."""
        return _closure(names, lambda name: [i.name for i in self._nodes[name].all_input_nodes])

    def border(self, changed: Collection[str]) -> frozenset[str]:
        """What the output reads untouched when these values change: `given` for runs that replace them.

        Those of `changed` that no other changed value comes before are among it.
        """
        after, needed = self.after(changed), self.before([self.output])
        first = {n for n in changed if not any(i.name in after for i in self._nodes[n].all_input_nodes)}
        redone = [node for name, node in self._nodes.items() if name in after & needed and name not in first]
        read = {i.name for node in redone for i in node.all_input_nodes if i.name not in after}
        return frozenset((read & set(self.values)) | first)

    def equation(self, name: str) -> str | None:
        """The equation of a value that an einsum computes."""
        first = self._nodes[name].args[0] if self._nodes[name].args else None
        return first if isinstance(first, str) else None

    def run(
        self,
        inputs: Mapping[str, Tensor],
        want: Sequence[str] | None = None,
        replace: Mapping[str, Replace] | None = None,
        given: Mapping[str, Tensor] | None = None,
        *,
        gradients: bool = False,
    ) -> dict[str, Tensor]:
        """Values of the network on a batch.

        Only what they need is computed, and a value is let go as soon as nobody is left to read it.

        Args:
            inputs: the arguments of `forward` by name.
            want: names of values; the output when None.
            replace: what takes the place of a value, by its name: a function of the value itself.
            given: values known already; nothing upstream of them is computed. `replace` applies to them too.
            gradients: record what autograd needs. Off unless asked for.

        Returns:
            The wanted values, after replacement.

        Raises:
            InputError: an unknown value, a replacement that never takes place or changes a shape, or inputs of a shape
                that the export does not allow.
        """
        wanted = (self.output,) if want is None else tuple(want)
        given, replace = given or {}, replace or {}
        plan = self._plan(wanted, given)
        if idle := sorted(set(replace) - {n.name for n in plan}):
            raise InputError(f"Replacing {idle[0]!r} in {self.network.name} changes nothing that is asked for.")
        readers = Counter(i.name for n in plan if n.name not in given for i in n.all_input_nodes)
        readers.update(wanted)
        values: dict[str, Any] = {}
        with torch.set_grad_enabled(gradients):
            for node in plan:
                value = given[node.name] if node.name in given else self._compute(node, inputs, values)
                if node.name in replace:
                    value = self._replaced(node.name, replace[node.name], value)
                values[node.name] = value
                del value
                for source in () if node.name in given else node.all_input_nodes:
                    readers[source.name] -= 1
                    if readers[source.name] == 0:
                        del values[source.name]
        return {name: values[name] for name in wanted}

    def _plan(self, wanted: Sequence[str], given: Mapping[str, Tensor]) -> list[fx.Node]:
        for name in (*wanted, *given):
            if name not in self._nodes:
                raise InputError(f"The network {self.network.name} holds no value {name!r}.")
        needed: set[str] = set()
        stack = list(wanted)
        while stack:
            name = stack.pop()
            if name not in needed:
                needed.add(name)
                stack.extend(() if name in given else (i.name for i in self._nodes[name].all_input_nodes))
        return [node for name, node in self._nodes.items() if name in needed]

    def _compute(self, node: fx.Node, inputs: Mapping[str, Tensor], values: Mapping[str, Any]) -> Any:
        if node.op == "placeholder":
            if node.name in self._weights:
                return self._weights[node.name]
            argument = self._arguments[node.name]
            if argument not in inputs:
                raise InputError(f"The network {self.network.name} needs {argument}, which was not given.")
            return inputs[argument].to(self.network.device)
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: values[n.name])
        try:
            return node.target(*args, **kwargs)  # type: ignore[operator]
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            shapes = ", ".join(str(list(x.shape)) for x in inputs.values())
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"The export of {self.network.name} fails at {node.name} on inputs of shape {shapes}: {reason}"
            ) from error

    def _replaced(self, name: str, replace: Replace, value: Tensor) -> Tensor:
        new = replace(value)
        if new.shape != value.shape:
            raise InputError(
                f"What replaces {name!r} in {self.network.name} has shape {list(new.shape)} where the value has "
                f"{list(value.shape)}."
            )
        return new

    def check(self, inputs: Mapping[str, Tensor], tolerance: float = 1e-4) -> float:
        """The largest difference between the export's output and that of the module itself, which must be small.

        Args:
            inputs: the arguments of `forward` by name.
            tolerance: what is allowed, times the largest output (at least 1).

        Raises:
            InputError: they differ by more (by how much).
        """
        own = _call(self.network, {name: inputs[name] for name in self.names})
        found = self.run(inputs)[self.output]
        if own.shape != found.shape:
            raise InputError(f"The export of {self.network.name} gives another shape than the network itself.")
        difference = float((own - found).abs().max()) if own.numel() else 0.0
        scale = max(1.0, float(own.abs().max())) if own.numel() else 1.0
        if not difference <= tolerance * scale:
            raise InputError(
                f"The export of {self.network.name} does not compute what the network does: its output is off by "
                f"{difference:.3g}."
            )
        return difference


def _call(network: Network, inputs: Mapping[str, Tensor]) -> Tensor:
    if "input_ids" in inputs:
        return network.logits(inputs["input_ids"], inputs.get("position_ids"))
    (only,) = inputs.values()
    return network(only)


def _export(network: Network, example: Mapping[str, Tensor]) -> ExportedProgram:
    wrapped = _TensorOut(network.module, tuple(example))
    failure: Exception | None = None
    with quiet(), torch.no_grad():
        for axes in ((0, 1), (0,), ()):
            inputs = tuple(_varied(value.to(network.device), axes) for value in example.values())
            dynamic = tuple({axis: Dim.AUTO for axis in axes if axis in _varying(value)} for value in inputs)
            try:
                with tracing(network.module, inputs):
                    program = torch.export.export(wrapped, inputs, dynamic_shapes={"args": dynamic}, strict=False)
                return with_torchs_layers(program)
            except Exception as error:
                failure = failure or error
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0].strip()
    raise InputError(f"torch.export rejects the network {network.name}: {reason}") from failure


def _varying(value: Tensor) -> tuple[int, ...]:
    """The axes along which an input may vary: batch, and position of ids and of streams."""
    positions = (value.ndim == 2 and not value.is_floating_point()) or value.ndim == 3
    return (0, 1) if positions else (0,)


def _varied(value: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The example with sizes that export keeps apart: none of them 1, and the batch unlike the length."""
    for axis in _varying(value):
        if axis in axes and value.shape[axis] == 1:
            value = value.expand(*(3 if i == axis else -1 for i in range(value.ndim)))
    if 0 in axes and value.ndim > 1 and value.shape[0] == value.shape[1]:
        value = torch.cat([value, value[:1]])
    return value.contiguous()


def _weights(program: ExportedProgram) -> Mapping[str, Tensor]:
    signature = program.graph_signature
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    stored: dict[str, Any] = {**program.constants, **program.state_dict}
    return {placeholder: stored[name].detach() for placeholder, name in named.items()}


_PLAIN = ("_operator", "builtins", "math", "torch")  # where arithmetic on sizes comes from


def _check_pure(node: fx.Node, name: str) -> None:
    schema = getattr(node.target, "_schema", None)
    if node.op == "call_function" and schema is not None and schema.is_mutable:
        raise InputError(
            f"The network {name} changes a tensor in place ({node.target} at {node.name}), so that its values cannot "
            "be replaced one by one."
        )
    if node.op == "call_function" and schema is None and getattr(node.target, "__module__", "") not in _PLAIN:
        raise InputError(f"The network {name} uses {node.target} ({node.name}), which is no plain operation.")


def _module_of(node: fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path.removeprefix("network").removeprefix(".") if path.startswith("network") else ""


def _closure(names: Collection[str], step: Callable[[str], Collection[str]]) -> frozenset[str]:
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(step(name))
    return frozenset(seen)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's warnings on the terminal: what matters in them is noted or raised by the caller."""
    names = ("torch._export", "torch.export", "torch.fx.experimental.symbolic_shapes", "torch._dynamo")
    loggers = [logging.getLogger(n) for n in names]
    before = [x.level for x in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with redirect_stderr(io.StringIO()):  # where torch prints graphs that it could not finish
                yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
