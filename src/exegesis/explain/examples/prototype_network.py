"""This looks like that, trained from scratch: a network that answers by nothing but likeness to patches of images.

C. Chen et al., *This looks like that* (NeurIPS 2019): a small convolutional body and prototype vectors are trained
together; the loss draws patches of a class to one of its prototypes and keeps those of others away. Each prototype is
then replaced by the nearest patch of a training image of its class, and the linear layer on top is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Check, Consequence, Provenance
from exegesis.explain.examples.looks_like import PrototypeLayer, likeness, locality, patch_box, readout
from exegesis.explain.examples.neighbours import values
from exegesis.explain.features.layer import Layer
from exegesis.explain.inputs import names_of
from exegesis.explain.shortcuts.access import two_splits
from exegesis.ir import InputError
from exegesis.runtime import Network

CLUSTER, SEPARATION = 0.8, 0.08  # the weights of the paper (section 2.2 and supplement)
SMALL = 16  # images of fewer pixels a side are looked at by a smaller body


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Args:
        each: prototypes per class.
        width: channels of the body.
        steps: of Adam.
        rate: learning rate.
        batch: images per step.
    """

    each: int = 3
    width: int = 24
    steps: int = 500
    rate: float = 3e-3
    batch: int = 64


class PrototypeNetwork(nn.Module):
    """A body of convolutions, likeness to prototypes at the best place, and a linear layer on the likenesses."""

    def __init__(self, channels: int, side: int, classes: int, training: Training) -> None:
        super().__init__()
        width = training.width
        layers = [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.Sigmoid()]
        if side >= SMALL:
            first = [nn.Conv2d(channels, width, 5), nn.ReLU(), nn.MaxPool2d(2)]
            layers = [*first, nn.Conv2d(width, width, 3), nn.Sigmoid()]
        self.body = nn.Sequential(*layers)
        self.prototypes = nn.Parameter(torch.rand(classes * training.each, width))
        self.head = nn.Linear(len(self.prototypes), classes)
        own = torch.arange(len(self.prototypes)) // training.each == torch.arange(classes)[:, None]
        with torch.no_grad():
            self.head.weight.copy_(torch.where(own, 1.0, -0.5))
            self.head.bias.zero_()

    def likenesses(self, x: Tensor) -> Float[Tensor, "n k"]:
        """How like each prototype the likest patch of each image is."""
        return likeness(self.body(x), self.prototypes).amax(2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.likenesses(x))
        return out


