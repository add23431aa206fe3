"""The picture of a program: nothing missing, nothing on top of anything else."""

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from xml.etree import ElementTree

import pytest

from exegesis.emit.dataflow import Dataflow, Flow, Unit, dataflow
from exegesis.emit.diagram import draw
from exegesis.ir import Graph

Graphs = Mapping[str, Callable[[], Graph]]


def rectangles(svg: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom of every box."""
    found = []
    for rect in ElementTree.fromstring(svg).iter("rect"):
        x, y, w, h = (float(rect.attrib[a]) for a in ("x", "y", "width", "height"))
        found.append((x, y, x + w, y + h))
    return found


def apart(svg: str) -> bool:
    """Whether no two boxes touch."""
    return all(
        a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in combinations(rectangles(svg), 2)
    )


def test_boxes_of_a_program(programs: Graphs) -> None:
    flow = dataflow(programs["unique_copy"]())
    assert [(u.kind, u.name) for u in flow.units] == [
        ("input", "tokens"),
        ("function", "previous_token"),
        ("function", "what_followed"),
        ("operation", "relabel"),
        ("answer", "answer"),
    ]
    names = {u.key: u.name for u in flow.units}
    assert [(names[f.source], names[f.target], f.variable) for f in flow.flows] == [
        ("tokens", "previous_token", "tokens"),
        ("tokens", "what_followed", "tokens"),
        ("previous_token", "what_followed", "previous_token"),
        ("what_followed", "relabel", "copied"),
        ("relabel", "answer", "renamed"),
    ]


def test_what_is_opaque_is_marked(programs: Graphs) -> None:
    flow = dataflow(programs["mixed"]())
    opaque = {u.name for u in flow.units if u.opaque > 0.5}
    assert {"mlp", "embed", "linear"} <= opaque
    assert "share" not in opaque
    assert 'class="box function opaque"' in draw(flow)


def test_every_program_can_be_drawn(programs: Graphs) -> None:
    for make in programs.values():
        flow = dataflow(make())
        svg = draw(flow)
        assert len(rectangles(svg)) == len(flow.units)
        assert svg.count('class="arrow"') == len(flow.flows)
        assert apart(svg)


def wide(n: int) -> Dataflow:
    """Many boxes side by side, each with an arrow that skips a layer."""
    units = [Unit("in", "input", "tokens"), *(Unit(f"u{k}", "operation", f"box_{k}") for k in range(n))]
    units += [Unit("sum", "function", "all_of_them", "takes everything"), Unit("answer", "answer", "answer")]
    flows = [Flow("in", f"u{k}", "tokens") for k in range(n)]
    flows += [Flow(f"u{k}", "sum", f"v{k}") for k in range(n)]
    flows += [Flow(f"u{k}", "answer", f"v{k}") for k in range(n)]
    return Dataflow(tuple(units), (*flows, Flow("sum", "answer", "s")))


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_boxes_never_overlap_and_stay_on_the_page(n: int) -> None:
    svg = draw(wide(n))
    assert apart(svg)
    width, height = (float(ElementTree.fromstring(svg).attrib[a]) for a in ("width", "height"))
    assert all(0 <= a < c <= width and 0 <= b < d <= height for a, b, c, d in rectangles(svg))


def test_the_measure_of_overlap_sees_one() -> None:
    rect = '<rect x="0" y="0" width="9" height="9"/>'
    assert not apart(f"<svg>{rect}{rect}</svg>")


def test_long_arrows_pass_beside_the_boxes_between() -> None:
    svg = draw(wide(5))
    boxes = rectangles(svg)
    straight = re.findall(r"([\d.]+) ([\d.]+) V([\d.]+)", svg)
    assert len(straight) == 5
    for x, top, bottom in ((float(a), float(b), float(c)) for a, b, c in straight):
        assert not any(a <= x <= c and b < bottom and top < d for a, b, c, d in boxes)


def test_a_crowd_of_operations_is_left_out(programs: Graphs) -> None:
    from exegesis.emit import dataflow as module

    graph = programs["mixed"]()
    whole = dataflow(graph)
    few = module._functions_only(whole)
    assert [u.name for u in few.units] == ["tokens", "mlp", "answer"]
    names = {u.key: u.name for u in few.units}
    assert {(names[f.source], names[f.target]) for f in few.flows} == {
        ("tokens", "mlp"),
        ("tokens", "answer"),
        ("mlp", "answer"),
    }


def test_names_are_escaped() -> None:
    units = (Unit("a", "input", "<b>&"), Unit("answer", "answer", "answer"))
    svg = draw(Dataflow(units, (Flow("a", "answer", "x"),)))
    assert "&lt;b&gt;&amp;" in svg
