"""Feature visualisation: known optima, the checks and what trips them, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Status
from exegesis.explain.features import Canvas, Climb, Feature, Jitter, Layer, Wanted, gallery, maximise, visualise
from exegesis.explain.features.matching import rank_correlations, receptive_field
from exegesis.explain.features.optimise import Adam
from exegesis.explain.model import NotDifferentiableError
from exegesis.explain.target import TargetError
from exegesis.ir import InputError
from exegesis.runtime import Network, load

SIDE = 12


def stripes() -> np.ndarray:
    """Four patterns of ±1: halves and stripes, lying and standing."""
    y, x = np.mgrid[:SIDE, :SIDE]
    patterns = [np.where(a, 1.0, -1.0) for a in (y < 6, x < 6, y // 3 % 2 == 0, x // 3 % 2 == 0)]
    return np.stack(patterns).astype(np.float32)


class Matched(nn.Module):
    """Units that are inner products with known patterns, the last one dead."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(SIDE * SIDE, 5)
        with torch.no_grad():
            self.first.weight[:4] = torch.from_numpy(stripes().reshape(4, -1))
            self.first.weight[4] = 0.0
            self.first.bias[:] = torch.tensor([0.0, 0.0, 0.0, 0.0, -1.0])
        self.out = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(torch.relu(self.first(x.flatten(1))))
        return found


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return load(Matched())


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    """Images that hold the patterns in drawn amounts, and noise."""
    draws = np.random.default_rng(0)
    amounts = draws.normal(size=(400, 4))
    x = 0.5 + 0.06 * np.einsum("nk,kyx->nyx", amounts, stripes()) + 0.05 * draws.normal(size=(400, SIDE, SIDE))
    images = np.clip(x, 0, 1).astype(np.float32)[:, None]
    splits = {"train": (images[:250], None), "test": (images[250:], None)}
    return Behavior.from_arrays("patterns", splits, Argmax())


QUICK = Climb(steps=60)


@pytest.fixture(scope="module")
def made(network: Network, behavior: Behavior) -> tuple[Feature, ...]:
    return visualise(network, behavior, "first", range(5), climb=QUICK)


@pytest.mark.parametrize("spectral", [True, False])
def test_the_optimum_of_a_linear_unit_is_its_pattern(network: Network, behavior: Behavior, spectral: bool) -> None:
    x = torch.from_numpy(behavior.arrays("train").x)
    climb = Climb(steps=200, spectral=spectral, jitter=None)
    images = maximise(Layer(network, "first"), Wanted.units([0, 1, 2], 5, "first"), Canvas.of(x, spectral), climb)
    for image, pattern in zip(images[:, 0, 0].numpy(), stripes(), strict=False):
        assert np.corrcoef(image.ravel(), pattern.ravel())[0, 1] > 0.8


def test_true_features_pass_every_check(made: tuple[Feature, ...]) -> None:
    for feature in made[:2]:
        assert feature.status is Status.SHOWN, feature.why
        told = next(c for c in feature.checks if c.name == "predicts")
        assert told.value is not None
        assert told.value > 0.6
        assert told.nulls["random weights, 95 %"] < told.value


def test_units_asked_for_together_are_corrected_together(made: tuple[Feature, ...]) -> None:
    told = [next(c for c in feature.checks if c.name == "predicts") for feature in made]
    assert "Holm's correction over 4 units" in told[0].meaning  # the dead one was no part of the test
    assert made[0].details["units tested together"] == 4
    assert "p" not in made[4].details
    assert made[0].details["p corrected (Holm)"] >= made[0].details["p"]
    kept = next(c for c in made[0].checks if c.name == "survives").nulls["the held-out input that excites most"]
    assert 0 < kept <= 1.2  # measured, and it is among the largest before it is moved


def test_a_dead_unit_is_withheld(made: tuple[Feature, ...]) -> None:
    assert made[4].status is Status.WITHHELD
    assert "same on all held-out inputs" in " ".join(c.reason for c in made[4].checks)