def prototype_network(
    behavior: Behavior, training: Training | None = None, *, limit: int = 2000, shrink: int = 0, seed: int = 0
) -> tuple[Network, PrototypeLayer]:
    """Trains a network that answers by likeness to patches, on the labels of a behaviour, and tests it.

    Args:
        behavior: over images, with classes as labels of its first two splits (halves of one where there is no other).
        training: how.
        limit: how many images are used, of each split.
        shrink: draw patches smaller by so many pixels on each side than what is looked at. (A fault to be tested for.)
        seed: of everything drawn.

    Returns:
        The network, and its prototypes with their checks: does it tell held-out labels, better than with as many
        patches at random; does a score stay when the image changes outside of the patch.

    Raises:
        InputError: no images, no labels, or a class with fewer images than prototypes.
    """
    training = training or Training()
    splits = two_splits(behavior, seed)
    rows = [np.sort(np.random.default_rng([seed, k]).permutation(len(s))[:limit]) for k, s in enumerate(splits)]
    seen, held_out = (s.gather(r) for s, r in zip(splits, rows, strict=True))
    x, y = torch.from_numpy(seen.x), torch.from_numpy(held_out.x)
    if x.ndim != 4 or min(x.shape[2:]) < 8:
        raise InputError(f"Prototypes are patches of images of 8 × 8 pixels and more, not of {list(x.shape[1:])}.")
    if not isinstance(behavior.readout, Argmax) or seen.expected is None or held_out.expected is None:
        raise InputError(f"Behaviour {behavior.name} has no classes as labels to be trained on.")
    labels, told = (torch.from_numpy(part.expected).long() for part in (seen, held_out))
    classes = int(max(labels.max(), told.max())) + 1
    counts = torch.bincount(labels, minlength=classes)
    if bool((counts < training.each).any()) or training.each < 1:
        least = int(counts.argmin())
        raise InputError(
            f"Class {behavior.output_labels(classes)[least]} has {int(counts[least])} images, too few for "
            f"{training.each} prototypes."
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = PrototypeNetwork(x.shape[1], min(x.shape[2:]), classes, training)
    _train(module, x, labels, training, seed)
    free = _accuracy(module, y, told)
    places = _projected(module, x, labels, training.each)
    _fit_head(module, x, labels)
    network = Network(module, "prototype network")
    return network, _result(network, behavior, x, y, told, labels, rows[0], places, free, training, shrink, seed)


def _train(module: PrototypeNetwork, x: Tensor, labels: Tensor, training: Training, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam([*module.body.parameters(), module.prototypes], lr=training.rate)
    for _ in range(training.steps):
        at = torch.randint(len(x), (training.batch,), generator=draws)
        near = module.likenesses(x[at])
        own = torch.arange(near.shape[1]) // training.each == labels[at, None]
        pull = near.masked_fill(~own, -torch.inf).amax(1).mean()
        push = near.masked_fill(own, -torch.inf).amax(1).mean()
        loss = F.cross_entropy(module.head(near), labels[at]) - CLUSTER * pull + SEPARATION * push
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    module.eval().requires_grad_(False)


@torch.no_grad()
def _projected(module: PrototypeNetwork, x: Tensor, labels: Tensor, each: int) -> Int[np.ndarray, "k 2"]:
    """Every prototype becomes the nearest patch of an image of its class that none before it became; which ones."""
    taken: set[tuple[int, int]] = set()
    places = []
    every_map = torch.cat([module.body(part) for part in torch.split(x, 256)])
    for k, prototype in enumerate(module.prototypes):
        rows = (labels == k // each).nonzero()[:, 0]
        maps = every_map[rows]
        near = likeness(maps, prototype[None])[:, 0]
        order = near.flatten().argsort(descending=True).tolist()
        every = ((flat, (int(rows[flat // near.shape[1]]), flat % near.shape[1])) for flat in order)
        flat, found = next(one for one in every if one[1] not in taken)  # a class has an image for each at least
        taken.add(found)
        places.append(found)
        module.prototypes[k] = maps[flat // near.shape[1]].flatten(1)[:, found[1]]
    return np.array(places)


@torch.no_grad()
def _fit_head(module: PrototypeNetwork, x: Tensor, labels: Tensor) -> None:
    near = torch.cat([module.likenesses(part) for part in torch.split(x, 256)])
    fitted = readout().fit(near.numpy(), labels.numpy())
    scale, model = fitted[0], fitted[-1]
    weight = model.coef_ / scale.scale_
    bias = model.intercept_ - weight @ scale.mean_
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    module.head.weight.zero_()
    module.head.bias.fill_(-1e6)  # classes without an image are never said
    at = torch.from_numpy(model.classes_)
    module.head.weight[at] = torch.from_numpy(weight).float()
    module.head.bias[at] = torch.from_numpy(bias).float()


@torch.no_grad()
def _accuracy(module: nn.Module, x: Tensor, labels: Tensor) -> float:
    return float(torch.cat([module(p).argmax(1) for p in torch.split(x, 256)]).eq(labels).float().mean())


def _result(
    network: Network,
    behavior: Behavior,
    x: Tensor,
    y: Tensor,
    told: Tensor,
    labels: Tensor,
    rows: Int[np.ndarray, " n"],
    places: Int[np.ndarray, "k 2"],
    free: float,
    training: Training,
    shrink: int,
    seed: int,
) -> PrototypeLayer:
    module = network.module
    assert isinstance(module, PrototypeNetwork)
    body = Layer(network, "body")
    with torch.no_grad():
        shape = body(x[:1]).shape
    maps = [values(body, part).view(-1, *shape[1:]) for part in (x, y)]
    draws = np.random.default_rng([seed, 2])
    patches = maps[0].flatten(2)
    chosen = [torch.from_numpy(draws.integers(n, size=len(places))) for n in (len(x), patches.shape[2])]
    near = [likeness(m, patches[chosen[0], :, chosen[1]]).amax(2).numpy() for m in maps]
    null = float(readout().fit(near[0], labels.numpy()).score(near[1], told.numpy()))
    commonest = float((told == labels.bincount().argmax()).float().mean())
    checks = (
        Check.at_least(
            "right", "Share of held-out images of which it tells the label, by likeness to prototypes alone.",
            _accuracy(module, y, told), max(null, commonest), Consequence.MARKS,
            {"patches at random": null, "commonest label": commonest},
        ),
        Check.at_least(
            "before projection", "The same while prototypes were any vectors, patches of no image.", free, None,
            Consequence.INFORMS,
        ),
        locality(body, y, maps[1], module.prototypes.detach(), 1.0, shrink, seed),
    )  # fmt: skip
    raw = {
        "rows": rows[places[:, 0]],
        "boxes": np.stack([patch_box(body, x, int(place), shape[3], shrink) for place in places[:, 1]]),
        "classes": np.arange(len(places)) // training.each,
        "weights": module.head.weight.numpy(),
        "inputs": x[torch.from_numpy(places[:, 0])].numpy(),
    }
    source = Provenance(
        "prototype network", {**vars(training), "shrink": shrink}, seed, None, network.name, network.fingerprint,
        behavior.name,
    )  # fmt: skip
    return PrototypeLayer("prototype layer", raw, checks, source, names=names_of(behavior))
