"""Draws a dataflow as SVG: layers from top to bottom, few crossings, arrows that do not run through boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from exegesis.emit.dataflow import Dataflow, Flow, Unit

_CHARACTER = 7.4  # width in pixels at 13 px, monospaced
_LINE, _PADDING, _GAP, _BETWEEN = 17.0, 12.0, 28.0, 54.0
_NOTE = 34  # characters to a line of a note
_SWEEPS = 12


@dataclass
class _Box:
    """A unit, or a place that a long arrow passes through (no unit), with its place on the page."""

    unit: Unit | None
    lines: list[str]
    x: float = 0.0
    y: float = 0.0
    room: float = 0.0  # height of the layer

    @property
    def width(self) -> float:
        if self.unit is None:
            return 8.0
        longest = max([len(self.unit.name) * 1.06, *(len(line) * 0.94 for line in self.lines)])
        return longest * _CHARACTER + 2 * _PADDING

    @property
    def height(self) -> float:
        if self.unit is None:
            return self.room
        return _LINE * (1 + len(self.lines)) + 2 * _PADDING - 6


def draw(flow: Dataflow) -> str:
    """An `<svg>` element whose colours come from the classes of the page it is put in."""
    layers, boxes, routes = _layered(flow)
    _place(layers, boxes, routes)
    named = _named(routes, boxes)
    right = [box.x + box.width / 2 for box in boxes.values()]
    right += [boxes[k].x + 7 + 0.94 * _CHARACTER * len(text) for k, text in named.items()]
    width, height = max(right) + _GAP, max(box.y + box.height for box in boxes.values()) + _GAP / 2
    arrows = [_arrow(one, [boxes[k] for k in route]) for one, route in routes]
    drawn = [_box(box) for box in boxes.values() if box.unit is not None]
    labels = [_label(boxes[k], text) for k, text in named.items()]
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg class="flow" {size} role="img"><title>How variables flow through the program</title>'
    return "\n".join([head, *arrows, *labels, *drawn, "</svg>"])


_Routes = list[tuple[Flow, list[str]]]


def _layered(flow: Dataflow) -> tuple[list[list[str]], dict[str, _Box], _Routes]:
    """Layers of keys from top to bottom, boxes by key, and for each flow the keys that its arrow passes through."""
    depth: dict[str, int] = {}
    for unit in flow.units:
        depth[unit.key] = max((depth[f.source] + 1 for f in flow.flows if f.target == unit.key), default=0)
    for unit in reversed(flow.units):  # inputs move down to who reads them
        below = [depth[f.target] for f in flow.flows if f.source == unit.key]
        if below and not any(f.target == unit.key for f in flow.flows):
            depth[unit.key] = min(below) - 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    boxes = {u.key: _Box(u, _wrapped(u.note)) for u in flow.units}
    for unit in flow.units:
        layers[depth[unit.key]].append(unit.key)
    routes: _Routes = []
    for k, one in enumerate(flow.flows):
        route = [one.source]
        for level in range(depth[one.source] + 1, depth[one.target]):
            key = f"way {k} {level}"
            boxes[key] = _Box(None, [])
            layers[level].append(key)
            route.append(key)
        routes.append((one, [*route, one.target]))
    return layers, boxes, routes


def _place(layers: list[list[str]], boxes: Mapping[str, _Box], routes: _Routes) -> None:
    """Orders each layer by where its neighbours stand, then gives every box its place."""
    steps = [pair for _, route in routes for pair in pairwise(route)]
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for a, b in steps:
        below.setdefault(a, []).append(b)
        above.setdefault(b, []).append(a)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            rank = {k: float(i) for other in layers for i, k in enumerate(other)}
            near = above if down else below
            layer.sort(key=lambda k: _mean([rank[n] for n in near.get(k, ())], rank[k]))
    y = 6.0
    for layer in layers:
        room = max(boxes[k].height for k in layer)
        for key in layer:
            boxes[key].y, boxes[key].room = y, room
        y += room + _BETWEEN
    for layer in layers:
        _spread(layer, boxes, [0.0] * len(layer))
    for sweep in range(2 * _SWEEPS):
        near = above if sweep % 2 == 0 else below
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _spread(layer, boxes, [_mean([boxes[n].x for n in near.get(k, ())], boxes[k].x) for k in layer])
    left = min(boxes[k].x - boxes[k].width / 2 for layer in layers for k in layer)
    for box in boxes.values():
        box.x += _GAP - left


def _spread(layer: Sequence[str], boxes: Mapping[str, _Box], wanted: Sequence[float]) -> None:
    """Places a layer as near to where its boxes want to be as their widths allow."""
    right = float("-inf")
    for key, x in zip(layer, wanted, strict=True):
        box = boxes[key]
        box.x = max(x, right + box.width / 2)
        right = box.x + box.width / 2 + _GAP
    shift = sum(x - boxes[k].x for k, x in zip(layer, wanted, strict=True)) / len(layer)
    for key in layer:
        boxes[key].x += shift


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _arrow(flow: Flow, route: Sequence[_Box]) -> str:
    end = route[-1]
    path = f"M{route[0].x:.1f} {route[0].y + route[0].height:.1f}"
    for a, b in pairwise(route):
        top, bottom = a.y + a.height, b.y - (5 if b is end else 0)
        half = (bottom - top) / 2
        path += f" C{a.x:.1f} {top + half:.1f} {b.x:.1f} {bottom - half:.1f} {b.x:.1f} {bottom:.1f}"
        if b is not end:
            path += f" V{b.y + b.height:.1f}"  # straight past the boxes of this layer
    tip = f"M{end.x - 4:.1f} {end.y - 7:.1f} L{end.x:.1f} {end.y - 1:.1f} L{end.x + 4:.1f} {end.y - 7:.1f} Z"
    return f'<path class="arrow" d="{path}"/><path class="tip" d="{tip}"/>'


def _named(routes: _Routes, boxes: Mapping[str, _Box]) -> dict[str, str]:
    """What is written below a box: the variables it gives, but for one that bears the name of the box."""
    named: dict[str, list[str]] = {}
    for flow, _ in routes:
        unit = boxes[flow.source].unit
        known = ("" if unit is None else unit.name, *named.get(flow.source, ()))
        if flow.target != "answer" and flow.variable not in known:
            named.setdefault(flow.source, []).append(flow.variable)
    return {key: ", ".join(variables) for key, variables in named.items()}


def _label(box: _Box, text: str) -> str:
    return f'<text class="variable" x="{box.x + 7:.1f}" y="{box.y + box.height + 15:.1f}">{escape(text)}</text>'


def _box(box: _Box) -> str:
    unit = box.unit
    assert unit is not None
    opaque = " opaque" if unit.opaque > 0.5 else ""
    corner = box.height / 2 if unit.kind in ("input", "answer") else 7
    left = box.x - box.width / 2
    lines = [
        f'<g class="box {unit.kind}{opaque}">',
        f'<rect x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{corner:.1f}"/>',
        f'<text class="name" x="{box.x:.1f}" y="{box.y + _PADDING + 9:.1f}">{escape(unit.name)}</text>',
    ]
    for k, line in enumerate(box.lines, 1):
        y = box.y + _PADDING + 9 + k * _LINE
        lines.append(f'<text class="note" x="{box.x:.1f}" y="{y:.1f}">{escape(line)}</text>')
    return "".join([*lines, "</g>"])


def _wrapped(note: str) -> list[str]:
    """At most two lines of a note."""
    lines: list[str] = []
    for word in note.split():
        if lines and len(lines[-1]) + 1 + len(word) <= _NOTE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines if len(lines) <= 2 else [lines[0], f"{lines[1]} …"]