def test_a_climb_that_goes_nowhere_is_withheld(network: Network, behavior: Behavior) -> None:
    (feature,) = visualise(network, behavior, "first", [0], climb=Climb(steps=1, rate=1e-4))
    assert feature.status is Status.WITHHELD
    assert "excites" in feature.why


def test_many_units_in_one_batch_are_what_each_is_alone(network: Network, behavior: Behavior) -> None:
    x = torch.from_numpy(behavior.arrays("train").x)
    canvas, climb = Canvas.of(x, False), Climb(steps=30, spectral=False, jitter=None)
    layer = Layer(network, "first")
    together = maximise(layer, Wanted.units([0, 1], 5, "first"), canvas, climb, natural=x)
    alone = torch.cat([maximise(layer, Wanted.units([u], 5, "first"), canvas, climb, natural=x) for u in (0, 1)])
    assert float((together - alone).abs().mean()) < 0.02  # other starting points, the same optimum


def test_diversity_keeps_variants_apart() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU())
    layer, x = Layer(load(module), "2"), torch.rand(20, 1, 16, 16)
    canvas, wanted = Canvas.of(x), Wanted.units([0], 4, "2")

    def apart(diversity: float) -> float:
        climb = Climb(steps=60, variants=4, diversity=diversity, jitter=None)
        with torch.no_grad():
            values = layer(maximise(layer, wanted, canvas, climb)[0]).flatten(1)
        values = values / values.norm(dim=1, keepdim=True)
        return float((values @ values.T).mean())

    assert apart(3.0) < apart(0.0)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 64), (7,)])
@pytest.mark.parametrize("spectral", [True, False])
def test_a_canvas_is_inverted_exactly_and_stays_in_range(shape: tuple[int, ...], spectral: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    x = 2 * torch.rand((50, *shape), generator=draws) - 0.5
    canvas = Canvas.of(x, spectral)
    inside = x[:4].clamp(canvas.low + 0.1, canvas.high - 0.1)
    torch.testing.assert_close(canvas.inputs(canvas.numbers(inside)), inside, atol=1e-4, rtol=1e-4)
    wild = canvas.inputs(canvas.start(3, draws, spread=50.0))
    assert float(wild.min()) >= canvas.low
    assert float(wild.max()) <= canvas.high


def test_colours_are_those_of_the_data() -> None:
    draws = torch.Generator().manual_seed(0)
    grey = torch.rand((60, 1, 10, 10), generator=draws).expand(-1, 3, -1, -1)
    x = (grey + 0.02 * torch.randn((60, 3, 10, 10), generator=draws)).clamp(0, 1)
    images = Canvas.of(x).inputs(Canvas.of(x).start(50, draws, spread=0.3))
    pixels = images.movedim(1, -1).reshape(-1, 3).numpy()
    assert np.corrcoef(pixels.T)[0, 1] > 0.9  # channels that vary together in the data do so here


def test_jitter_moves_and_is_differentiable() -> None:
    x = torch.rand(3, 1, 16, 16, requires_grad=True)
    moved = Jitter()(x, torch.Generator().manual_seed(0), 1.0)
    assert moved.shape == x.shape
    assert float((moved - x).detach().abs().mean()) > 0.01
    (slope,) = torch.autograd.grad(moved.sum(), x)
    assert bool((slope != 0).any())
    still = Jitter(0.0, 0.0, 0.0, 0.0)(x, torch.Generator(), 1.0)
    torch.testing.assert_close(still, x)


def test_transforms_drawn_in_blocks_are_fresh_and_as_many_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 1, 8, 8)
    monkeypatch.setattr("exegesis.explain.features.jitter.BLOCK", 3 * x.numel())
    for jitter in (Jitter(), Jitter(0.3, 0.0, 0.0, 0.1)):
        moved = [move(x) for move in jitter.drawn(x, 8, torch.Generator().manual_seed(0), 1.0)]
        assert len(moved) == 8
        assert len({float(one.sum()) for one in moved}) == 8
    rolled = [move(x) for move in Jitter(0.3, 0.0, 0.0, 0.0).drawn(x, 8, torch.Generator().manual_seed(0), 1.0)]
    assert all(torch.equal(one.flatten().sort().values, x.flatten().sort().values) for one in rolled)


