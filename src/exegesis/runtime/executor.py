"""Runs any program with torch, at any mix of levels, with interventions on any of its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from exegesis.ir import Array, ExegesisError, Graph, GraphError, InputError, Level, Node, describe
from exegesis.runtime.binding import Binding, Compute, Value
from exegesis.runtime.interventions import Intervention, InterventionError, intervene
from exegesis.runtime.ops_component import COMPONENT
from exegesis.runtime.ops_symbolic import SYMBOLIC
from exegesis.runtime.ops_tensor import bind_tensor

_OPS = {**COMPONENT, **SYMBOLIC}


class Executor:
    """A graph with its tensors on a device, ready to run batch after batch.

    Args:
        graph: the program. Its nodes are bound when they are first needed, so a node that cannot run hurts only those
            who want it.
        device: where to compute.
        dtype: the floating dtype of everything real (tensors, inputs, dtypes named in tensor-level arguments). None
            keeps what the graph has.

    Attributes:
        graph, device, dtype: as given.
        real: the dtype of real values that are made out of categories: `dtype`, else float64 where the graph holds such
            a tensor, else float32.
    """

    def __init__(self, graph: Graph, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> None:
        self.graph = graph
        self.device = torch.device(device)
        self.dtype = dtype
        double = any(t.dtype == np.float64 for t in graph.tensors.values())
        self.real = dtype or (torch.float64 if double else torch.float32)
        self._tensors: dict[str, Tensor] = {}
        self._bound: dict[str, Compute] = {}

    def tensor(self, name: str) -> Tensor:
        """A tensor of the graph on the device. Raises GraphError where the graph holds none of that name."""
        if name not in self._tensors:
            if name not in self.graph.tensors:
                raise GraphError(f"The graph holds no tensor {name!r}.")
            self._tensors[name] = self._real(_from_numpy(self.graph.tensors[name])).to(self.device)
        return self._tensors[name]

    def run(
        self,
        inputs: Mapping[str, Tensor],
        want: Sequence[str] | None = None,
        interventions: Sequence[Intervention] = (),
        given: Mapping[str, Value] | None = None,
        *,
        gradients: bool = False,
    ) -> dict[str, Value]:
        """The values of some nodes.

        Only what they need is computed, and a value is let go as soon as nobody is left to read it.

        Args:
            inputs: a value for every input node that is needed, by node id.
            want: ids of nodes; the graph's outputs when None.
            interventions: applied in order, each as soon as its node is computed (or taken from `given`).
            given: values known already, by node id; nothing upstream of them is computed.
            gradients: record what autograd needs. Off unless asked for.

        Returns:
            The value of each node in `want`, after interventions.

        Raises:
            GraphError: an unknown node, or a node that cannot be computed (which one, and why).
            InputError: an input is missing, or none of the graph's.
            InterventionError: an intervention that never fires, or does not fit its value.
        """
        wanted = tuple(self.graph.outputs if want is None else want)
        given = given or {}
        self._check_names(inputs, given)
        plan = self._plan(wanted, given)
        changes = self._by_node(interventions, plan)
        pending = Counter(i for n in plan if n.id not in given for i in n.inputs)
        pending.update(wanted)
        values: dict[str, Value] = {}
        with torch.set_grad_enabled(gradients):
            for node in plan:
                value = given[node.id] if node.id in given else self._compute(node, inputs, values)
                for change in changes.get(node.id, ()):
                    value = intervene(change, node, value)
                values[node.id] = value
                for source in () if node.id in given else node.inputs:
                    pending[source] -= 1
                    if not pending[source]:
                        del values[source]
        return {name: values[name] for name in wanted}

    def prefix(
        self, inputs: Mapping[str, Tensor], changed: Iterable[str], want: Sequence[str] | None = None
    ) -> dict[str, Value]:
        """What does not depend on the values of `changed`: `given` for runs that intervene on those nodes.

        Args:
            inputs: as for `run`.
            changed: ids of the nodes that will be intervened on.
            want: ids of the nodes that will be wanted; the graph's outputs when None.

        Returns:
            The untouched values that computing `want` after such a change reads: those of `changed` itself, where no
            other changed node comes before it, included.
        """
        wanted = tuple(self.graph.outputs if want is None else want)
        return self.run(inputs, sorted(self._border(frozenset(changed), wanted)))

    def sweep(
        self,
        inputs: Mapping[str, Tensor],
        sets: Sequence[Sequence[Intervention]],
        want: Sequence[str] | None = None,
    ) -> Iterator[dict[str, Value]]:
        """`run` under each set of interventions in turn.

        What no set touches is computed once, and each set re-runs only what comes after it. The untouched values that
        some set reads are kept until the last one is served.
        """
        wanted = tuple(self.graph.outputs if want is None else want)
        borders = [self._border(frozenset(i.node for i in changes), wanted) for changes in sets]
        clean = self.run(inputs, sorted(frozenset().union(*borders)))
        for changes, border in zip(sets, borders, strict=True):
            yield self.run(inputs, wanted, changes, {name: clean[name] for name in border})

    def _border(self, changed: frozenset[str], wanted: tuple[str, ...]) -> frozenset[str]:
        """Nodes whose untouched value is read when `changed` change."""
        for name in changed:
            if name not in self.graph.by_id:
                raise InterventionError(f"The intervention on {name!r} never fires: the graph has no such node.")
        needed = self.graph.upstream(wanted)
        after = self.graph.downstream(changed)
        first = {name for name in changed if not any(i in after for i in self.graph[name].inputs)}
        redone = [n for n in self.graph.nodes if n.id in needed and n.id in after and n.id not in first]
        read = {i for n in redone for i in n.inputs if i not in after}
        return frozenset(read | (first & needed) | {name for name in wanted if name not in after})

    def _check_names(self, inputs: Mapping[str, Tensor], given: Mapping[str, Value]) -> None:
        names = [n.id for n in self.graph.inputs]
        for name in inputs:
            if name not in names:
                takes = ", ".join(map(repr, names)) or "none"
                raise InputError(f"The program has no input {name!r}; it takes {takes}.")
        for name in given:
            if name not in self.graph.by_id:
                raise GraphError(f"A value is given for {name!r}, which is no node of the graph.")

    def _plan(self, wanted: tuple[str, ...], given: Mapping[str, Value]) -> list[Node]:
        """The nodes to visit, in order: what is wanted, and what that needs up to what is given."""
        seen: set[str] = set()
        stack = list(wanted)
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                node = self.graph[name]
                stack.extend(() if name in given else node.inputs)
        return [n for n in self.graph.nodes if n.id in seen]

    @staticmethod
    def _by_node(interventions: Sequence[Intervention], plan: Sequence[Node]) -> dict[str, list[Intervention]]:
        visited = {n.id for n in plan}
        changes: dict[str, list[Intervention]] = {}
        for change in interventions:
            if change.node not in visited:
                raise InterventionError(
                    f"The intervention on {change.node!r} never fires: what is wanted does not need it."
                )
            changes.setdefault(change.node, []).append(change)
        return changes

    def _compute(self, node: Node, inputs: Mapping[str, Tensor], values: Mapping[str, Value]) -> Value:
        if node.level is Level.INPUT:
            if node.id not in inputs:
                raise InputError(f"The program needs its input {node.id!r}, which was not given.")
            return self._real(inputs[node.id]).to(self.device)
        if node.id not in self._bound:
            self._bound[node.id] = self._bind(node)
        try:
            return self._bound[node.id](*(values[i] for i in node.inputs))
        except ExegesisError:
            raise
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            shapes = ", ".join(_shape(values[i]) for i in node.inputs)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise GraphError(
                f"Node {node.id!r} cannot be computed from shapes ({shapes}): {reason}\n  {describe(node, self.graph)}"
            ) from error

    def _bind(self, node: Node) -> Compute:
        at = Binding(
            node=node,
            sources=tuple(self.graph[i].type for i in node.inputs),
            tensors={role: self.tensor(name) for role, name in node.tensors.items()},
            axes=self.graph.axes,
            device=self.device,
            real=self.real,
        )
        if node.level is Level.TENSOR:
            return bind_tensor(at, self.dtype)
        if node.op not in _OPS:
            raise GraphError(f"Node {node.id!r} has op {node.op!r}, which the runtime does not know.")
        return _OPS[node.op](at)

    def _real(self, value: Tensor) -> Tensor:
        return value.to(self.dtype) if self.dtype is not None and value.is_floating_point() else value


def _shape(value: Value) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)


def _from_numpy(array: Array) -> Tensor:
    """Shares the memory of the array where torch can."""
    shareable = array.flags.writeable and array.dtype.isnative and all(step >= 0 for step in array.strides)
    return torch.from_numpy(array if shareable else np.array(array, dtype=array.dtype.newbyteorder("=")))
