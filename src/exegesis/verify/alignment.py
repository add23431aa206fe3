"""Where the variables of a program live in the network, checked against the network as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from exegesis.ir import Graph, InputError, Level, Node, Site
from exegesis.runtime.exported import ExportedNetwork
from exegesis.verify.places import Place, distinct, onto, overlap

HEAD = "head"
"""What the axis of an attention's heads is called."""
PLACE = "component.arange"
"""What counts the positions of a sequence."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """Variables that live at overlapping sites, and are therefore swapped together.

    Attributes:
        nodes: the variables.
        places: all of their sites.
        heads: by node id, which entries along its axis of heads belong; a variable that is not there belongs in whole.
    """

    nodes: tuple[Node, ...]
    places: tuple[Place, ...]
    heads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The variables' names."""
        return " & ".join(label(n) + self._which_heads(n) for n in self.nodes)

    def _which_heads(self, node: Node) -> str:
        return "".join(f"[head {h}]" for h in self.heads.get(node.id, ()))

    def part(self, node: Node, value: Tensor) -> Tensor:
        """Of a variable's value, what belongs."""
        if node.id not in self.heads:
            return value
        return value.index_select(node.type.axes.index(HEAD), torch.tensor(self.heads[node.id]))

    def mask(self, node: Node, value: Tensor) -> Tensor | None:
        """Which entries of a variable's value belong, to be spread over its other axes; None: all."""
        if node.id not in self.heads:
            return None
        at = node.type.axes.index(HEAD)
        chosen = torch.zeros(value.shape[at], dtype=torch.bool)
        chosen[list(self.heads[node.id])] = True
        return chosen.reshape([-1 if i == at else 1 for i in range(value.ndim)])

    def joined(self, others: Sequence[Aligned]) -> Aligned:
        """These variables and all of `others`, which come before them, as one."""
        groups = (*others, self)
        nodes = {n.id: n for group in groups for n in group.nodes}
        heads: dict[str, tuple[int, ...]] = {}
        for name in nodes:
            own = [g.heads.get(name) for g in groups if any(n.id == name for n in g.nodes)]
            if None not in own:
                heads[name] = tuple(sorted({h for some in own for h in some or ()}))
        return Aligned(tuple(nodes.values()), distinct([p for group in groups for p in group.places]), heads)

    @property
    def where(self) -> str:
        """The sites' labels."""
        return ", ".join(dict.fromkeys(p.label for p in self.places))

    @property
    def is_input(self) -> bool:
        """Whether they are inputs, so that a swap makes another input of it."""
        return any(n.level is Level.INPUT for n in self.nodes)

    @property
    def is_legible(self) -> bool:
        """Whether any of them is a variable that a reader of the program sees."""
        return any(n.level in (Level.SYMBOLIC, Level.INPUT) for n in self.nodes)

    @property
    def is_opaque_head(self) -> bool:
        """Whether they are what one head of an attention gathers, which nobody explained."""
        return not self.is_legible and all(n.id in self.heads for n in self.nodes)


def label(node: Node) -> str:
    """What a reader of the program calls a variable."""
    return node.name or node.id


def align(graph: Graph, exported: ExportedNetwork, *, places: bool = False) -> tuple[Aligned, ...]:
    """The variables that an answer depends on and that have sites, those at overlapping sites together, in order.

    The network's output itself and values that are the same for all inputs are left out: there is nothing to swap. So
    are sums of writers: a residual stream is no value of the program, each reader adds up the writers for itself. What
    an attention gathers that nobody explained is as many variables as it has heads, or heads could trade places unseen.

    Args:
        graph, exported: program and network.
        places: take the place of a token for a variable as well, which lives where the network makes numbers of its
            positions; only swaps between positions tell anything about it.

    Raises:
        InputError: a site that the network does not have.
    """
    groups: list[Aligned] = []
    for node in used(graph):
        if node.op == "component.add":
            continue
        own = [_place_of_tokens(node, exported)] if places and node.op == PLACE else _homes(node, graph, exported)
        for found in own:
            if not found.places:
                continue
            overlapping = [g for g in groups if any(overlap(a, b) for a in g.places for b in found.places)]
            groups = [g for g in groups if g not in overlapping] + [found.joined(overlapping)]
    return tuple(groups)


