"""The lift itself: export, recognise, freeze, certify."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from exegesis.ir import Graph, InputError, check, price
from exegesis.lift.bench import Bench
from exegesis.lift.certificate import Certificate, check_errors, compare
from exegesis.lift.export import Example, Exported, export
from exegesis.lift.freezing import freeze
from exegesis.lift.importing import put_on_bench
from exegesis.lift.modules import align_modules
from exegesis.lift.recognise import RECOGNISERS
from exegesis.lift.sampling import batches, shapes_of
from exegesis.lift.share import recognised_share


@dataclass(frozen=True, eq=False)
class Lifted:
    """A program equal to a network, and the certificate that says so."""

    graph: Graph
    certificate: Certificate


def lift(network: nn.Module, example: Example, *, dtype: torch.dtype | None = None, seed: int = 0) -> Lifted:
    """The exact program of a network.

    The network is exported by torch, its parts are recognised in the export, and the result is compared with the
    network at its output and with the export at every recognised value, in float32 and in float64.

    Args:
        network: any module that torch.export accepts, with float32 or float64 weights. It is not changed.
        example: arguments of `forward`, by name or in order. Ids and streams may have any batch size and length then.
        dtype: of the program's numbers; None: that of the network's.
        seed: of the inputs that the comparison draws.

    Returns:
        The program, whose inputs are `tokens` and `positions` for `input_ids` and `position_ids` and the network's own
        names for all others, and its certificate.

    Raises:
        InputError: weights that are not finite, or not float32 or float64; an example that does not fit `forward`.
        LiftError: a network that torch.export rejects, or a program that does not equal it (where, and by how much).
    """
    started = time.perf_counter()
    if dtype not in (None, torch.float32, torch.float64):
        raise InputError(f"A program holds float32 or float64 numbers, not {str(dtype).removeprefix('torch.')}.")
    exported = export(network, example)
    bench = put_on_bench(exported)
    for recognise in RECOGNISERS:
        recognise(bench)
    native = _native(network)
    meta = _meta(exported, bench)
    frozen = {d: freeze(bench, exported.arguments, double=d, meta=meta) for d in (False, True)}
    for one in frozen.values():
        check(one.graph)
    inputs = batches(network, exported, frozen[False].graph, seed)
    graphs = {"float32": frozen[False].graph, "float64": frozen[True].graph}
    if native is torch.float64:
        del graphs["float32"]
    output, values = compare(network, exported, graphs, frozen[False].references, inputs)
    check_errors(output, values)
    double = (dtype or native) is torch.float64
    graph = align_modules(frozen[double].graph, network, exported, inputs[-1])
    graph = replace(graph, meta={**graph.meta, "lifted_bits": price(graph).opaque_bits})
    certificate = Certificate(
        output=output,
        values=values,
        shapes=shapes_of(inputs),
        share=recognised_share(frozen[native is torch.float64].graph, inputs[-1]),
        assumes=tuple(bench.assumptions),
        notes=exported.notes,
        seconds=time.perf_counter() - started,
    )
    return Lifted(graph, certificate)


def _native(network: nn.Module) -> torch.dtype:
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)


def _meta(exported: Exported, bench: Bench) -> dict[str, Any]:
    signature = exported.program.graph_signature
    state = exported.program.state_dict
    weights = {state[n].data_ptr(): state[n].numel() for n in signature.parameters}
    count = sum(weights.values())
    return {
        "parameters": count,
        "torch": torch.__version__,
        "inputs": [
            {
                "id": a.id,
                "name": a.name,
                "dtype": str(a.example.dtype).removeprefix("torch."),
                "dynamic": list(a.dynamic),
            }
            for a in exported.arguments
        ],
        "assumes": list(bench.assumptions),
        "notes": list(exported.notes),
    }
