"""What `compress` finds, as values: points of the curve, and everything that is reported beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from exegesis.ir import Graph, InputError
from exegesis.measure.dimensions import Dimension
from exegesis.measure.families import Family
from exegesis.measure.parameters import ParameterDimension
from exegesis.measure.redundancy import Redundancy

OTHER_NETWORKS = (
    "trained again on the network's answers: other networks than the one that was asked about, and none of its programs"
)


@dataclass(frozen=True)
class Point:
    """One compressed program.

    Attributes:
        floor: the share of answers that it was asked to keep (sure by held-out inputs).
        bits: its description length.
        share: of the description length of the lifted network.
        numbers: weights and biases that are not zero.
        units: neurons and channels left in the layers between input and output.
        entries: numbers of the input that are read; None for sequences.
        held: agreement with the network on held-out inputs of the split it was fitted on.
        test: the same on a split that nothing was chosen on; None where there is none.
        test_lower: its lower bound at 95 %.
        heads: attention heads left; None where there are none to begin with.
        directions: of the residual stream; None where there is none.
    """

    floor: float
    bits: float
    share: float
    numbers: int
    units: int
    entries: int | None
    held: float
    test: float | None
    test_lower: float | None
    heads: int | None = None
    directions: int | None = None


@dataclass(frozen=True, eq=False)
class Compression:
    """What `compress` finds.

    Attributes:
        network, behavior: their names.
        parameters: of the network.
        bits: the description length of the lifted network.
        points: compressed programs that none of the others beats in both length and faithfulness, longest first.
        layers: effective dimensions.
        redundancy: what lesions of units do.
        families: kinds of parts (heads, neurons, channels, edges): how many must stay, how many random ones can go.
        weights: how many directions of the parameters the behaviour needs.
        rows: how many inputs (answers) dimensions and lesions were measured on.
        notes: what was left out, and why.
        seed: of everything that was drawn.
        seconds: wall time.
        programs: the compressed graphs, as `points`.
        retrained: other networks, where asked for: what is left of this one, trained again on its answers. A curve of
            its own, never part of `points`.
        trained: their graphs, as `retrained`.
    """

    network: str
    behavior: str
    parameters: int
    bits: float
    points: tuple[Point, ...]
    layers: tuple[Dimension, ...]
    redundancy: Redundancy
    families: tuple[Family, ...]
    weights: ParameterDimension
    rows: int
    notes: tuple[str, ...]
    seed: int
    seconds: float
    programs: tuple[Graph, ...] = field(default=(), repr=False)
    retrained: tuple[Point, ...] = ()
    trained: tuple[Graph, ...] = field(default=(), repr=False)

    def at(self, faithfulness: float) -> Point:
        """The shortest program that was asked to keep so many answers. Raises InputError where there is none."""
        fitting = [p for p in self.points if p.floor >= faithfulness]
        if not fitting:
            raise InputError(f"No compressed program of {self.network} keeps {faithfulness:.1%} of the answers.")
        return min(fitting, key=lambda p: p.bits)

    def to_json(self) -> str:
        """Everything but the programs, as JSON."""
        record: dict[str, Any] = {k: v for k, v in self.__dict__.items() if k not in ("programs", "trained")}
        record["points"] = [asdict(p) for p in self.points]
        record["retrained"] = {"what": OTHER_NETWORKS, "points": [asdict(p) for p in self.retrained]}
        record["layers"] = [asdict(d) for d in self.layers]
        record["families"] = [asdict(f) for f in self.families]
        record["weights"] = asdict(self.weights)
        record["redundancy"] = asdict(self.redundancy)
        return json.dumps(record, indent=1)

    def plot(self, path: str | Path) -> Path:
        """The curves as a picture (SVG or PNG, by its ending). Raises InputError without the extra `plot`."""
        from exegesis.pipeline.compression_figures import compression_picture

        return compression_picture(self).save(path)