def _place_of_tokens(node: Node, exported: ExportedNetwork) -> Aligned:
    """The place of a token: the numbers that a network makes of position ids alone, where something else reads them.

    Such a number is a position's embedding. What only says which positions a mask lets through is none.
    """
    inputs = [v.name for v in exported.values.values() if v.op == "input"]
    ids = dict(zip(exported.names, inputs, strict=True)).get("position_ids")
    alone = {v for v in exported.values if exported.before([v]) & set(inputs) == {ids}} if ids is not None else set()
    read = {r for v in exported.values.values() if v.name not in alone for r in v.reads}
    found = [
        Place(v.name, f"{v.module or v.name}, which knows positions alone", 0, 1, None, None, v.shape[2] or 1)
        for v in exported.values.values()
        if v.name in alone & read and v.dtype.is_floating_point and v.shape[:2] == (None, None) and len(v.shape) == 3
    ]
    return Aligned((node,), tuple(found))


def _homes(node: Node, graph: Graph, exported: ExportedNetwork) -> Iterator[Aligned]:
    """A variable with its sites; head by head where it is what several heads of an attention gather."""
    sites = [s for s in node.sites if s.value != exported.output and not exported.is_constant(s.value)]
    numbers = _numbers_of_heads(node, sites, graph, exported)
    if numbers:
        (site,) = sites
        for k, number in enumerate(numbers):
            index = (*((a, i) for a, i in site.index if a != HEAD), (HEAD, number))
            yield Aligned((node,), (resolve(replace(site, index=index), node, graph, exported),), {node.id: (k,)})
    elif sites:
        yield Aligned((node,), distinct([resolve(site, node, graph, exported) for site in sites]))


def _numbers_of_heads(
    node: Node, sites: Sequence[Site], graph: Graph, exported: ExportedNetwork
) -> Sequence[int] | None:
    """The network's heads behind the entries of an attention's axis of heads; None where it is not split up."""
    if node.op != "component.mix" or len(sites) != 1 or HEAD not in sites[0].axes or HEAD not in node.type.axes:
        return None
    (site,) = sites
    value = exported.values.get(site.value)
    if value is None or len(value.shape) != len(site.axes):
        return None  # `resolve` says what is wrong
    numbers = sorted({number for axis, number in site.index if axis == HEAD})
    numbers = numbers or list(range(value.shape[site.axes.index(HEAD)] or 0))
    return numbers if len(numbers) > 1 and graph.axes[HEAD].size == len(numbers) else None


def used(graph: Graph) -> Iterator[Node]:
    """The nodes that the answer depends on, in order, itself included."""
    needed = graph.upstream(graph.outputs[:1])
    return (n for n in graph.nodes if n.id in needed)


def without_alignment(graph: Graph) -> tuple[str, ...]:
    """Variables that no swap can test, because they live nowhere in particular."""
    return tuple(
        label(n)
        for n in used(graph)
        if n.level is Level.SYMBOLIC and not n.sites and n.type.kind != "selector" and n.id != graph.outputs[0]
    )


def resolve(site: Site, node: Node, graph: Graph, exported: ExportedNetwork) -> Place:
    """A site of a variable in a network.

    Raises:
        InputError: the network has no such value, or one of another shape.
    """
    at = f"The variable {label(node)} of the program lives at {site.value!r}"
    value = exported.values.get(site.value)
    if value is None:
        raise InputError(f"{at}, a value that the network {exported.network.name} does not have.")
    if len(site.axes) != len(value.shape):
        raise InputError(
            f"{at} with axes ({', '.join(site.axes)}), but there the network {exported.network.name} has a value of "
            f"{len(value.shape)} axes."
        )
    at_position = position_axis(node, graph)
    batch, positions = node.type.axes[0], None if at_position is None else node.type.axes[at_position]
    if batch not in site.axes:
        raise InputError(f"{at}, which is the same for every input: it has no axis {batch!r}.")
    selected, kept = _selected(site, value.shape, (batch, positions), at)
    projection = None
    dimension = kept
    if site.basis is not None:
        projection, dimension = _projection(site, graph, value.shape, at)
    echo, along = _echo(site, graph, value.shape, at)
    index = _listed(site)
    subspace = "" if site.basis is None else f" in {dimension} dimensions"
    subspace = subspace if echo is None else " and what follows them"
    where = site.module if site.module is not None and site.port == "output" else site.value
    return Place(
        value=site.value,
        label=f"{where}{index}{subspace}",
        batch=site.axes.index(batch),
        position=site.axes.index(positions) if positions in site.axes else None,
        selected=selected,
        projection=projection,
        dimension=dimension,
        head=dict(site.index).get(HEAD),
        echo=echo,
        along=along,
    )


