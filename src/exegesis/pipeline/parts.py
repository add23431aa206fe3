"""Parts of a network that users name: units, modules, what carries a concept, directions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from exegesis.ir import InputError
from exegesis.measure.units import Layer, Units


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a network that can be changed.

    Attributes:
        name: as the user wrote it.
        masks: layer number → which of the numbers of the layer's value belong to it, in the shape of that value.
        direction: layer number, direction [f] over the whole value, and where on it to hold; None for units.
    """

    name: str
    masks: Mapping[int, Bool[np.ndarray, "..."]]
    direction: tuple[int, Float[np.ndarray, " f"], float] | None = None

    @property
    def size(self) -> int:
        """How many numbers it covers; 1 for a direction."""
        return 1 if self.direction is not None else int(sum(m.sum() for m in self.masks.values()))


def axis_of(layer: Layer, ndim: int) -> int:
    """Which axis of a value without its batch counts the units."""
    return 0 if layer.kind in ("conv", "heads") else ndim - 1


def joined(parts: Sequence[Part]) -> Part:
    """Several parts as one. Raises InputError where there are none, or a direction is not alone."""
    if not parts:
        raise InputError("Name at least one part: LAYER:3,7-9, module:2, units:patch@LAYER or direction:patch@LAYER.")
    if len(parts) == 1:
        return parts[0]
    if any(p.direction is not None for p in parts):
        raise InputError("A direction is changed alone, not together with other parts.")
    masks: dict[int, Bool[np.ndarray, "..."]] = {}
    for part in parts:
        for layer, mask in part.masks.items():
            masks[layer] = masks[layer] | mask if layer in masks else mask
    return Part(" + ".join(p.name for p in parts), masks)


def part_of(
    text: str,
    units: Units,
    modules: Path | None,
    concepts: Path | None,
    named: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
) -> Part:
    """The part that a user names.

    Args:
        text: the name of a module or a function of a run, or
            `LAYER:3,7-9`, `module:2`, `units:CONCEPT@LAYER` or `direction:CONCEPT@LAYER`.
        units: the network.
        modules, concepts: files that `exegesis modules` and `exegesis concepts` wrote.
        named: of a run, what its program calls its modules and functions: units by layer.

    Raises:
        InputError: there is no such part, or a file that it needs is not there or says something else.
    """
    if named and text in named:
        layers = [(_layer(name, units), chosen) for name, chosen in named[text].items()]
        return Part(text, {layer.index: _mask(units, layer, list(chosen)) for layer, chosen in layers})
    kind, colon, what = text.partition(":")
    if (not colon or not what) and named:
        raise InputError(f"The program has no module or function {text!r}; it has {', '.join(map(repr, named))}.")
    if not colon or not what:
        raise InputError(
            f"{text!r} names no part; write LAYER:3,7-9, module:2, units:patch@LAYER or direction:patch@LAYER."
        )
    if kind == "module":
        return _module(text, what, units, _json(modules, "--modules", "exegesis modules"))
    if kind in ("units", "direction"):
        return _concept(text, kind, what, units, _json(concepts, "--concepts", "exegesis concepts"))
    layer = _layer(kind, units)
    return Part(text, {layer.index: _mask(units, layer, _numbers(what, text))})


def _json(path: Path | None, option: str, command: str) -> Mapping[str, Any]:
    if path is None:
        raise InputError(f"This part needs {option} with the file that `{command} --out` wrote.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise InputError(f"{path} is not what `{command} --out` writes.") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not what `{command} --out` writes.")
    return found


def _layer(name: str, units: Units) -> Layer:
    for layer in units.layers:
        if name in (layer.node, str(layer.index)):
            return layer
    raise InputError(f"The network has no layer {name!r}; it has {', '.join(layer.node for layer in units.layers)}.")


def _numbers(what: str, text: str) -> list[int]:
    found: list[int] = []
    for piece in what.split(","):
        low, dash, high = piece.strip().partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise InputError(f"{text!r}: units are whole numbers such as 3,7-9.")
        found.extend(range(int(low), int(high or low) + 1))
    return found


def _value_shape(units: Units, layer: Layer) -> tuple[int, ...]:
    """Shape of a layer's value without the batch."""
    if len(layer.nodes) != 1:
        raise InputError(f"Layer {layer.node} is recurrent; only layers with one value can be changed.")
    places = layer.spatial
    return (layer.units, *places) if layer.kind in ("conv", "heads") else (*places, layer.units)


def _mask(units: Units, layer: Layer, chosen: Sequence[int]) -> Bool[np.ndarray, "..."]:
    if not chosen or max(chosen) >= layer.units:
        wrong = max(chosen, default=0)
        raise InputError(f"Layer {layer.node} has {layer.units} units; there is no unit {wrong}.")
    mask = np.zeros(_value_shape(units, layer), dtype=bool)
    np.moveaxis(mask, axis_of(layer, mask.ndim), 0)[list(chosen)] = True
    return mask


def _module(text: str, what: str, units: Units, file: Mapping[str, Any]) -> Part:
    for module in file.get("modules", []):
        if what in (str(module["module"]).removeprefix("module "), module.get("name")):
            layers = {_layer(name, units): found for name, found in module["units"].items() if found}
            masks = {layer.index: _mask(units, layer, found) for layer, found in layers.items()}
            for name, found in module.get("neurons", {}).items():
                layer = _layer(name, units)
                masks[layer.index] = _neurons(units, layer, found)
            if not masks:
                raise InputError(f"Module {what} has no hidden units, so that nothing of it can be changed.")
            return Part(f"{text} ({module['name']})" if module.get("name") else text, masks)
    have = ", ".join(str(m["module"]).removeprefix("module ") for m in file.get("modules", [])) or "none"
    raise InputError(f"The file has no module {what!r}; it has {have}.")


def _concept(text: str, kind: str, what: str, units: Units, file: Mapping[str, Any]) -> Part:
    attribute, at, name = what.partition("@")
    field = "carriers" if kind == "units" else "suppression"
    for found in file.get("found", []):
        if found["attribute"] == attribute and (not at or found["layer"] == name) and field in found:
            layer = _layer(found["layer"], units)
            shape = _value_shape(units, layer)
            if kind == "direction":
                direction = np.array(found[field]["direction"], dtype=np.float64)
                if len(direction) != math.prod(shape):
                    raise InputError(f"The direction of {attribute} has {len(direction)} numbers; {shape} are needed.")
                return Part(text, {}, (layer.index, direction, float(found[field]["centre"])))
            return Part(text, {layer.index: _neurons(units, layer, found[field])})
    raise InputError(f"The file has no {'units' if kind == 'units' else 'direction'} for {what!r}.")


def _neurons(units: Units, layer: Layer, found: Mapping[str, Any]) -> Bool[np.ndarray, "..."]:
    """Whole units, or single neurons where the file gives places."""
    if found.get("places") is None:
        return _mask(units, layer, found["units"])
    mask = np.zeros(_value_shape(units, layer), dtype=bool)
    by_unit = np.moveaxis(mask, axis_of(layer, mask.ndim), 0)
    try:
        by_unit[(np.array(found["units"]), *np.array(found["places"]).T)] = True
    except IndexError:
        raise InputError(f"The file names neurons that layer {layer.node} does not have.") from None
    return mask
