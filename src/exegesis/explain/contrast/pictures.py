"""Pictures of what-if explanations."""

from __future__ import annotations

import numpy as np

from exegesis.explain.contrast.tree_layout import Place, places_of
from exegesis.explain.core import Explanation
from exegesis.explain.figure import (
    FAINT,
    FOR,
    INK,
    PALETTE,
    Axes,
    Figure,
    Picture,
    bare,
    blank,
    show_image,
    show_map,
)
from exegesis.explain.framing import as_image, check_named, frame, is_picture, percent, share, tokens_line

MOST = 8  # inputs in one picture
BARS = 15  # features in one picture
CURVES = 40


def counterfactuals_picture(found: Explanation) -> Picture:
    """Images with what changed, letters exchanged, or columns moved."""
    shown = [k for k in range(len(found.raw["rows"])) if k not in found.undefined][:MOST]
    turned = [_turn(found, k) for k in shown]
    title = f"The smallest changes found that turn the answer of {len(shown)} of {len(found.raw['rows'])}"

    def draw() -> Figure:
        if not shown:
            figure, axes = blank(5.6, 0.9)
            bare(axes[0, 0])
        elif "least" not in found.raw:
            figure = _exchanged(found, shown, turned)
        elif is_picture(found.raw["inputs"][0]):
            figure = _changed_images(found, shown, turned)
        else:
            figure = _moved_columns(found, shown[:4], turned)
        frame(figure, title, found)
        return figure

    return Picture(draw, f"{title}: {'; '.join(turned)}. {found.why}")


def _turn(found: Explanation, k: int) -> str:
    before, after = (found.name_of("outputs", int(found.raw[key][k])) for key in ("before", "after"))
    return f"{before} → {after}"


def _changed_images(found: Explanation, shown: list[int], turned: list[str]) -> Figure:
    figure, axes = blank(0.95 * len(shown) + 0.9, 3.6, 3, len(shown))
    raw = found.raw
    for x, k in enumerate(shown):
        before, after = (as_image(raw[key][k]) for key in ("inputs", "changed"))
        show_image(axes[0, x], before)
        show_image(axes[1, x], after)
        change = after - before
        show_map(axes[2, x], change.sum(0) if change.ndim == 3 else change)
        axes[0, x].set_title(turned[x], pad=3)
        axes[2, x].set_xlabel(f"{raw['places'][k]} places", fontsize=7)
    for y, word in enumerate(("input", "turned", "change")):
        axes[y, 0].set_ylabel(word)
    return figure


def _exchanged(found: Explanation, shown: list[int], turned: list[str]) -> Figure:
    raw = found.raw
    length = int((raw["inputs"] >= 0).sum(1).max())
    figure, axes = blank(1.7 + 0.24 * length, 1.0 + 0.5 * len(shown))
    at = axes[0, 0]
    for line, k in enumerate(shown):
        before, after = raw["inputs"][k], raw["changed"][k]
        other = np.flatnonzero(before != after).tolist()
        for y, ids in ((2.3 * line, before), (2.3 * line + 0.85, after)):
            labels = [found.name_of("tokens", int(token)) for token in ids if token >= 0]
            tokens_line(at, labels, y, other if ids is after else [], color=INK if ids is after else FAINT)
        at.text(-1.0, 2.3 * line + 0.4, turned[line], ha="right", va="center", fontsize=8)
    at.set(xlim=(-5.5, length - 0.4), ylim=(2.3 * len(shown) - 0.7, -0.8))
    bare(at)
    return figure


def _moved_columns(found: Explanation, shown: list[int], turned: list[str]) -> Figure:
    """An arrow per column that moved, within the range of the data."""
    raw, most = found.raw, 8
    span = np.where(raw["greatest"] > raw["least"], raw["greatest"] - raw["least"], 1.0)
    counts = [int((raw["inputs"][k] != raw["changed"][k]).sum()) for k in shown]
    heights = [0.5 + 0.2 * min(most, count) for count in counts]
    figure, axes = blank(5.6, sum(heights) + 0.8, len(shown), 1, height_ratios=heights)
    for panel, k in enumerate(shown):
        at = axes.flat[panel]
        before, after = ((raw[key][k] - raw["least"]) / span for key in ("inputs", "changed"))
        moved = np.argsort(-np.abs(after - before), kind="stable")
        moved = moved[np.abs(after - before)[moved] > 0]
        for y, column in enumerate(moved[:most]):
            ends = {"xy": (after[column], y), "xytext": (before[column], y)}
            at.annotate("", **ends, arrowprops={"arrowstyle": "->", "color": FOR, "lw": 1.4})
            at.plot(before[column], y, "o", ms=3.5, color=FAINT)
            says = f"{raw['inputs'][k][column]:.4g} → {raw['changed'][k][column]:.4g}"
            at.text(1.03, y, says, va="center", fontsize=7, transform=at.get_yaxis_transform())
        names = [found.name_of("features", int(column)) for column in moved[:most]]
        at.set_yticks(range(len(names)), names, fontsize=7)
        at.set(xlim=(-0.02, 1.02), ylim=(min(most, len(moved)) - 0.5, -0.5), xticks=[0, 1])
        at.set_xticklabels(["least", "greatest"], fontsize=7)
        more = f"; {len(moved) - most} smaller changes are not drawn" if len(moved) > most else ""
        at.set_title(f"row {raw['rows'][k]}: {turned[panel]}{more}", loc="left", fontsize=8)
        at.tick_params(axis="y", length=0)
    return figure