def _listed(site: Site) -> str:
    """`[head 3]` for each entry, or how many there are."""
    several = len(site.index) > len({axis for axis, _ in site.index})
    counted = [
        f"[{sum(a == axis for a, _ in site.index)} of {axis}]" for axis in dict.fromkeys(a for a, _ in site.index)
    ]
    return "".join(counted if several else [f"[{axis} {number}]" for axis, number in site.index])


def position_axis(node: Node, graph: Graph) -> int | None:
    """Which axis of a node's value follows the positions of a sequence: that of tokens, or of queries; None: none."""
    names = [i.type.axes[1] for i in graph.inputs if i.op == "input.tokens" and len(i.type.axes) > 1]
    return next((node.type.axes.index(n) for n in (*names, "query") if n in node.type.axes), None)


def _selected(
    site: Site, shape: tuple[int | None, ...], varying: tuple[str | None, ...], at: str
) -> tuple[Tensor | None, int]:
    """The mask of an index, and how many numbers it leaves per input and position (axes of varying size apart).

    Several numbers along one axis are several entries of it.
    """
    sizes = {i: size for i, size in enumerate(shape) if size is not None and site.axes[i] not in varying}
    mask: Tensor | None = None
    for axis in dict.fromkeys(a for a, _ in site.index):
        numbers = sorted({number for a, number in site.index if a == axis})
        if axis not in site.axes or site.axes.index(axis) not in sizes:
            raise InputError(f"{at} at index {numbers[0]} of {axis!r}, which is no axis of fixed size there.")
        i = site.axes.index(axis)
        size = sizes[i]
        if outside := [n for n in numbers if not 0 <= n < size]:
            raise InputError(f"{at} at index {outside[0]} of {axis!r}, but the network has {size} there.")
        one = torch.zeros(size, dtype=torch.bool)
        one[numbers] = True
        one = one.reshape([size if k == i else 1 for k in range(len(shape))])
        mask = one if mask is None else mask & one
        sizes[i] = len(numbers)
    kept = 1
    for size in sizes.values():
        kept *= size
    return mask, kept


def _projection(site: Site, graph: Graph, shape: tuple[int | None, ...], at: str) -> tuple[Tensor, int]:
    assert site.basis is not None
    if site.basis not in graph.tensors:
        raise InputError(f"{at} in the subspace {site.basis!r}, which the program does not hold.")
    basis = torch.as_tensor(graph.tensors[site.basis], dtype=torch.float64)
    if basis.ndim != 2 or basis.shape[1] != shape[-1]:
        raise InputError(f"{at} in a subspace of {list(basis.shape)}, but the network's value is {shape[-1]} wide.")
    return onto(basis), len(basis)


def _echo(site: Site, graph: Graph, shape: tuple[int | None, ...], at: str) -> tuple[Tensor | None, int]:
    """How other entries follow those of a site, and along which axis of the value. `ir.spec` has checked its form."""
    if site.echo is None:
        return None, -1
    echo, along = torch.as_tensor(graph.tensors[site.echo]), site.axes.index(site.index[0][0])
    if echo.shape[1] != shape[along]:
        raise InputError(f"{at} with {echo.shape[1]} entries that follow, but the network has {shape[along]} there.")
    return echo.to(torch.float32), along
