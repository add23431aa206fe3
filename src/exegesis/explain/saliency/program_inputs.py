"""The inputs to be explained, as a lifted program names them."""

from __future__ import annotations

import torch
from torch import Tensor

from exegesis.explain.inputs import Inputs
from exegesis.explain.saliency.method import UndefinedMethodError
from exegesis.ir import Graph


def program_inputs(graph: Graph, inputs: Inputs) -> dict[str, Tensor]:
    """A value [n, ...] for every input of the program, by node id.

    Raises:
        UndefinedMethodError: a program that reads something else than these inputs hold.
    """
    found: dict[str, Tensor] = {}
    for node in graph.inputs:
        if node.op == "input.tokens" and inputs.tokens is not None:
            found[node.id] = inputs.tokens
        elif node.op == "input.positions" and inputs.tokens is not None:
            plain = torch.arange(inputs.tokens.shape[1]).expand(inputs.tokens.shape)
            found[node.id] = plain if inputs.positions is None else inputs.positions
        elif node.op == "input.array" and inputs.x is not None:
            found[node.id] = inputs.x
        else:
            raise UndefinedMethodError(f"The program reads {node.op} ({node.id}), which these inputs do not hold.")
    return found
