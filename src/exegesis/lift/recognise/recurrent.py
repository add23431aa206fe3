"""Recurrent layers and cells (RNN, GRU, LSTM): gates as named affine maps.

A layer over tokens, of any length, is one component (`whole_layers`). Others are taken step by step, with pointwise
products between the gates.

All steps share their weights. What a step hands to the next is marked as a state (`state`), so that later readers find
the units of the layer again. A layer that reads in both directions is two, whose states are joined at every step.
Layers that start from a state of the caller's stay as torch has them.

The formulas are those of torch's documentation of `nn.RNN`, `nn.GRU` and `nn.LSTM`; where two biases are added, one is
kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from exegesis.ir.recurrent import GATES
from exegesis.lift.bench import Bench, Cell, Ref, Size
from exegesis.lift.recognise.matching import constant
from exegesis.lift.recognise.whole_layers import is_zero, maps, swapped

MAKER = "lift.recurrent"

_GATES: Mapping[str, tuple[str, ...]] = {"rnn": GATES["rnn_tanh"], "gru": GATES["gru"], "lstm": GATES["lstm"]}


def recognise(bench: Bench) -> int:
    """Replaces recurrent layers and cells by their steps."""
    count, known = 0, dict[tuple[str, ...], _Weights]()
    for cell in bench.cells():
        if cell.id in bench and cell.target is not None and (_layer(bench, cell) or _cell(bench, cell, known)):
            count += 1
    bench.prune()
    return count


@dataclass(frozen=True, eq=False)
class _Weights:
    """The maps of one recurrent layer by gate, shared by all of its steps: from the input, and from the state.

    Attributes:
        kind: rnn, gru or lstm.
        act: what makes the new state of an rnn.
        size: of the state.
        of_input, of_state: weight [in, size] and bias [size] by gate.
        number: which of the network's recurrent states it is (the cell of an lstm is the one after).
    """

    kind: str
    act: str
    size: int
    of_input: Mapping[str, Mapping[str, Tensor]]
    of_state: Mapping[str, Mapping[str, Tensor]]
    number: int

    @classmethod
    def of(cls, kind: str, act: str, tensors: Sequence[Tensor], number: int) -> _Weights:
        """From `weight_ih`, `weight_hh` and, where there are any, `bias_ih` and `bias_hh` in torch's layout."""
        held = maps(f"rnn_{act}" if kind == "rnn" else kind, tensors)
        of_input, of_state = {}, {}
        for gate in _GATES[kind]:
            of_input[gate] = {"weight": held[f"{gate}_from_input"], "bias": held[f"{gate}_bias"]}
            of_state[gate] = {"weight": held[f"{gate}_from_state"]}
            if f"{gate}_state_bias" in held:
                of_state[gate]["bias"] = held[f"{gate}_state_bias"]
        return cls(kind, act, len(of_input[_GATES[kind][0]]["bias"]), of_input, of_state, number)


@dataclass
class _Steps:
    """Writes the steps of one layer.

    Attributes:
        bench, weights: as they are.
        like: the cell whose place they take, for rank and dtype.
        batch: the batch axis.
    """

    bench: Bench
    weights: _Weights
    like: Cell
    batch: Size
    made: list[str] = field(default_factory=list)

    def add(
        self, name: str, op: str, inputs: Sequence[str], attrs: Mapping[str, Any] | None = None, **more: Any
    ) -> str:
        """A cell over the state's units; it shares its tensors with the same map of other steps."""
        cell = Cell(
            self.bench.fresh(name),
            f"component.{op}",
            tuple(Ref(i) for i in inputs),
            shape=(self.batch, self.weights.size),
            dtype=self.like.dtype or torch.float32,
            attrs=dict(attrs or {}),
            by=MAKER,
            out_of=(self.like.id,),
            rank=self.like.rank,
            **more,
        )
        return self.bench.add(cell)

    def zeros(self, like: str, name: str) -> str:
        """A state of zeros."""
        return self.add(
            name, "constant", [like], tensors={"value": torch.zeros(self.weights.size, dtype=torch.float64)}
        )

    def pre(self, gate: str, x: str, state: str, step: str) -> tuple[str, str]:
        """What the input and the state say to a gate."""
        heard = self.add(f"{gate}_from_input{step}", "linear", [x], tensors=self.weights.of_input[gate])
        recalled = self.add(f"{gate}_from_state{step}", "linear", [state], tensors=self.weights.of_state[gate])
        return heard, recalled

    def gate(self, gate: str, x: str, state: str, step: str, act: str, attrs: Mapping[str, Any] | None = None) -> str:
        """An activation of the sum of both."""
        both = self.add(f"{gate}_sum{step}", "add", self.pre(gate, x, state, step))
        return self.add(f"{gate}{step}", "activation", [both], {"kind": act} | dict(attrs or {}))

    def step(self, x: str, state: str, memory: str | None, step: str) -> tuple[str, str | None]:
        """State (and cell, of an lstm) after one more input."""
        number = {"state": self.weights.number}
        match self.weights.kind:
            case "rnn":
                return self.gate("next", x, state, step, self.weights.act, number), None
            case "gru":
                reset = self.gate("reset", x, state, step, "sigmoid")
                update = self.gate("update", x, state, step, "sigmoid")
                heard, recalled = self.pre("candidate", x, state, step)
                recalled = self.add(f"recalled{step}", "gate", [reset, recalled])
                both = self.add(f"candidate_sum{step}", "add", [heard, recalled])
                candidate = self.add(f"candidate{step}", "activation", [both], {"kind": "tanh"})
                open_ = self.add(f"open{step}", "scale", [update], {"by": -1.0, "plus": 1.0})
                new = self.add(f"new{step}", "gate", [open_, candidate])
                old = self.add(f"kept{step}", "gate", [update, state])
                return self.add(f"state{step}", "add", [new, old], number), None
        assert memory is not None
        entry = self.gate("input", x, state, step, "sigmoid")
        forget = self.gate("forget", x, state, step, "sigmoid")
        candidate = self.gate("candidate", x, state, step, "tanh")
        output = self.gate("output", x, state, step, "sigmoid")
        kept = self.add(f"kept{step}", "gate", [forget, memory])
        new = self.add(f"new{step}", "gate", [entry, candidate])
        memory = self.add(f"memory{step}", "add", [kept, new], {"state": self.weights.number + 1})
        shown = self.add(f"shown{step}", "activation", [memory], {"kind": "tanh"})
        return self.add(f"state{step}", "gate", [output, shown], number), memory


