"""Recurrent layers over sequences of any length (RNN, GRU, LSTM): each direction of each layer is one component.

The formulas are those of torch's documentation of `nn.RNN`, `nn.GRU` and `nn.LSTM`; where two biases are added, one is
kept. Layers that start from a state of the caller's, or whose memory is read at the end, stay as torch has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from exegesis.ir.recurrent import GATES
from exegesis.lift.bench import Bench, Cell, Ref, Size
from exegesis.lift.recognise.matching import constant

MAKER = "lift.whole_layers"


def recognise(bench: Bench) -> int:
    """Replaces recurrent layers whose length is open."""
    count = 0
    for cell in bench.cells():
        if cell.name in GATES and cell.op.endswith(".input") and cell.id in bench:
            count += _layer(bench, cell)
    bench.prune()
    return count


def _layer(bench: Bench, cell: Cell) -> bool:
    source, start, given, biased, layers, _, _, both_ways, batch_first = cell.args
    before = bench[source.id]
    x = before if batch_first else swapped(bench, before)
    if x is None or x.shape is None or len(x.shape) != 3 or isinstance(x.shape[1], int):
        return False
    starts = start if isinstance(start, list | tuple) else [start]
    params = [constant(bench, p) for p in given]
    tensors = [p for p in params if p is not None]
    if len(tensors) < len(params) or not all(is_zero(bench, s) for s in starts):
        return False
    readers = bench.users(cell.id)
    if any(r.args[1] == 2 for r in readers):
        return False  # the memory of an lstm
    per, ways = 4 if biased else 2, 2 if both_ways else 1
    current, every = x.id, list[tuple[str, bool]]()
    for layer in range(layers):
        sides = []
        for way in range(ways):
            held = maps(cell.name, tensors[(layer * ways + way) * per :][:per])
            sides.append(_states(bench, cell, current, held, reverse=way == 1))
            every.append((sides[-1], way == 1))
        current = sides[0] if ways == 1 else _side_by_side(bench, cell, sides)
    for reader in readers:
        if reader.args[1] == 0:
            _hand_out_states(bench, reader, current, bool(batch_first))
        else:
            _hand_out_last(bench, reader, every)
    return True


def maps(kind: str, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """The maps of a layer by role, from `weight_ih`, `weight_hh` and, where there are any, both biases in torch's
    layout."""
    gates = GATES[kind]
    parts = [dict(zip(gates, t.double().chunk(len(gates)), strict=True)) for t in tensors]
    size = parts[1][gates[0]].shape[0]
    none = dict.fromkeys(gates, torch.zeros(size, dtype=torch.float64))
    first, second = parts[2:] if len(parts) == 4 else (none, none)
    found: dict[str, Tensor] = {}
    for gate in gates:
        apart = kind == "gru" and gate == "candidate"  # the reset gate multiplies the state's bias too
        found[f"{gate}_from_input"] = parts[0][gate].T.contiguous()
        found[f"{gate}_from_state"] = parts[1][gate].T.contiguous()
        found[f"{gate}_bias"] = (first[gate] if apart else first[gate] + second[gate]).clone()
        if apart:
            found["candidate_state_bias"] = second[gate].clone()
    return found


def _states(bench: Bench, like: Cell, x: str, held: Mapping[str, Tensor], *, reverse: bool) -> str:
    """All states of one layer in one direction."""
    shape = (*(bench[x].shape or ())[:2], len(next(v for k, v in held.items() if k.endswith("_bias"))))
    attrs: dict[str, Any] = {"kind": like.name} | ({"reverse": True} if reverse else {})
    return _add(bench, like, "states_back" if reverse else "states", "recurrent", [x], shape, attrs, held)


def _side_by_side(bench: Bench, like: Cell, sides: Sequence[str]) -> str:
    """The states of both directions."""
    shapes = [bench[s].shape or () for s in sides]
    width = sum(int(s[2]) for s in shapes)
    return _add(bench, like, "both", "join", sides, (*shapes[0][:2], width), {"axis": 2})


def _add(
    bench: Bench,
    like: Cell,
    name: str,
    op: str,
    inputs: Sequence[str],
    shape: tuple[Size, ...],
    attrs: Mapping[str, Any],
    tensors: Mapping[str, Tensor] | None = None,
) -> str:
    cell = Cell(
        bench.fresh(name),
        f"component.{op}",
        tuple(Ref(i) for i in inputs),
        shape=shape,
        dtype=like.dtype or torch.float32,
        attrs=attrs,
        tensors=tensors or {},
        by=MAKER,
        out_of=(like.id,),
        rank=like.rank,
    )
    return bench.add(cell)


def _hand_out_states(bench: Bench, reader: Cell, states: str, batch_first: bool) -> None:
    """Readers of all states; where these had their steps before the batch, they are turned, or turned back."""
    if batch_first:
        bench[states].reference = reader.reference
        bench.replace(reader.id, states)
        return
    for user in list(bench.users(reader.id)):
        if turns(user):
            bench[states].reference = user.reference
            bench.replace(user.id, states)
        elif user.op == "aten.select.int" and user.args[1] == 0 and isinstance(user.args[2], int):
            bench.replace(user.id, _picked(bench, user, states, user.args[2]))
    if bench.users(reader.id) or bench.output == reader.id:
        bench.compute_instead(reader, "turned", torch.ops.aten.transpose.int, (Ref(states), 0, 1), MAKER)


def _hand_out_last(bench: Bench, reader: Cell, every: Sequence[tuple[str, bool]]) -> None:
    """Readers of the last states, layer by layer and direction by direction: what each layer ends with."""
    for user in list(bench.users(reader.id)):
        chosen = None
        if user.op == "aten.select.int" and user.args[1] == 0 and isinstance(user.args[2], int):
            chosen = user.args[2]
        elif user.op == "aten.squeeze.dim" and user.args[1] == 0 and len(every) == 1:
            chosen = 0
        if chosen is not None:
            states, back = every[chosen]
            bench.replace(user.id, _picked(bench, user, states, 0 if back else -1))
    if bench.users(reader.id) or bench.output == reader.id:
        lasts = [_picked(bench, reader, s, 0 if back else -1, referred=False) for s, back in every]
        bench.compute_instead(reader, "lasts", torch.ops.aten.stack.default, ([Ref(i) for i in lasts], 0), MAKER)


def _picked(bench: Bench, like: Cell, states: str, at: int, *, referred: bool = True) -> str:
    """The states of one step, [b, n]."""
    shape = bench[states].shape or ()
    found = _add(bench, like, "last", "pick", [states], (shape[0], shape[2]), {"axis": 1, "at": at})
    bench[found].reference = like.reference if referred else None
    return found


def turns(cell: Cell) -> bool:
    """Whether a cell swaps the first two of three axes."""
    return (cell.op == "aten.transpose.int" and set(cell.args[1:]) == {0, 1}) or (
        cell.op == "aten.permute.default" and list(cell.args[1]) == [1, 0, 2]
    )


def swapped(bench: Bench, x: Cell) -> Cell | None:
    """What a sequence with its steps before its batch is the transpose of."""
    return bench[x.args[0].id] if turns(x) else None


def is_zero(bench: Bench, start: Any) -> bool:
    """Whether a starting state is zero, whatever the input."""
    if not isinstance(start, Ref):
        return False
    cell = bench[start.id]
    if cell.value is not None:
        return not bool(cell.value.any())
    return cell.name in ("zeros", "new_zeros", "zeros_like")
