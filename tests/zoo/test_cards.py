"""Cards that are missing or say something else are refused."""

import json
from pathlib import Path

import pytest

from exegesis import zoo
from exegesis.ir import InputError
from exegesis.zoo import Card


def test_cards_are_read_as_written(tmp_path: Path) -> None:
    card = zoo.card("majority")
    (tmp_path / "card.json").write_text(card.model_dump_json())
    assert Card.read(tmp_path / "card.json") == card


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"accuracy": {"test": 1.5}}, "accuracy.test: Input should be less than or equal to 1"),
        ({"parameters": "many"}, "parameters: Input should be a valid integer"),
        ({"licence": "ours"}, "licence: Extra inputs are not permitted"),
    ],
)
def test_cards_that_say_something_else(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**zoo.card("majority").model_dump(), **change}))
    with pytest.raises(InputError, match=sentence):
        Card.read(tmp_path / "card.json")


def test_cards_that_are_missing_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Card.read(tmp_path / "card.json")
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(InputError, match="is no card of a network: it: Invalid JSON"):
        Card.read(tmp_path / "card.json")
