"""Dataset examples of a unit: strongest, weakest, spread over its range, near misses; and the place in each that is
responsible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.features.layer import Layer, Wanted
from exegesis.explain.figure import Figure, Picture, blank, framed_image, sentence_picture
from exegesis.explain.framing import BARS, draw_input, frame, is_picture, profile
from exegesis.ir import InputError
from exegesis.runtime import Network

KINDS = ("top", "spread", "near miss", "bottom")
COVERS = 0.25  # side of the place, as a share of the image
FALLS = 0.15
"""How much more of the excitation must fall where the place is covered than where as much is covered elsewhere."""


@dataclass(frozen=True, eq=False)
class UnitExamples(Explanation):
    """Rows of a split that show what a unit does.

    Arrays: `rows` [4, k] and `activation` [4, k] of the kinds in `KINDS`, `inputs` [4, k, ...], `boxes` [4, k, 4]
        (first and last row, first and last column of the responsible place; -1 where inputs are no images).
    """

    @property
    def unit(self) -> str:
        """Whose examples these are."""
        return str(self.provenance.parameters["unit"])

    def figure(self, *, anyway: bool = False) -> Picture:
        """One row of inputs for each kind, the responsible place framed."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(f"{self.unit}: {self.why}")
        return _picture(self)


def unit_examples(
    network: Network,
    behavior: Behavior,
    layer: str | None,
    units: Sequence[int] | Wanted,
    *,
    split: str = "train",
    each: int = 6,
    limit: int = 2000,
    seed: int = 0,
) -> tuple[UnitExamples, ...]:
    """Examples of units of a layer, or of modules and directions.

    Near misses are the inputs most like the strongest ones that the unit hardly notices (below its median). The place
    is the one whose covering by the mean input takes most of the excitation; the check covers as much elsewhere.

    Args:
        network, behavior: over arrays.
        layer: path of a module; None for the outputs.
        units: their numbers, or directions as `Wanted`.
        split: whose inputs are looked through.
        each: how many of each kind.
        limit: how many inputs are looked through, drawn by `seed`.
        seed: see `limit`; also of the null.

    Raises:
        InputError: a behaviour over tokens, what does not exist, or fewer than 4 inputs per example wanted.
    """
    rows = behavior.arrays(split)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:limit])
    if len(drawn) < 4 * each:
        raise InputError(
            f"Split {split} has {len(drawn)} inputs; {4 * each} are needed for {each} examples of each kind."
        )
    x = torch.from_numpy(rows.gather(drawn).x)
    at = Layer(network, layer)
    wanted = units if isinstance(units, Wanted) else Wanted.units(units, at.width(x), at.name)
    values = activations(at, wanted, x).numpy()
    source = {"layer": at.name, "split": split, "inputs": len(drawn)}
    pool = profile(x.numpy())
    made = []
    for k, name in enumerate(wanted.names):
        one = Wanted(wanted.vectors[k : k + 1], (name,), wanted.place)
        given = Provenance(
            "dataset examples", {**source, "unit": name}, seed, None, network.name, network.fingerprint, behavior.name
        )
        made.append(_examples(at, one, x, values[:, k], drawn, each, given, pool))
    return tuple(made)


def activations(layer: Layer, wanted: Wanted, x: Float[Tensor, "n ..."], chunk: int = 256) -> Float[Tensor, "n wanted"]:
    """How strongly inputs excite directions of a layer; bounded memory."""
    with torch.no_grad():
        return torch.cat([wanted.along(layer(part)) for part in torch.split(x, chunk)])


