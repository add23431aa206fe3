"""The shipped networks are what their cards say; bad names and broken weights are refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from exegesis import zoo
from exegesis.behavior import Behavior
from exegesis.ir import InputError
from exegesis.zoo.shelf import folder

WIDE = ["dense_plain", "dense_dropout", "dense_pruned", "dense_l1"]
NAMES = ["majority", "copy", "digits", *WIDE, "convnet", "residual", "gru", "tabular"]
FLOORS = {"majority": {"test": 0.995, "long": 0.98}, "copy": {"test": 0.995, "long": 0.98}, "digits": {"test": 0.95}}
MAJORITY = folder("majority") / "weights.safetensors"


def accuracy(name: str, split: str) -> float:
    """Share of expected answers, row by row and without the library's batches and readouts."""
    network, behavior = zoo.build(name), zoo.behavior(name)
    right: list[bool] = []
    with torch.no_grad():
        if not behavior.is_sequence:
            rows = behavior.arrays(split)
            assert rows.y is not None
            said = network(torch.tensor(rows.stored / rows.scale, dtype=torch.float32)).argmax(-1)
            return float((said.numpy() == rows.y).mean())
        for row in behavior.sequences(split):
            logits = network(torch.tensor([row.input_ids]), torch.tensor([row.position_ids]))[0, row.scored]
            right += (logits.argmax(-1) == torch.tensor(row.expected)).tolist()
    return float(np.mean(right))


def test_names_and_cards_belong_together() -> None:
    assert list(zoo.names()) == NAMES
    assert [card.name for card in zoo.cards()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_networks_reach_the_accuracy_of_their_card(name: str) -> None:
    card = zoo.card(name)
    assert set(card.accuracy) == set(zoo.behavior(name).splits)
    for split, share in card.accuracy.items():
        # Another processor may round another row to the other side.
        assert accuracy(name, split) == pytest.approx(share, abs=0.005)
        assert share >= FLOORS.get(name, {}).get(split, 0.95)


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_small_and_counted(name: str) -> None:
    network = zoo.build(name)
    assert not network.training
    assert zoo.card(name).parameters == sum(p.numel() for p in network.parameters())
    assert all(not p.is_meta and p.requires_grad for p in network.parameters())
    assert (folder(name) / "weights.safetensors").stat().st_size < 500_000
    assert sum(file.stat().st_size for file in folder(name).iterdir()) < 500_000


@pytest.mark.parametrize("name", ["majority", "copy"])
def test_splits_are_distinct_and_long_is_longer(name: str) -> None:
    behavior = zoo.behavior(name)
    sizes = {split: len(behavior.split(split)) for split in behavior.splits}
    assert sizes == {"train": 600, "test": 300, "long": 150}
    inputs = [tuple(row.input_ids) for split in behavior.splits for row in behavior.sequences(split)]
    assert len(set(inputs)) == len(inputs)
    assert behavior.sequences("long").lengths.min() > behavior.sequences("train").lengths.max()
    starts = {split: {row.position_ids[0] for row in behavior.sequences(split)} for split in behavior.splits}
    assert starts["test"] == starts["long"] == {0}
    assert len(starts["train"]) > 20
    behavior.check_vocabulary(len(behavior.vocabulary))
    behavior.check_positions(64)


def test_expected_answers_are_those_of_the_task() -> None:
    for row in zoo.behavior("majority").sequences("long"):
        counts = [row.input_ids[1:-1].count(letter) for letter in range(6)]
        assert sorted(counts)[-2] < max(counts)
        assert row.expected == [counts.index(max(counts))]
        assert row.scored == [len(row.input_ids) - 1]
    for row in zoo.behavior("copy").sequences("long"):
        n = row.input_ids.index(27) - 1
        letters = row.input_ids[1 : n + 1]
        assert row.input_ids == [26, *letters, 27, *letters, 28]
        assert len(set(letters)) == n
        assert row.scored == list(range(n + 1, 2 * n + 2))
        assert row.expected == [*letters, 28]


@pytest.mark.parametrize("name", ["majority", "copy"])
def test_positions_default_to_counting_from_zero_and_the_future_is_hidden(name: str) -> None:
    network = zoo.build(name)
    ids = torch.randint(6, (3, 12))
    with torch.no_grad():
        torch.testing.assert_close(network(ids), network(ids, torch.arange(12).expand(3, 12)))
        changed = ids.clone()
        changed[:, 8:] = (changed[:, 8:] + 1) % 6
        torch.testing.assert_close(network(ids)[:, :8], network(changed)[:, :8])
        assert not torch.allclose(network(ids)[:, 8:], network(changed)[:, 8:])


def test_building_leaves_the_random_numbers_of_the_caller_alone() -> None:
    before = torch.random.get_rng_state()
    zoo.build("majority")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("call", [zoo.build, zoo.card, zoo.behavior, zoo.behavior_path], ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", ["", "lion", "../zoo/majority"])
def test_unknown_names_are_refused_with_the_list_of_known_ones(call: Callable[[str], Any], name: str) -> None:
    with pytest.raises(InputError, match=r"^The zoo has no network .*; it has majority, copy, digits, dense_plain, "):
        call(name)


def truncated(path: Path) -> None:
    path.write_bytes(MAJORITY.read_bytes()[:-100])


def no_safetensors(path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, path)


def of_another_network(path: Path) -> None:
    path.write_bytes((folder("digits") / "weights.safetensors").read_bytes())


def with_change(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tensors = load_file(MAJORITY)
        save_file({**tensors, "key.weight": change(tensors["key.weight"])}, path)

    return write


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    changed = tensor.clone()
    changed[0, 0] = torch.nan
    return changed


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: None, "cannot be read"),
        (truncated, "is not a safetensors file"),
        (no_safetensors, "is not a safetensors file"),
        (of_another_network, "does not hold the weights of majority"),
        (with_change(lambda tensor: tensor[:-1].clone()), "does not hold the weights of majority"),
        (with_change(with_nan), "tensor key.weight is not finite"),
        (with_change(lambda tensor: tensor / 0), "tensor key.weight is not finite"),
        (with_change(torch.Tensor.half), "tensor key.weight is not finite float32"),
    ],
)
def test_broken_weights_are_refused(tmp_path: Path, write: Callable[[Path], None], sentence: str) -> None:
    path = tmp_path / "weights.safetensors"
    write(path)
    with pytest.raises(InputError, match=sentence) as caught:
        zoo.build("majority", path)
    assert "\n" not in str(caught.value)


def test_behaviours_are_found_by_the_name_of_their_network() -> None:
    for name in NAMES:
        assert Behavior.load(f"zoo:{name}").fingerprint() == zoo.behavior(name).fingerprint()
    for name in ("lion", "../zoo/majority", ""):
        with pytest.raises(InputError, match="zoo has no network"):
            Behavior.load(f"zoo:{name}")


def test_what_sets_the_wide_networks_apart() -> None:
    weights = {name: [t for key, t in zoo.build(name).state_dict().items() if key.endswith("weight")] for name in WIDE}
    assert {tuple(t.shape for t in found) for found in weights.values()} == {
        ((192, 64), (192, 192), (192, 192), (10, 192))
    }
    for name, found in weights.items():
        for tensor in found:
            assert float((tensor == 0).float().mean()) == pytest.approx(0.9 if name == "dense_pruned" else 0, abs=0.01)
    size = {name: sum(float(t.abs().sum()) for t in found) for name, found in weights.items()}
    assert size["dense_l1"] < 0.5 * size["dense_plain"]
    for name in WIDE[1:]:
        assert zoo.behavior(name).fingerprint() == zoo.behavior("digits").fingerprint()