def _layer(bench: Bench, cell: Cell) -> bool:
    """A layer over a whole sequence, unrolled; readers of its last state read that of the last step."""
    kinds = {"gru": ("gru", ""), "lstm": ("lstm", ""), "rnn_tanh": ("rnn", "tanh"), "rnn_relu": ("rnn", "relu")}
    if cell.name not in kinds or not cell.op.endswith(".input"):
        return False
    source, start, given, biased, layers, _, _, both_ways, batch_first = cell.args
    x = bench[source.id] if batch_first else swapped(bench, bench[source.id])
    shape = (x.shape or ()) if x is not None else ()
    starts = start if isinstance(start, list | tuple) else [start]
    params = [constant(bench, p) for p in given]
    tensors = [p for p in params if p is not None]
    length = shape[1] if len(shape) == 3 else None
    if x is None or not isinstance(length, int) or len(tensors) < len(params):
        return False
    if not all(is_zero(bench, s) for s in starts):
        return False
    kind, act = kinds[cell.name]
    per, ways = 4 if biased else 2, 2 if both_ways else 1
    reads = [_pick(bench, x, 1, t, f"x_{t + 1}", cell) for t in range(length)]
    lasts, memories, number = list[str](), list[str | None](), _states(bench)
    for layer in range(layers):
        sides = []
        for way in range(ways):
            held = tensors[(layer * ways + way) * per :][:per]
            weights = _Weights.of(kind, act, held, number)
            number += 1 + (kind == "lstm")
            steps = _Steps(bench, weights, cell, shape[0])
            level = ("" if layers == 1 else f"_of_{layer + 1}") + ("_back" if way else "")
            after, memory = _read(steps, reads[::-1] if way else reads, level)
            lasts.append(after[-1])
            memories.append(memory)
            sides.append(after[::-1] if way else after)
        reads = sides[0] if ways == 1 else [_joined(bench, cell, pair) for pair in zip(*sides, strict=True)]
    _hand_out(bench, cell, reads, lasts, memories, 1 if batch_first else 0)
    return True


def _read(steps: _Steps, reads: Sequence[str], level: str) -> tuple[list[str], str | None]:
    """The states of one layer in one direction, in the order in which it reads, and its last cell (of an lstm)."""
    state, memory = steps.zeros(reads[0], f"start{level}"), None
    if steps.weights.kind == "lstm":
        memory = steps.zeros(reads[0], f"empty{level}")
    after = []
    for t, x_t in enumerate(reads):
        state, memory = steps.step(x_t, state, memory, f"{level}_{t + 1}")
        after.append(state)
    return after, memory


def _joined(bench: Bench, like: Cell, states: Sequence[str]) -> str:
    """The states of both directions side by side."""
    sizes = [(bench[s].shape or ())[1] for s in states]
    cell = Cell(
        bench.fresh("both"),
        "component.join",
        tuple(Ref(s) for s in states),
        shape=((bench[states[0]].shape or ())[0], sum(sizes)),
        dtype=like.dtype or torch.float32,
        attrs={"axis": 1},
        by=MAKER,
        out_of=(like.id,),
        rank=like.rank,
    )
    return bench.add(cell)


