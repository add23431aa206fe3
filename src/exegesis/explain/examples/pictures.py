"""Pictures of explanations by example."""

from __future__ import annotations

import numpy as np

from exegesis.explain.core import Explanation
from exegesis.explain.examples.retraining import NAME as DATAMODELING
from exegesis.explain.figure import FAINT, FOR, PALETTE, Axes, Figure, Picture, bare, blank
from exegesis.explain.framing import BARS, as_image, check_named, draw_input, frame, is_picture, percent, share

CELL = 0.86
MOST = 6  # questions in one picture


def influence_picture(found: Explanation) -> Picture:
    """Each question, then what speaks for its answer, then what speaks against it."""
    raw = found.raw
    questions, each = min(MOST, len(raw["rows"])), raw["examples"].shape[2]

    def draw() -> Figure:
        width = _width(raw["inputs"][0])
        figure, axes = blank(
            width * (2 * each + 1) + 1.0, _height(raw["inputs"][0]) * questions + 1.5, questions, 2 * each + 3,
            width_ratios=[1, 0.25, *[1] * each, 0.25, *[1] * each],
        )  # fmt: skip
        for y in range(questions):
            for gap in (1, each + 2):
                axes[y, gap].set_axis_off()
            draw_input(axes[y, 0], raw["inputs"][y], raw)
            axes[y, 0].set_title(f"says {found.name_of('outputs', int(raw['answers'][y]))}", pad=3)
            axes[y, 0].set_ylabel(f"row {raw['rows'][y]}")
            for side in range(2):
                for k in range(each):
                    at = axes[y, 2 + k + side * (each + 1)]
                    row = int(raw["examples"][y, side, k])
                    draw_input(at, raw["example_inputs"][y, side, k], raw)
                    label = found.name_of("outputs", int(raw["example_labels"][y, side, k]))
                    at.set_title(f"{label} {_signed(float(raw['scores'][y, row]))}", pad=3, fontsize=7)
        for side, word in enumerate(("speak for it", "speak against it")):
            at = axes[0, 2 + side * (each + 1)]
            colour = (FOR, PALETTE[0])[side]
            at.annotate(
                word, (0, 1), (0, 16), xycoords="axes fraction", textcoords="offset points", color=colour, weight="bold"
            )
        score = check_named(found, DATAMODELING)
        tested = "untested" if score.value is None else f"rank correlation with retraining {score.value:.2f}"
        frame(
            figure, f"Training examples by {found.provenance.method}: {tested}", found, legend=_legend(raw["inputs"][0])
        )
        return figure

    alt = f"{questions} inputs with the training examples that speak most for and against their answers."
    return Picture(draw, f"{alt} {found.why}")


def neighbours_picture(found: Explanation) -> Picture:
    """Each input, and to its right the training inputs nearest to it; those with another answer are framed."""
    raw = found.raw
    questions, each = min(MOST, len(raw["queries"])), raw["rows"].shape[1]

    def draw() -> Figure:
        one = raw["inputs"][0]
        figure, axes = blank(
            _width(one) * (each + 1) + 1.0, _height(one) * questions + 1.2, questions, each + 2,
            width_ratios=[1, 0.25, *[1] * each],
        )  # fmt: skip
        for y in range(questions):
            axes[y, 1].set_axis_off()
            draw_input(axes[y, 0], raw["inputs"][y], raw)
            axes[y, 0].set_title(f"says {found.name_of('outputs', int(raw['answers'][y]))}", pad=3)
            axes[y, 0].set_ylabel(f"row {raw['queries'][y]}")
            for k in range(each):
                at, answer = axes[y, k + 2], int(raw["neighbour_answers"][y, k])
                draw_input(at, raw["neighbour_inputs"][y, k], raw)
                same = answer == raw["answers"][y]
                name = found.name_of("outputs", answer)
                at.set_title(f"{name} {raw['likeness'][y, k]:.2f}" + ("" if same else " ✗"), pad=3, fontsize=7)
                if not same:
                    _framed(at)
        agree = share(check_named(found, "same answer"))
        layer = found.provenance.parameters["layer"]
        frame(figure, f"Nearest training inputs in {layer}: {agree} get the same answer", found, legend=_legend(one))
        return figure

    return Picture(draw, f"{questions} inputs, each with the {each} training inputs nearest to it. {found.why}")


def prototypes_picture(found: Explanation) -> Picture:
    """Prototypes above with how many inputs each stands for, criticisms below."""
    raw = found.raw
    across = 10

    def draw() -> Figure:
        one = raw["prototype_inputs"][0]
        kinds = [("prototypes", "stand for"), ("criticisms", "left out")]
        lines = [-(-len(raw[kind]) // across) for kind, _ in kinds]
        columns = min(across, len(raw["prototypes"]))
        figure, axes = blank(_width(one) * columns + 0.8, _height(one) * sum(lines) + 1.2, sum(lines), columns)
        for at in axes.flat:
            at.set_axis_off()
        for kind, (name, word) in enumerate(kinds):
            for k in range(len(raw[name])):
                at = axes[sum(lines[:kind]) + k // columns, k % columns] if columns else axes[0, 0]
                at.set_axis_on()
                draw_input(at, raw[f"{name[:-1]}_inputs"][k], raw)
                label = found.name_of("outputs", int(raw[f"{name[:-1]}_answers"][k]))
                counted = f" · {percent(float((raw['of'] == k).mean()))}" if kind == 0 else ""
                at.set_title(f"{label}{counted}", pad=3, fontsize=7)
                if k % columns == 0:
                    at.set_ylabel(word)
        stands = check_named(found, "stands for others")
        frame(
            figure, f"{len(raw['prototypes'])} inputs that stand for the others: the nearest has the answer of "
            f"{share(stands)} (at random {percent(stands.nulls.get('as many at random', float('nan')))})", found,
                legend=_legend(one),
        )  # fmt: skip
        return figure

    return Picture(draw, f"{len(raw['prototypes'])} prototypes and {len(raw['criticisms'])} criticisms. {found.why}")


def _width(one: np.ndarray) -> float:
    if not is_picture(one):
        return 1.3
    image = as_image(one)
    return CELL * max(1.0, float(image.shape[-1] / image.shape[-2]))


def _height(one: np.ndarray) -> float:
    return 1.02 if is_picture(one) else 0.74


def _legend(one: np.ndarray) -> str:
    return "" if is_picture(one) else BARS


def _signed(value: float) -> str:
    return (f"{value:+.0f}" if abs(value) >= 10 else f"{value:+.2g}").replace("-", "−")


def _framed(axes: Axes) -> None:
    bare(axes)
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT, linewidth=1.2, linestyle="--")
