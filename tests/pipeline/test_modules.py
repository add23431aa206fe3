"""`find_modules` on networks small enough to see through; its pictures and its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import two_streams as streams

from exegesis.behavior import Argmax, Behavior
from exegesis.ir import InputError
from exegesis.pipeline.module_figures import module_picture
from exegesis.pipeline.modules import ModuleReport, find_modules
from exegesis.pipeline.subjects import subject


@pytest.fixture(scope="module")
def found() -> ModuleReport:
    torch.set_num_threads(1)
    return find_modules(streams.TwoStreams(), streams.behavior(), ks=(2, 3), nulls=20, randoms=20, rows=60)


def test_a_modular_network_is_said_to_be_modular(found: ModuleReport) -> None:
    assert found.modular
    assert [g.of for g in found.graphs] == ["weights", "correlations", "attributions"]
    assert "Modular" in found.says()
    assert sum(m.size for m in found.modules) == 8 + 64 + 4
    assert found.roles is not None
    assert found.levels is not None
    assert found.dead == 0


def test_the_record_is_json_and_says_the_same(found: ModuleReport) -> None:
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["modular"] is True
    assert len(record["modules"]) == len(found.modules)
    assert {t["null"] for t in record["graphs"][0]["tests"]} == {"shuffle", "degree"}
    units = sorted(u for m in record["modules"] for u in m["units"].get("act", []))
    assert units == list(range(32))
    assert all(m["name_check"]["why"] for m in record["modules"] if "name_check" in m)


def test_pictures_are_drawn(found: ModuleReport, tmp_path: Path) -> None:
    picture = module_picture(found, (8,))
    assert picture.svg.startswith("<?xml")
    assert module_picture(found).save(tmp_path / "modules.png").read_bytes()[:4] == b"\x89PNG"


def test_one_seed_gives_one_report() -> None:
    kinds: tuple[str, ...] = ("weights",)
    reports = [
        find_modules(
            streams.TwoStreams(), streams.behavior(), kinds=kinds, ks=(2,), nulls=20, randoms=20, rows=40, seed=s
        )  # type: ignore[arg-type]
        for s in (1, 1)
    ]
    plain = [json.dumps({**r.record(), "seconds": 0, "seed": 0}) for r in reports]
    assert plain[0] == plain[1]


def test_a_network_that_is_not_modular_has_no_modules_unless_asked_for() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 20), torch.nn.ReLU(), torch.nn.Linear(20, 4))
    rows = streams.behavior().arrays("test")
    with torch.no_grad():  # random features, and the answers fitted to them
        hidden, answers = network[:2](torch.from_numpy(rows.x)), torch.eye(4)[torch.from_numpy(rows.y)]
        network[2].weight.copy_((torch.linalg.pinv(hidden, rtol=1e-4) @ answers).T)
        network[2].bias.zero_()
    plain = find_modules(network, streams.behavior(), kinds=("weights",), ks=(2, 3), nulls=20, randoms=20, rows=40)
    assert not plain.modular
    assert plain.modules == ()
    assert plain.roles is None
    assert "Not modular" in plain.says()
    options: Any = {"kinds": ("weights",), "ks": (2,), "nulls": 20, "randoms": 20, "rows": 60}
    anyway = find_modules(network, streams.behavior(), even_if_not=True, **options)
    assert not anyway.modular
    assert len(anyway.modules) == 2
    assert anyway.levels is None


def test_what_cannot_be_looked_at_is_refused_in_a_sentence() -> None:
    rows = streams.behavior().arrays("test")
    few = Behavior.from_arrays(
        "few", {"test": (rows.stored[:21], rows.y[:21])}, Argmax(), output_names=list("abcdefghijkl")
    )
    wide = torch.nn.Sequential(torch.nn.Linear(8, 9), torch.nn.ReLU(), torch.nn.Linear(9, 12))
    with pytest.raises(InputError, match="has 21 rows, too few to see each of 12 classes twice"):
        subject(wide, few).halves(40, 0)
    with pytest.raises(InputError, match="no layer of units"):
        find_modules(torch.nn.Linear(8, 4), streams.behavior())
    one = rows.select(np.flatnonzero(rows.y == 2))
    single = Behavior.from_arrays("one", {"test": (one.stored, one.y)}, Argmax(), output_names=list("abcd"))
    with pytest.raises(InputError, match="with a single class"):
        find_modules(streams.TwoStreams(), single, kinds=("weights",), ks=(2,), nulls=20, randoms=20, rows=30)
    narrow = torch.nn.Sequential(torch.nn.Linear(9, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    with pytest.raises(InputError, match=r"shape \[2, 8\]|inputs of shape"):
        find_modules(narrow, streams.behavior())
