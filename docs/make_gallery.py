"""Makes the pictures of the gallery: `make gallery`, or `python docs/make_gallery.py [NAME …]`.

Every picture is computed here and now from networks of the zoo. Each is a file in `docs/images/gallery`, below 60 KB.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from exegesis.behavior import Behavior
from exegesis.explain import NetworkModel, Objective, Target, contrast, examples, read_inputs
from exegesis.explain.checks import completeness
from exegesis.explain.checks.deletion_insertion import deletion_insertion
from exegesis.explain.checks.randomised_weights import layers_from_output, randomised
from exegesis.explain.checks.trial import Trial, edges, map_of, rank_similarity
from exegesis.explain.figure import PALETTE, Picture, blank, show_image, show_map
from exegesis.explain.saliency import METHODS, IntegratedGradients, Method, Setting, UndefinedMethodError, method
from exegesis.ir.files import write_bytes
from exegesis.pipeline.explaining import lifter, saliency, scoreboard
from exegesis.runtime import load

OUT = Path(__file__).parent / "images" / "gallery"
LARGEST = 60_000
CONVNET, TABLE = "zoo:convnet", "zoo:tabular"


def rows_of(behavior: Behavior) -> list[int]:
    """Six rows of the test split; of different classes where there are such."""
    if behavior.is_sequence:
        return list(range(6))
    answers = behavior.arrays("test").y
    assert answers is not None
    return sorted(int(np.argmax(answers == digit)) for digit in (0, 2, 3, 5, 6, 8))


def of_method(name: str | Method, network: str = CONVNET, **options: Any) -> Picture:
    """Six inputs and what a method says of them."""
    behavior = Behavior.load(network)
    found = saliency(network, behavior, name, index=rows_of(behavior), may_retrain=False, **options)
    return found.figure(labels=behavior.vocabulary.labels or behavior.output_names)


def scores() -> Picture:
    """Every method against every check that needs no training."""
    return scoreboard(CONVNET, CONVNET, may_retrain=False).figure()


def randomised_layers() -> Picture:
    """Maps of one input as weights become random from the output down, for three methods."""
    behavior = Behavior.load(CONVNET)
    (inputs,) = read_inputs(behavior, "test", rows_of(behavior)[2:3])
    model = NetworkModel(load(CONVNET))
    setting = Setting(Objective(model, inputs, None, behavior.readout), 0, 64)
    names = ("gradient", "grad-cam", "guided-backprop")
    trial = Trial(method("gradient"), (setting,), (method("gradient").attribute(setting),), model.network)
    layers = layers_from_output(model, trial)
    draws, weights, models = np.random.default_rng(1), {}, [model]
    for layer in layers:
        weights.update(randomised(model, layer, draws))
        models.append(model.with_weights(dict(weights)))
    maps = {
        name: [map_of(setting, method(name).attribute(Setting(setting.objective.under(m), 0, 64))) for m in models]
        for name in names
    }

    def draw() -> Any:
        columns = len(models) + 1
        figure, axes = blank(1.05 * columns, 3.7, len(names), columns)
        titles = ["input", "trained", *("… " + layer[0].split(".")[0] for layer in layers)]
        for y, name in enumerate(names):
            show_image(axes[y, 0], inputs.x[0].numpy())
            axes[y, 0].set_ylabel(name, fontsize=7.5)
            for x, found in enumerate(maps[name]):
                show_map(axes[y, x + 1], found[0])
                same = float(rank_similarity([maps[name][0]], [found]).mean())
                axes[y, x + 1].set_xlabel("" if x == 0 else f"{same:.2f}", fontsize=7.5)
        for x, title in enumerate(titles):
            axes[0, x].set_title(title, pad=3)
        figure.suptitle(
            "Random weights from the output down to … (below: likeness to trained)", x=0.01, ha="left", fontsize=9
        )
        return figure

    return Picture(draw, "Gradients and Grad-CAM change as weights become random; guided backpropagation hardly does.")


def steps() -> Picture:
    """How far integrated gradients are from their sum, by the number of steps."""
    behavior, counts = Behavior.load(CONVNET), (2, 4, 8, 16, 32, 64, 128)
    values = []
    for count in counts:
        found = saliency(
            CONVNET, behavior, IntegratedGradients(count), index=range(64), checks=(completeness,), chunk=64
        )
        values.append(found.checks[0].value)

    def draw() -> Any:
        figure, axes = blank(4.2, 2.6)
        ax = axes[0, 0]
        ax.loglog(counts, values, "o-", color=PALETTE[0], ms=4, lw=1.2)
        ax.axhline(0.05, color=PALETTE[5], lw=1)
        ax.text(counts[-1], 0.053, "withheld above", color=PALETTE[5], ha="right", va="bottom", fontsize=7.5)
        ax.set(xlabel="steps", ylabel="worst residual of 64 images", xticks=counts, xticklabels=map(str, counts))
        ax.minorticks_off()
        figure.suptitle("Integrated gradients: completeness by steps", x=0.01, ha="left", fontsize=9)
        return figure

    return Picture(draw, "The worst completeness residual falls with the number of steps.")


def faithfulness() -> Picture:
    """Deletion and insertion of every method beside a random ranking and one by edges."""
    behavior = Behavior.load(CONVNET)
    (inputs,) = read_inputs(behavior, "test", range(16))
    network = load(CONVNET)
    setting = Setting(Objective(NetworkModel(network), inputs, None, behavior.readout), 0, 64, lifter(behavior, "test"))
    found = {}
    for made in [make() for make in METHODS]:
        try:
            trial = Trial(made, (setting,), (made.attribute(setting),), network, behavior)
        except UndefinedMethodError:
            continue
        found[made.title] = deletion_insertion(trial)

    def draw() -> Any:
        figure, axes = blank(5.2, 0.6 + 0.27 * len(found))
        ax = axes[0, 0]
        for y, check in enumerate(found.values()):
            for null, mark, ink in (("random", "|", PALETTE[6]), ("edges", "x", PALETTE[1])):
                ax.plot(check.nulls[null], y, mark, color=ink, ms=7, mew=1.5, label=null if y == 0 else None)
            ink = PALETTE[2] if check.passed else PALETTE[5]
            ax.plot(check.value, y, "o", color=ink, mfc=ink if check.passed else "white", mew=1.6, ms=6)
        ax.set_yticks(range(len(found)), list(found))
        ax.set(ylim=(len(found) - 0.5, -0.5), xlabel="insertion less deletion, as a share of the input's effect")
        ax.legend(loc="center", bbox_to_anchor=(0.42, 0.5), frameon=False, fontsize=7.5)
        figure.suptitle("Does a map rank better than chance and edges?", x=0.01, ha="left", fontsize=9)
        return figure

    return Picture(draw, "The faithfulness of each method beside random and edge rankings.")


def against_edges() -> Picture:
    """Guided backpropagation beside an edge detector that has never seen the network."""
    behavior = Behavior.load(CONVNET)
    found = saliency(CONVNET, behavior, "guided-backprop", index=rows_of(behavior), checks=(), chunk=64)
    images = found.raw["inputs"]
    drawn = edges(torch.from_numpy(np.array(images)))

    def draw() -> Any:
        figure, axes = blank(1.0 + 0.95 * len(images), 3.2, 3, len(images))
        for x in range(len(images)):
            show_image(axes[0, x], images[x])
            show_map(axes[1, x], np.abs(found.raw["values"][x, 0]))
            show_map(axes[2, x], drawn[x])
        for y, name in enumerate(("input", "|guided|", "edges")):
            axes[y, 0].set_ylabel(name, fontsize=7.5)
        figure.suptitle("Guided backpropagation, and an edge detector", x=0.01, ha="left", fontsize=9)
        return figure

    return Picture(draw, "Guided backpropagation beside Sobel edges of the same images.")


def preferred() -> Picture:
    """What excites the ten classes of the convolutional network."""
    from exegesis.explain.features import gallery, visualise

    return gallery(list(visualise(load(CONVNET), Behavior.load(CONVNET), None, range(10))), columns=5)


def of_table(name: str) -> Picture:
    """One of the what-if explanations of the network over a table, or of a few of its rows."""
    network, behavior = load(TABLE), Behavior.load(TABLE)
    match name:
        case "importance":
            return contrast.permutation_importance(network, behavior).figure()
        case "dependence":
            column = behavior.features.index("worst texture")
            return contrast.dependence(network, behavior, column).figure()
        case "surrogate":
            return contrast.surrogate(network, behavior, leaves=6).figure()
        case "anchor":
            return contrast.anchor(network, behavior, 3).figure()
        case _:
            return contrast.counterfactuals(network, behavior, [0, 3, 8]).figure()


def stand_for() -> Picture:
    """Ten inputs that stand for the others in the hidden layer of the convolutional network, and ten left out."""
    return examples.prototypes_of(load(CONVNET), Behavior.load(CONVNET), "hidden").figure()


def patches() -> Picture:
    """A network that answers by likeness to patches, trained from scratch."""
    return examples.prototype_network(Behavior.load(CONVNET))[1].figure()


def unit() -> Picture:
    """Examples of a channel of the convolutional network."""
    return examples.unit_examples(load(CONVNET), Behavior.load(CONVNET), "conv2", [3])[0].figure()


def turned() -> Picture:
    """The smallest changes that turn the answers of the convolutional network."""
    behavior = Behavior.load(CONVNET)
    return contrast.counterfactuals(load(CONVNET), behavior, rows_of(behavior)).figure()


def held_letters() -> Picture:
    """Letters that suffice."""
    return contrast.anchor(load("zoo:majority"), Behavior.load("zoo:majority"), 3).figure()


FIGURES: dict[str, Callable[[], Picture]] = {
    "scoreboard": scores,
    "randomised": randomised_layers,
    "integrated-gradients": lambda: of_method("integrated-gradients"),
    "difference": lambda: of_method(IntegratedGradients(300), target=Target(8, 3)),
    "lrp": lambda: of_method("lrp-gamma"),
    "guided": against_edges,
    "completeness": steps,
    "faithfulness": faithfulness,
    "tokens": lambda: of_method("token-importance", "zoo:majority"),
    "copy": lambda: of_method("lrp-epsilon", "zoo:copy", target=Target(position=-3)),
    "preferred": preferred,
    "prototypes": stand_for,
    "patches": patches,
    "unit": unit,
    "turned": turned,
    "letters": held_letters,
    **{name: partial(of_table, name) for name in ("importance", "dependence", "surrogate", "anchor", "columns")},
}


def small(png: bytes) -> bytes:
    """The same picture in 96 colours."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(names: list[str]) -> int:
    """Makes these pictures, or all; 1 where one is too large."""
    OUT.mkdir(parents=True, exist_ok=True)
    large = 0
    for name in names or list(FIGURES):
        path = OUT / f"{name}.png"
        write_bytes(path, small(FIGURES[name]().png))
        large += path.stat().st_size > LARGEST
        print(f"{path.name}: {path.stat().st_size / 1000:.1f} kB", flush=True)
    return int(large > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
