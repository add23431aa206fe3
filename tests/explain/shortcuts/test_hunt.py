"""Planted flaws are found without being told, named, and proved; clean networks yield nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Behavior, Value
from exegesis.explain.core import Status, WithheldError
from exegesis.explain.shortcuts import Hunt, Samples, Shortcut, TriggerSearch, hunt_shortcuts
from exegesis.explain.shortcuts.colour import colour_shortcuts, recoloured
from exegesis.explain.shortcuts.hunt import _source, hunt_triggers
from exegesis.explain.shortcuts.inserting import elsewhere
from exegesis.explain.shortcuts.spectral import cluster_maps, pooled_maps, region_shortcuts, relevance, suspicious_place
from exegesis.explain.shortcuts.triggers import hard_trigger, search_triggers
from exegesis.ir import InputError
from exegesis.runtime import load

Case: TypeAlias = Any  # what the fixtures of conftest.py hold
QUICK = TriggerSearch(steps=100, batch=10)


def sample(case: Case) -> Samples:
    return Samples.of(case.network, case.behavior, limit=260)


def found_by(case: Case, tried: tuple[Shortcut, ...]) -> list[Shortcut]:
    return [s for s in tried if s.status is Status.SHOWN]


@pytest.fixture(scope="module")
def hunted(backdoor: Case) -> Hunt:
    return hunt_shortcuts(backdoor.network, backdoor.behavior, search=QUICK, limit=160)


def test_a_planted_patch_is_found_with_its_class_and_place(hunted: Hunt, backdoor: Case) -> None:
    assert len(hunted.found) == 1
    (trigger,) = hunted.found
    assert trigger.artefact == "trigger"
    assert trigger.label == f"digit {backdoor.group}"
    planted = np.zeros((12, 12), dtype=bool)
    planted[backdoor.rows, backdoor.columns] = True
    assert (trigger.raw["places"][0] & planted).sum() >= 0.6 * trigger.raw["places"].sum()


def test_its_flips_are_those_of_the_network_itself(hunted: Hunt, backdoor: Case) -> None:
    (trigger,) = hunted.found
    x = torch.from_numpy(trigger.raw["inputs"].copy())
    places, pattern = torch.from_numpy(trigger.raw["places"].copy()), torch.from_numpy(trigger.raw["pattern"].copy())
    with torch.no_grad():
        then = backdoor.network.module(torch.where(places, pattern, x)).argmax(1)
    assert then.tolist() == trigger.raw["then"].tolist()
    insertion = trigger.details["insertion"]
    assert insertion["rate"] > 0.8
    assert max(null["rate"] for null in trigger.details["nulls"].values()) < insertion["bounds"][0] - 0.25


def test_it_is_saved_opened_and_drawn(hunted: Hunt, tmp_path: Path) -> None:
    (trigger,) = hunted.found
    trigger.save(tmp_path)
    opened = Shortcut.open(tmp_path)
    assert opened.sentence == trigger.sentence
    assert opened.status is Status.SHOWN
    assert "<svg" in opened.figure().svg
    record = json.loads((tmp_path / "explanation.json").read_text())
    del record["details"]
    with pytest.raises(InputError, match="does not say what was found"):
        Shortcut.restore(record, {})


def test_one_seed_gives_the_same_triggers(clean: Case) -> None:
    once, again = (
        hunt_triggers(clean.network, clean.behavior, search=TriggerSearch(steps=8, batch=4), limit=40, seed=4)
        for _ in range(2)
    )
    assert [s.to_json() for s in once] == [s.to_json() for s in again]


def test_a_clean_network_yields_nothing_and_its_candidates_are_withheld(clean: Case) -> None:
    found = hunt_shortcuts(clean.network, clean.behavior, search=TriggerSearch(steps=60, batch=6), limit=90)
    assert found.found == ()
    assert found.withheld
    with pytest.raises(WithheldError):
        _ = found.withheld[0].arrays


def test_triggers_come_smallest_first(backdoor: Case) -> None:
    tried = hunt_triggers(backdoor.network, backdoor.behavior, search=TriggerSearch(steps=60, batch=6), limit=40)
    sizes = [s.details["soft size"] for s in tried]
    assert sizes == sorted(sizes)


def test_colours_that_decide_are_found(coloured: Case) -> None:
    samples = sample(coloured)
    tried = colour_shortcuts(samples, _source(samples, coloured.network, coloured.behavior, 0))
    assert len(found_by(coloured, tried)) == 10
    assert all(s.details["colour alone"]["rate"] > 0.8 for s in tried)


def test_colours_that_do_not_decide_are_withheld(colour_blind: Case) -> None:
    samples = sample(colour_blind)
    tried = colour_shortcuts(samples, _source(samples, colour_blind.network, colour_blind.behavior, 0))
    assert tried
    assert found_by(colour_blind, tried) == []


def test_a_mark_on_half_of_a_class_is_found(marked: Case) -> None:
    samples = sample(marked)
    tried, silent = region_shortcuts(samples, _source(samples, marked.network, marked.behavior, 0))
    assert silent == ()
    (found,) = found_by(marked, tried)
    assert found.label == f"digit {marked.group}"
    where = np.argwhere(found.raw["places"][0])
    assert (where.min(0) >= [marked.rows.start - 1, marked.columns.start - 1]).all()
    assert (where.max(0) <= [marked.rows.stop, marked.columns.stop]).all()


def test_relevance_sums_to_what_the_logit_gains(marked: Case) -> None:
    samples = sample(marked)
    x = samples.search[:32]
    maps = relevance(samples, x, 3)
    gain = samples.forward(x)[:, 3] - samples.forward(samples.search.mean(0)[None])[:, 3]
    error = (maps.flatten(1).sum(1) - gain).abs()
    assert float(error.mean()) < 0.15 * float(gain.abs().mean())  # eight steps of a path through kinks


def test_recolouring_gives_the_donor_s_moments_and_keeps_the_shape() -> None:
    draws = torch.Generator().manual_seed(0)
    x, donor = 0.4 + 0.1 * torch.rand(5, 3, 9, 9, generator=draws), 0.5 + 0.05 * torch.rand(5, 3, 9, 9, generator=draws)
    changed = recoloured(x, donor, 0.0, 1.0)
    torch.testing.assert_close(changed.mean((2, 3)), donor.mean((2, 3)))
    torch.testing.assert_close(changed.std((2, 3)), donor.std((2, 3)))
    for k in range(3):
        assert np.corrcoef(x[0, k].flatten(), changed[0, k].flatten())[0, 1] == pytest.approx(1.0, abs=1e-5)


def test_a_flat_channel_takes_the_shape_of_the_others() -> None:
    draws = torch.Generator().manual_seed(0)
    x = 0.4 + 0.1 * torch.rand(1, 2, 9, 9, generator=draws)
    x[:, 1] = 0.5
    changed = recoloured(x, 0.3 + 0.1 * torch.rand(1, 2, 9, 9, generator=draws), 0.0, 1.0)
    assert np.corrcoef(x[0, 0].flatten(), changed[0, 1].flatten())[0, 1] == pytest.approx(1.0, abs=1e-5)


def test_clusters_that_are_apart_are_told_apart() -> None:
    draws = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 20)
    maps = np.abs(np.eye(3)[truth] @ np.kron(np.eye(3), np.ones((1, 5))) + 0.1 * draws.random((60, 15)))
    clusters = cluster_maps(maps / np.linalg.norm(maps, axis=1, keepdims=True))
    assert clusters.count == 3
    assert len({(int(t), int(c)) for t, c in zip(truth, clusters.of, strict=True)}) == 3


def test_the_densest_place_is_found() -> None:
    maps = torch.full((4, 12, 12), 0.01)
    maps[:, 2:5, 6:9] = 1.0
    places, density = suspicious_place(maps)
    assert places[0].nonzero().min(0).values.tolist() == [2, 6]
    assert int(places.sum()) == 9
    assert density > 10


def test_a_trigger_is_made_hard(backdoor: Case) -> None:
    samples = sample(backdoor)
    triggers = search_triggers(samples, QUICK)
    places = hard_trigger(samples, triggers, backdoor.group)
    others = samples.search[samples.search_said != backdoor.group]
    turned = samples.said(torch.where(places, triggers.pattern[backdoor.group], others)) == backdoor.group
    assert float(turned.float().mean()) > 0.85
    assert int(places.sum()) <= 12


def test_other_places_do_not_wrap_and_lie_apart() -> None:
    places = torch.zeros((1, 12, 12), dtype=torch.bool)
    places[0, 9:12, 9:12] = True
    moved = elsewhere(places, torch.Generator().manual_seed(0))
    assert len(moved) == 8
    for at, _ in moved:
        assert int((at & places).sum()) <= 2
        assert (at[0].nonzero().max(0).values - at[0].nonzero().min(0).values).tolist() == [2, 2]
    assert elsewhere(torch.ones((1, 4, 4), dtype=torch.bool), torch.Generator().manual_seed(0)) == []


# Bad input: one clear sentence each.


def test_a_class_with_two_examples_is_passed_over_with_a_sentence(clean: Case) -> None:
    arrays = clean.behavior.arrays("train")
    chosen = np.concatenate([np.flatnonzero(arrays.y == 3)[:40], np.flatnonzero(arrays.y == 4)[:2]])
    few = Behavior.from_arrays(
        "few", {"train": (arrays.stored[chosen], arrays.y[chosen]), "test": (arrays.stored[:60], arrays.y[:60])},
        Argmax(), output_names=clean.behavior.output_names,
    )  # fmt: skip
    samples = Samples.of(clean.network, few)
    _, silent = region_shortcuts(samples, _source(samples, clean.network, few, 0))
    assert any("digit 4 of 2 inputs" in sentence for sentence in silent)


def test_maps_that_are_zero_everywhere_are_refused() -> None:
    maps = torch.rand(5, 4, 4)
    maps[2] = -1.0
    with pytest.raises(InputError, match="1 of 5 relevance maps are zero everywhere"):
        pooled_maps(maps)


def test_too_few_maps_are_refused() -> None:
    with pytest.raises(InputError, match="3 relevance maps are too few"):
        cluster_maps(np.eye(3))


def test_images_of_one_channel_have_no_colours(clean: Case) -> None:
    with pytest.raises(InputError, match="have no colours"):
        colour_shortcuts(sample(clean), lambda method: pytest.fail("not asked"))


def test_other_behaviours_are_refused(clean: Case) -> None:
    values = Behavior.from_arrays("v", {"train": (np.ones((20, 4), np.float32), np.ones(20))}, Value(0.1))
    with pytest.raises(InputError, match="has no classes; this can be asked only of networks that sort arrays"):
        Samples.of(clean.network, values)
    same = Behavior.from_arrays("s", {"train": (np.ones((20, 1, 12, 12), np.float32), np.zeros(20, int))}, Argmax())
    with pytest.raises(InputError, match="same number everywhere"):
        Samples.of(clean.network, same)
    few = clean.behavior.arrays("train").stored[:6]
    with pytest.raises(InputError, match="at least 8 each"):
        Samples.of(clean.network, Behavior.from_arrays("f", {"train": (few, np.zeros(6, int))}, Argmax()))


class Odd(torch.nn.Module):
    """Says the same of everything, or by a step that has no slope."""

    def __init__(self, same: bool) -> None:
        super().__init__()
        self.out, self.same = torch.nn.Linear(144, 10), same
        with torch.no_grad():
            self.out.bias[3] += 1e4 * same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out((x if self.same else (x > 0.5).float()).flatten(1))


def test_one_answer_to_everything_and_no_way_back_are_one_sentence(clean: Case) -> None:
    with pytest.raises(InputError, match="says digit 3 of all"):
        hunt_shortcuts(load(Odd(same=True)), clean.behavior, limit=40)
    with pytest.raises(InputError, match="No gradient goes from the outputs"):
        hunt_triggers(load(Odd(same=False)), clean.behavior, limit=40)


# Networks trained by others.


def test_the_colour_of_the_coloured_digits(models: Path) -> None:
    folder = models / "vision" / "mnist_colored"
    network, behavior = load(f"{folder / 'network.py'}:build"), Behavior.load(folder)
    samples = Samples.of(network, behavior, limit=160)
    tried = colour_shortcuts(samples, _source(samples, network, behavior, 0))
    assert {s.label for s in tried if s.status is Status.SHOWN} == {str(d) for d in range(10)}