def chosen_rows(
    values: Float[np.ndarray, " n"], likeness: Float[np.ndarray, " n"], each: int
) -> Int[np.ndarray, "4 each"]:
    """Rows of each kind: strongest first, evenly over the quantiles, like the strongest yet weak, weakest first."""
    order = np.argsort(-values, kind="stable")
    spread = order[np.linspace(0, len(order) - 1, each + 2).round().astype(np.int64)[1:-1]]
    weak = order[len(order) // 2 :]
    near = weak[np.argsort(-likeness[weak], kind="stable")[:each]]
    return np.stack([order[:each], spread, near, order[::-1][:each]])


def _examples(
    layer: Layer,
    wanted: Wanted,
    x: Float[Tensor, "n ..."],
    values: Float[np.ndarray, " n"],
    drawn: NDArray[np.int64],
    each: int,
    source: Provenance,
    pool: Mapping[str, np.ndarray],
) -> UnitExamples:
    mean = x.mean(0)
    strongest = x[torch.from_numpy(np.argsort(-values, kind="stable")[:each].copy())]
    centred = F.normalize((x - mean).flatten(1), dim=1)
    likeness = (centred @ F.normalize((strongest - mean).flatten(1), dim=1).T).mean(1).numpy()
    rows = chosen_rows(values, likeness, each)
    picked = torch.from_numpy(rows.reshape(-1).copy())
    boxes, check = _places(layer, wanted, x[picked], mean, each, source.seed)
    raw = {
        "rows": drawn[rows],
        "activation": values[rows],
        "inputs": x[picked].view(4, each, *x.shape[1:]).numpy(),
        "boxes": boxes.reshape(4, each, 4),
        **pool,
    }
    meaning = "How far apart strongest and weakest lie, in standard deviations of the unit; nothing: it does not vary."
    spread = float(values.std())
    apart = (float(values.max()) - float(values.min())) / spread if spread > 0 else 0.0
    varies = Check.at_least("varies", meaning, apart, 1.0, Consequence.WITHHOLDS)
    return UnitExamples("examples", raw, (varies, check), source)


def _places(
    layer: Layer, wanted: Wanted, x: Float[Tensor, "m ..."], mean: Float[Tensor, "..."], each: int, seed: int
) -> tuple[Int[np.ndarray, "m 4"], Check]:
    """The responsible place of each input, and whether covering it tells on the strongest ones."""
    meaning = "How much more of the strongest inputs' excitation falls where the place is covered than in the mean "
    meaning += "elsewhere."
    boxes = np.full((len(x), 4), -1)
    if x.ndim != 4:
        return boxes, Check.undefined("place", meaning, "inputs are no images", Consequence.INFORMS)
    height, width = x.shape[2:]
    side = max(2, round(COVERS * min(height, width)))
    tops, lefts = range(0, height - side + 1, max(1, side // 2)), range(0, width - side + 1, max(1, side // 2))
    corners = [(top, left) for top in tops for left in lefts]
    fallen = np.stack([_covered(layer, wanted, x, mean, corner, side) for corner in corners], 1)
    best = fallen.argmax(1)
    for row, number in enumerate(best):
        top, left = corners[number]
        boxes[row] = top, top + side - 1, left, left + side - 1
    # Picked on the inputs as they are, judged on noisy copies: the best of many places must not win by luck.
    generator = torch.Generator().manual_seed(seed)
    noisy = x[:each] + 0.1 * float(x.std()) * torch.randn(x[:each].shape, generator=generator)
    again = np.stack([_covered(layer, wanted, noisy, mean, corner, side) for corner in corners], 1)
    base = activations(layer, wanted, mean[None]).numpy()[0, 0]
    reach = np.maximum(activations(layer, wanted, noisy).numpy()[:, 0] - base, 1e-9)
    shares = again / reach[:, None]
    own = shares[np.arange(each), best[:each]]
    value = float(np.mean(own) - np.mean(shares))
    return boxes, Check.at_least("place", meaning, value, FALLS, Consequence.MARKS, {"covering elsewhere": 0.0})


def _covered(
    layer: Layer, wanted: Wanted, x: Tensor, mean: Tensor, corner: tuple[int, int], side: int
) -> Float[np.ndarray, " m"]:
    """How far each input's excitation falls where a square holds the mean input."""
    top, left = corner
    covered = x.clone()
    window = (..., slice(top, top + side), slice(left, left + side))
    covered[window] = mean[window]
    found: Float[np.ndarray, " m"] = (activations(layer, wanted, x) - activations(layer, wanted, covered)).numpy()[:, 0]
    return found


def _picture(examples: UnitExamples) -> Picture:
    def draw() -> Figure:
        raw = examples.raw
        inputs, boxes, values = (raw[name] for name in ("inputs", "boxes", "activation"))
        each, images = inputs.shape[1], is_picture(inputs[0, 0])
        figure, axes = blank(
            (0.92 if images else 1.25) * each + 0.8, (1.08 if images else 0.85) * len(KINDS) + 0.9, len(KINDS), each
        )
        for row, kind in enumerate(KINDS):
            for column in range(each):
                at = axes[row, column]
                if inputs.ndim == 5:
                    framed_image(at, inputs[row, column], boxes[row, column])
                else:
                    draw_input(at, inputs[row, column], raw)
                at.set_title(f"{values[row, column]:.2g}".replace("-", "−"), fontsize=7, pad=3)
            axes[row, 0].set_ylabel(kind)
        reach = f"from {values[-1, 0]:.2g} to {values[0, 0]:.2g}".replace("-", "−")
        words = "; framed: the place responsible" if inputs.ndim == 5 else ""
        frame(figure, f"{examples.unit}: {reach}{words}", examples, legend="" if images else BARS)
        return figure

    return Picture(draw, f"Inputs on which {examples.unit} is strongest, spread, nearly and weakest. {examples.why}")