def anchor_picture(found: Explanation) -> Picture:
    """What is held of the input; the rest is faint."""
    precision, coverage = check_named(found, "precision"), check_named(found, "coverage")
    answer, row = (found.provenance.parameters[key] for key in ("answer", "row"))
    title = f"What suffices for {answer} in row {row}: precision ≥ {share(precision)}, covers {share(coverage)}"

    def draw() -> Figure:
        raw = found.raw
        if "low" in raw:
            figure = _held_columns(found)
        elif "position" in raw:
            figure = _held_letters(found)
        elif is_picture(raw["input"]):
            figure = _held_pixels(found)
        else:
            figure, axes = blank(5.0, 0.8)
            bare(axes[0, 0])
            numbers = ", ".join(found.name_of("features", int(k)) for k in raw["features"][:20])
            axes[0, 0].text(0, 0.5, f"held: {numbers}", transform=axes[0, 0].transAxes)
        frame(figure, title, found)
        return figure

    return Picture(draw, f"{title}. {found.why}")


def _held_pixels(found: Explanation) -> Figure:
    image = as_image(found.raw["input"])
    held = np.zeros(found.raw["input"].size, dtype=bool)
    held[found.raw["features"]] = True
    held = as_image(held.reshape(found.raw["input"].shape))
    mask = np.asarray(held.any(0) if held.ndim == 3 else held)
    figure, axes = blank(3.6, 2.3, 1, 2)
    for at, word in zip(axes[0], ("input", "held; hatched: from others"), strict=True):
        show_image(at, image)
        at.set_title(word, fontsize=8, pad=3)
    _veil(axes[0, 1], mask)
    return figure


def _veil(axes: Axes, mask: np.ndarray) -> None:
    """Covers what is not held by a hatched veil."""
    from matplotlib.patches import Rectangle

    for y, x in np.argwhere(~mask):
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="#dbe9f6", edgecolor="#9fbfdc", hatch="////", linewidth=0)
        )


def _held_letters(found: Explanation) -> Figure:
    raw = found.raw
    ids = [int(token) for token in raw["input"] if token >= 0]
    held = raw["features"].tolist()
    figure, axes = blank(max(5.0, 1.2 + 0.3 * len(ids)), 1.5)
    at = axes[0, 0]
    for x, token in enumerate(ids):
        framed = x in held
        box = {"facecolor": "white", "edgecolor": FOR, "pad": 1.8, "linewidth": 1.2} if framed else None
        at.text(
            x, 0, found.name_of("tokens", token), ha="center", va="center", fontsize=9, bbox=box,
            color=INK if framed else FAINT, weight="bold" if framed else "normal",
        )  # fmt: skip
    arrow = {"arrowstyle": "->", "color": FAINT, "lw": 0.8}
    place = int(raw["position"])
    at.annotate("answer", (place, 0.45), (place, 1.6), ha="center", va="top", fontsize=7, arrowprops=arrow)
    at.set(xlim=(-0.8, len(ids) - 0.2), ylim=(1.7, -0.6))
    bare(at)
    return figure


def _held_columns(found: Explanation) -> Figure:
    """The side of each column that is held, in the range of the data, and where the row lies."""
    raw = found.raw
    count = len(raw["features"])
    figure, axes = blank(5.6, 1.1 + 0.23 * max(1, count))
    at = axes[0, 0]
    for y, column in enumerate(raw["features"]):
        least, greatest = float(raw["least"][column]), float(raw["greatest"][column])
        span = (greatest - least) or 1.0
        low, high, own = (
            float(np.clip((end - least) / span, 0, 1)) for end in (raw["low"][y], raw["high"][y], raw["values"][y])
        )
        at.barh(y, 1, height=0.5, color="#eeeeee")
        at.barh(y, high - low, left=low, height=0.5, color=PALETTE[4])
        at.plot(own, y, "o", ms=4, color=INK)
        below, above = np.isfinite(raw["high"][y]), np.isfinite(raw["low"][y])
        says = " ".join(
            [*([f"> {raw['low'][y]:.4g}"] if above else []), *([f"≤ {raw['high'][y]:.4g}"] if below else [])]
        )
        at.text(1.02, y, says, va="center", fontsize=7)
    at.set_yticks(range(count), [found.name_of("features", int(k)) for k in raw["features"]], fontsize=7)
    at.tick_params(axis="y", length=0)
    at.set(xlim=(0, 1.18), ylim=(count - 0.4, -0.6), xticks=[0, 1])
    at.set_xticklabels(["least", "greatest"], fontsize=7)
    return figure


