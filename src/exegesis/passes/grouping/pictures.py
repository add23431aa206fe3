"""Small pictures of what drives units and modules: examples, and means over the inputs that excite them most."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from exegesis.behavior import ArraySplit
from exegesis.ir import Json
from exegesis.measure.lesions import Members
from exegesis.measure.modularity import by_unit
from exegesis.measure.units import Units

EXAMPLES = 6
MEAN_OF = 16
UNITS = 10  # of a module or layer, that get a picture of their own
WIDEST = 32  # pixels; larger pictures are thinned out


@dataclass(frozen=True, eq=False)
class Pictures:
    """Inputs as pictures [n, height, width, 1 or 3] between 0 and 1, and what units are on them."""

    units: Units
    shown: Float[np.ndarray, "n h w c"]
    _seen: dict[int, Float[np.ndarray, "n u"]] = field(default_factory=dict)

    @classmethod
    def of(cls, units: Units) -> Pictures:
        """From a split of inputs of any shape: vectors become strips one pixel high."""
        split = units.bench.split
        assert isinstance(split, ArraySplit)
        return cls(units, as_pictures(np.asarray(split.x)))

    def values(self, layer: int) -> Float[np.ndarray, "n u"]:
        """The units of a layer on all inputs, pictures by their mean."""
        if layer not in self._seen:
            self._seen[layer] = by_unit(self.units, layer)
        return self._seen[layer]

    def strength(self, layer: int) -> Float[np.ndarray, " u"]:
        """How widely each unit of a layer varies."""
        found: Float[np.ndarray, " u"] = self.values(layer).std(0)
        return found

    def whole(self) -> Json:
        """The mean of all inputs."""
        return packed(self.shown.mean(0))

    def of_members(self, members: Members, strength: Mapping[int, Float[np.ndarray, " u"]]) -> Json:
        """Examples that drive a module most, their mean, and the same mean for its strongest units."""
        scaled = [_scaled(self.values(k))[:, u] for k, u in members.items()]
        activity = np.concatenate(scaled, axis=1).mean(1)
        pairs = sorted(((float(strength[k][u]), k, int(u)) for k, us in members.items() for u in us), reverse=True)
        units = [
            {"unit": f"{self.units.layers[k].node} {u}", "picture": self._driving(k, u)} for _, k, u in pairs[:UNITS]
        ]
        return {**self._driven(activity), "units": units}

    def of_units(self, layer: int, order: Int[np.ndarray, " u"]) -> Json:
        """What drives the first units of an order."""
        node = self.units.layers[layer].node
        return {"units": [{"unit": f"{node} {u}", "picture": self._driving(layer, int(u))} for u in order[:UNITS]]}

    def _driving(self, layer: int, unit: int) -> Json:
        order = np.argsort(-self.values(layer)[:, unit], kind="stable")[:MEAN_OF]
        return packed(self.shown[order].mean(0))

    def _driven(self, activity: Float[np.ndarray, " n"]) -> dict[str, Json]:
        order = np.argsort(-activity, kind="stable")
        return {
            "mean": packed(self.shown[order[: 2 * MEAN_OF]].mean(0)),
            "examples": [packed(self.shown[i]) for i in order[:EXAMPLES]],
        }


def as_pictures(x: NDArray[np.generic]) -> Float[np.ndarray, "n h w c"]:
    """Arrays [n, ...] as pictures between 0 and 1, all on one scale. Channels that are not 1 or 3 are averaged."""
    values = x.astype(np.float64)
    if values.ndim == 4:
        values = values.transpose(0, 2, 3, 1)
        values = values if values.shape[3] in (1, 3) else values.mean(3, keepdims=True)
    elif values.ndim == 3:
        values = values[..., None]
    else:
        values = values.reshape(len(values), 1, -1, 1)
    thin = (slice(None), *(slice(None, None, -(-side // WIDEST)) for side in values.shape[1:3]))
    values = values[thin] if values.shape[1] > 1 else values
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    return np.asarray((values - low) / max(high - low, 1e-12))


def packed(picture: Float[np.ndarray, "h w c"]) -> Json:
    """A picture between 0 and 1 as JSON: its shape, and its bytes in base 64."""
    whole = np.round(255 * picture.clip(0, 1)).astype(np.uint8)
    return {"shape": list(whole.shape), "bytes": base64.b64encode(whole.tobytes()).decode("ascii")}


def _scaled(values: Float[np.ndarray, "n u"]) -> Float[np.ndarray, "n u"]:
    found: Float[np.ndarray, "n u"] = (values - values.mean(0)) / values.std(0).clip(1e-9)
    return found