def _hand_out(
    bench: Bench, cell: Cell, states: list[str], lasts: list[str], memories: list[str | None], steps: int
) -> None:
    """Puts the states where the outputs of the layer were read, whose first has its steps along this axis."""
    for part in list(bench.users(cell.id)):
        which = part.args[1]
        entries = states if which == 0 else lasts if which == 1 else [m for m in memories if m is not None]
        axis = steps if which == 0 else 0
        _past_whole_slices(bench, part)
        for user in list(bench.users(part.id)):
            at = _picked(user, axis, part.id)
            if at is not None:
                chosen = bench[entries[at]]
                chosen.reference = user.reference
                bench.replace(user.id, chosen.id)
            elif which == 0 and _is_over(user, axis):
                bench.replace(user.id, _summed(bench, user, entries))
        if bench.users(part.id) or bench.output == part.id:
            every = [Ref(e) for e in entries]
            bench.compute_instead(part, "states", torch.ops.aten.stack.default, (every, axis), MAKER)


def _is_over(user: Cell, axis: int) -> bool:
    """Whether a cell is the sum or the mean along one axis, which goes."""
    if user.op not in ("aten.mean.dim", "aten.sum.dim_IntList") or user.kwargs or user.arg(2, "keepdim", False):
        return False
    return list(user.args[1] or ()) in ([axis], [axis - 3])


def _summed(bench: Bench, user: Cell, states: Sequence[str]) -> str:
    """The sum or the mean of all states."""

    def made(op: str, inputs: Sequence[str], attrs: Mapping[str, Any]) -> str:
        args = tuple(Ref(i) for i in inputs)
        cell = Cell(
            bench.fresh(user.id), f"component.{op}", args, shape=user.shape, dtype=user.dtype, attrs=attrs, by=MAKER
        )
        cell.out_of, cell.rank = (user.id,), user.rank
        return bench.add(cell)

    total = made("add", states, {})
    if user.name == "mean":
        total = made("scale", [total], {"by": 1.0 / len(states)})
    bench[total].reference = user.reference
    return total


def _past_whole_slices(bench: Bench, part: Cell) -> None:
    """Readers of a slice that leaves nothing out read the value itself."""
    for user in list(bench.users(part.id)):
        if user.op == "aten.slice.Tensor" and user.shape == part.shape and user.args[2:3] in ((), (0,), (None,)):
            bench.replace(user.id, part.id)


def _picked(user: Cell, axis: int, source: str) -> int | None:
    """Which entry along an axis a cell selects of a source."""
    if user.op != "aten.select.int" or user.args[0] != Ref(source) or user.args[1] != axis:
        return None
    return user.args[2] if isinstance(user.args[2], int) else None


def _cell(bench: Bench, cell: Cell, known: dict[tuple[str, ...], _Weights]) -> bool:
    """One step, written out by the network itself."""
    kinds = {
        "gru_cell": ("gru", ""),
        "lstm_cell": ("lstm", ""),
        "rnn_tanh_cell": ("rnn", "tanh"),
        "rnn_relu_cell": ("rnn", "relu"),
    }
    if cell.name not in kinds:
        return False
    source, start, *given = cell.args
    given = [g for g in given if g is not None]
    params = [constant(bench, p) for p in given]
    tensors = [p for p in params if p is not None]
    shape = bench[source.id].shape or ()
    if len(tensors) < len(params) or len(shape) != 2:
        return False
    kind, act = kinds[cell.name]
    key = tuple(p.id for p in given)
    if key not in known:
        known[key] = _Weights.of(kind, act, tensors, _states(bench))
    number = sum(c.by == MAKER and c.attrs.get("state") == known[key].number for c in bench.cells()) + 1
    steps = _Steps(bench, known[key], cell, shape[0])
    starts = list(start) if isinstance(start, list | tuple) else [start]
    began = [steps.zeros(source.id, "start") if is_zero(bench, s) else s.id for s in starts]
    state, memory = steps.step(source.id, began[0], began[1] if len(began) > 1 else None, f"_{number}")
    if kind != "lstm":
        bench[state].reference = cell.reference
        bench.replace(cell.id, state)
        return True
    for part in list(bench.users(cell.id)):
        new = state if part.args[1] == 0 else memory
        assert new is not None
        bench[new].reference = part.reference
        bench.replace(part.id, new)
    return True


def _states(bench: Bench) -> int:
    """The first number that no recurrent state has yet."""
    return max((c.attrs["state"] for c in bench.cells() if "state" in c.attrs), default=-1) + 1


def _pick(bench: Bench, x: Cell, axis: int, at: int, name: str, like: Cell) -> str:
    shape = tuple(s for i, s in enumerate(x.shape or ()) if i != axis)
    return bench.add(
        Cell(
            bench.fresh(name),
            "component.pick",
            (Ref(x.id),),
            shape=shape,
            dtype=x.dtype,
            attrs={"axis": axis, "at": at},
            by=MAKER,
            out_of=(like.id,),
            rank=like.rank,
        )
    )