def importance_picture(found: Explanation) -> Picture:
    """Bars of the features that matter most."""
    drops = found.raw["drops"]
    mean, spread = drops.mean(0), drops.std(0)
    order = np.argsort(-mean, kind="stable")[:BARS]
    order = order[mean[order] > 0]
    best = found.name_of("features", int(order[0])) if len(order) else "none"
    title = "No answer changes with any feature" if not len(order) else (
        f"Answers need {best} most: dealt out anew, {percent(float(mean[order[0]]))} of them change"
    )  # fmt: skip

    def draw() -> Figure:
        figure, axes = blank(5.2, 1.1 + 0.21 * max(1, len(order)))
        at = axes[0, 0]
        ends = {"ecolor": FAINT, "elinewidth": 1.0, "capsize": 2}
        at.barh(range(len(order)), mean[order], xerr=spread[order], height=0.62, color=PALETTE[0], error_kw=ends)
        at.set_yticks(range(len(order)), [found.name_of("features", int(k)) for k in order], fontsize=7.5)
        at.tick_params(axis="y", length=0)
        at.set(ylim=(max(1, len(order)) - 0.4, -0.6), xlim=(0, None), xlabel="share of answers that change")
        at.xaxis.set_major_formatter(lambda value, _: percent(value))
        frame(figure, title, found)
        return figure

    return Picture(draw, f"{title}. {found.why}")


def dependence_picture(found: Explanation) -> Picture:
    """Partial dependence and accumulated local effects above single inputs; ticks below: where the data lie."""
    raw = found.raw
    feature, output = (
        found.name_of(kind, int(found.provenance.parameters[key]))
        for kind, key in (("features", "feature"), ("outputs", "output"))
    )
    moved = float(np.ptp(raw["mean"]))
    title = f"The logit of {output} moves by {moved:.2g} as {feature} goes through the data"

    def draw() -> Figure:
        figure, axes = blank(5.2, 3.6)
        at, level = axes[0, 0], raw["mean"].mean()
        single = raw["each"][:CURVES].T + raw["mean"][0] - level
        at.plot(raw["grid"], single, color=PALETTE[6], lw=0.5, alpha=0.45)
        at.plot([], [], color=PALETTE[6], lw=0.8, label="single inputs")
        at.plot(raw["grid"], raw["mean"] - level, color=PALETTE[0], lw=2, label="partial dependence")
        at.plot(raw["edges"], raw["local"], color=PALETTE[5], lw=2, ls="--", label="accumulated local effects")
        ticks = np.quantile(raw["values"], np.linspace(0.02, 0.98, 25))
        at.plot(ticks, np.full(len(ticks), 0.012), "|", color=INK, ms=5, mew=0.7, transform=at.get_xaxis_transform())
        at.set(xlabel=feature, ylabel=f"logit of {output}, centred")
        at.legend(frameon=False, fontsize=7.5)
        frame(figure, title, found)
        return figure

    return Picture(draw, f"{title}. {found.why}")


def surrogate_picture(found: Explanation) -> Picture:
    """The tree, its root to the left; each leaf says its answer and the share of inputs it takes."""
    raw = found.raw
    places = places_of(raw["feature"], raw["left"], raw["right"])
    leaves = int((raw["feature"] < 0).sum())
    depth = max(place.depth for place in places)
    fidelity = check_named(found, "fidelity")
    title = f"A tree of {leaves} leaves says what the network says of {share(fidelity)} of held-out inputs"

    def draw() -> Figure:
        figure, axes = blank(1.75 * depth + 2.0, 1.0 + 0.34 * leaves)
        at = axes[0, 0]
        for node, place in enumerate(places):
            _draw_node(at, found, node, place, places)
        at.set(xlim=(-0.05, depth + 0.75), ylim=(leaves - 0.4, -0.6))
        bare(at)
        frame(figure, title, found, legend="Above: the condition holds; below: it does not.")
        return figure

    return Picture(draw, f"{title}. {found.why}")


def _draw_node(at: Axes, found: Explanation, node: int, place: Place, places: list[Place]) -> None:
    raw = found.raw
    if raw["feature"][node] < 0:
        answer = int(raw["answer"][node])
        at.plot(place.depth, place.height, "s", ms=7, color=PALETTE[answer % len(PALETTE)])
        label = found.name_of("outputs", answer)
        at.text(
            place.depth + 0.06, place.height, f"{label} · {percent(float(raw['share'][node]))}", va="center", fontsize=8
        )
        return
    for child in (int(raw["left"][node]), int(raw["right"][node])):
        end = places[child]
        width = 0.6 + 3.0 * float(raw["share"][child])
        across, down = [place.depth, place.depth, end.depth], [place.height, end.height, end.height]
        at.plot(across, down, color="#cccccc", lw=width, zorder=0, solid_joinstyle="round")
    condition = f"{found.name_of('features', int(raw['feature'][node]))} ≤ {raw['threshold'][node]:.3g}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    at.text(place.depth + 0.04, place.height, condition, va="center", fontsize=7.5, bbox=box)
