"""Recurrent layers by torch's own kernels, and automata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from exegesis.ir.recurrent import GATES
from exegesis.runtime.binding import Binding, Compute, Op, find


def recurrent(at: Binding) -> Compute:
    """[b, s, in] → [b, s, n]."""
    kind = at.attr("kind")
    steps: Mapping[str, float] = at.attr("steps", {})
    held = {r: t.to(at.real) * steps[r] if r in steps else t for r, t in at.tensors.items()}
    of_input, of_state = (torch.cat([held[f"{g}_from_{p}"].T for g in GATES[kind]]) for p in ("input", "state"))
    bias = torch.cat([held[f"{g}_bias"] for g in GATES[kind]])
    other = torch.zeros_like(bias)
    if kind == "gru":
        other[-len(held["candidate_state_bias"]) :] = held["candidate_state_bias"]
    weights = [w.contiguous() for w in (of_input, of_state, bias, other)]
    layer: Any = getattr(torch._C._VariableFunctions, kind)
    size, reverse = of_state.shape[1], at.attr("reverse", False)

    def compute(x: Tensor) -> Tensor:
        zeros = x.new_zeros(1, len(x), size)
        read = x.flip(1) if reverse else x
        states: Tensor = layer(
            read, (zeros, zeros) if kind == "lstm" else zeros, weights, True, 1, 0.0, False, False, True
        )[0]
        return states.flip(1) if reverse else states

    return compute


def automaton(at: Binding) -> Compute:
    """[b, s] → [b, s]. States and tokens are numbered as they are listed, tokens that are not listed as one more."""
    rows = torch.tensor([list(r) for r in at.attr("transitions")], dtype=torch.long, device=at.device).reshape(-1, 3)
    start = torch.tensor([at.attr("start")], device=at.device)
    states, tokens = torch.unique(torch.cat([start, rows[:, 0], rows[:, 2]])), torch.unique(rows[:, 1])
    table = torch.arange(len(states), device=at.device)[:, None].repeat(1, len(tokens) + 1)
    table[find(rows[:, 0], states)[1], find(rows[:, 1], tokens)[1]] = find(rows[:, 2], states)[1]
    begin = int(find(start, states)[1])

    def compute(value: Tensor) -> Tensor:
        known, index = find(value.long(), tokens)
        index = torch.where(known, index, len(tokens))
        state = torch.full((len(value),), begin, dtype=torch.long, device=value.device)
        after = torch.empty_like(index)
        for t in range(value.shape[1]):
            state = table[state, index[:, t]]
            after[:, t] = state
        found: Tensor = states[after]
        return found

    return compute


RECURRENT: Mapping[str, Op] = {"component.recurrent": recurrent}
AUTOMATA: Mapping[str, Op] = {"symbolic.automaton": automaton}
