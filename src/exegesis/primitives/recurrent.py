"""What goes through a sequence step by step: the states of recurrent layers, and automata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from exegesis.primitives._types import Array


def scan(step: Callable[[Array, Array], Array], x: Array, size: int, *, reverse: bool = False) -> Array:
    """Every state of a recurrent layer, `[s, in]` → `[s, size]`: `state = step(state, x[t])`, zeros at first.

    Args:
        step: gives the state after one more input.
        x: the inputs in order.
        size: of the state.
        reverse: begin with the last input.
    """
    return scan_memory(lambda state, _, read: (step(state, read),) * 2, x, size, reverse=reverse)


def scan_memory(
    step: Callable[[Array, Array, Array], tuple[Array, Array]], x: Array, size: int, *, reverse: bool = False
) -> Array:
    """As `scan`, for layers that keep a memory besides: `state, memory = step(state, memory, x[t])`."""
    state = memory = np.zeros(size)
    states = np.zeros((len(x), size))
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        state, memory = step(state, memory, x[t])
        states[t] = state
    return states


def automaton(tokens: Array, transitions: Mapping[tuple[int, int], int], *, start: int) -> Array:
    """The state of a finite automaton after every token.

    Args:
        tokens: what it reads, in order.
        transitions: the next state for a pair of state and token; other pairs leave the state as it is.
        start: the state before the first token.
    """
    state, states = start, list[Any]()
    for token in tokens.astype(int).tolist():
        state = transitions.get((state, token), state)
        states.append(state)
    return np.array(states, dtype=int)