def test_adam_is_adam() -> None:
    mine, theirs = torch.ones(5), torch.ones(5, requires_grad=True)
    adam, reference = Adam(mine, 0.05), torch.optim.Adam([theirs], lr=0.05)
    draws = torch.Generator().manual_seed(0)
    for _ in range(20):
        slope = torch.randn(5, generator=draws)
        theirs.grad = slope.clone()
        adam.step(slope)
        reference.step()
    torch.testing.assert_close(mine, theirs.detach())


def test_the_field_of_a_convolution() -> None:
    layer = Layer(load(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3))), None)
    box = receptive_field(layer, torch.rand(4, 1, 16, 16), (2, 3))
    assert box == (2, 6, 3, 7)


def test_rank_correlations_are_spearman_s() -> None:
    draws = np.random.default_rng(0)
    left, right = draws.normal(size=(40, 3)), draws.integers(0, 5, size=(40, 2)).astype(float)
    found = rank_correlations(left, right)
    for k in range(3):
        for m in range(2):
            assert found[k, m] == pytest.approx(spearmanr(left[:, k], right[:, m]).statistic)
    assert np.isnan(rank_correlations(left, np.ones((40, 1)))).all()


def test_the_module_is_left_as_it_was(network: Network, behavior: Behavior) -> None:
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    visualise(network, behavior, "first", [0], climb=Climb(steps=2))
    assert all(torch.equal(before[n], v) for n, v in network.module.state_dict().items())
    assert all(p.grad is None for p in network.module.parameters())
    assert not network.module.first._forward_hooks


def test_features_are_saved_opened_and_drawn(made: tuple[Feature, ...], tmp_path: Path) -> None:
    made[0].save(tmp_path)
    opened = Feature.open(tmp_path)
    assert opened.unit == "first 0"
    np.testing.assert_array_equal(opened.raw["images"], made[0].raw["images"])
    assert "<svg" in opened.figure().svg
    assert "<svg" in gallery(made).svg
    with pytest.raises(InputError, match="no feature to be drawn"):
        gallery([])


def test_a_module_excites_its_members_together(network: Network, behavior: Behavior) -> None:
    together = Wanted.module([0, 1], 5, "first", "both halves")
    (feature,) = visualise(network, behavior, "first", together, climb=QUICK)
    corner = feature.raw["images"][0, 0, :6, :6].mean()
    assert corner > feature.raw["images"][0, 0, 6:, 6:].mean() + 0.5


# Bad input.


@pytest.mark.parametrize(
    ("layer", "units", "sentence"),
    [
        ("first", [7], "there is no unit 7"),
        ("first", [], "None was named"),
        ("nowhere", [0], "no module 'nowhere'"),
    ],
)
def test_what_does_not_exist(network: Network, behavior: Behavior, layer: str, units: list[int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        visualise(network, behavior, layer, units, climb=QUICK)


def test_places_that_do_not_exist(network: Network, behavior: Behavior) -> None:
    with pytest.raises(TargetError, match="have no places"):
        visualise(network, behavior, "first", [0], place=(0, 0), climb=QUICK)
    with pytest.raises(TargetError, match="do not fit a layer"):
        visualise(network, behavior, "first", Wanted(torch.ones(1, 3), ("x",)), climb=QUICK)


def test_inputs_without_a_range() -> None:
    with pytest.raises(InputError, match="needs a range"):
        Canvas.of(torch.ones(5, 1, 4, 4))


def test_no_way_back_to_the_input_is_one_sentence(behavior: Behavior) -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(behavior.arrays("train").x[0].size, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out((x > 0.5).float().flatten(1))

    with pytest.raises(NotDifferentiableError, match="No gradient goes from outputs"):
        visualise(load(Steps()), behavior, None, [0], climb=Climb(steps=2))
