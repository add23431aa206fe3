"""`find_concepts` from labelled inputs to report, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exegesis import zoo
from exegesis.behavior import Argmax, Behavior
from exegesis.ir import InputError
from exegesis.measure.concepts import Attribute, ConceptError, Labelled
from exegesis.pipeline.concept_figures import concept_picture
from exegesis.pipeline.concepts import ConceptReport, find_concepts, labelled
from exegesis.pipeline.subjects import Subject, subject


@pytest.fixture(scope="module")
def digits() -> Subject:
    return subject("zoo:digits", zoo.behavior("digits"))


@pytest.fixture(scope="module")
def found(digits: Subject) -> ConceptReport:
    return find_concepts(digits, concepts="classes", images=120, nulls=19)


def test_the_classes_of_a_classifier_are_read_off_followed_and_moved(found: ConceptReport) -> None:
    (followed,) = found.followed
    assert followed.share > 0.9
    assert followed.chance < 0.2
    assert [f.layer for f in found.found] == ["act", "act_2"]
    for one in found.found:
        assert one.probe.accuracy > 0.7
        assert one.probe_q <= 0.05
        assert one.swap is not None
        assert one.swap.follows > one.swap.random_follows
    assert found.found[1].swap is not None
    assert found.found[1].swap.follows > 0.7
    assert len(found.found[0].matches) == 10


def test_the_record_is_json(found: ConceptReport) -> None:
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert len(record["found"]) == 2
    assert record["found"][0]["swap"]["dimensions"] == 9
    assert {s["answer"] for s in record["found"][0]["sensitivities"]} <= {str(d) for d in range(10)}


def test_pictures_are_drawn(found: ConceptReport, tmp_path: Path) -> None:
    assert concept_picture(found).save(tmp_path / "c.svg").read_text().startswith("<?xml")


def test_words_and_files_become_labelled_inputs(digits: Subject, tmp_path: Path) -> None:
    assert labelled(digits, "classes", images=50).note == "classes"
    with pytest.raises(ConceptError, match=r"cannot be drawn in the shape \[64\]"):
        labelled(digits, "generated")
    with pytest.raises(ConceptError, match="three channels"):
        labelled(digits, "recoloured")
    with pytest.raises(ConceptError, match="does not lie in inputs"):
        labelled(digits, "patch:1-2,3-4")
    for wrong in ("patch:1,2", "patch:a-b,1-2", "patch:1-2,3-4=x", "patch:1-2"):
        with pytest.raises(ConceptError, match="A patch is written as"):
            labelled(digits, wrong)
    with pytest.raises(ConceptError, match="cannot be read"):
        labelled(digits, tmp_path / "none.npz")
    x = np.random.default_rng(0).random((50, 64)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, **{"side.of": np.arange(50) % 2})
    assert labelled(digits, str(tmp_path / "mine.npz")).attributes[0].name == "side"


def test_images_get_every_kind_of_label() -> None:
    x = np.random.default_rng(0).integers(0, 255, (40, 3, 8, 8)).astype(np.uint8)
    behavior = Behavior.from_arrays(
        "b", {"test": (x, np.arange(40) % 2)}, Argmax(), output_names=["dark", "light"], scale=255.0
    )
    there = Subject("none", zoo_graph(), behavior, "test")
    assert [a.name for a in labelled(there, "generated").attributes] == ["shape", "stroke", "place", "colour"]
    assert [a.name for a in labelled(there, "recoloured").attributes] == ["colour", "shape"]
    made = labelled(there, "patch:2-3,4-5=0.5", images=20)
    assert len(made) == 20
    assert (made.x[made.attributes[0].of == 1][:, :, 2:4, 4:6] == 0.5).all()


def zoo_graph():  # type: ignore[no-untyped-def]
    return subject("zoo:digits", zoo.behavior("digits")).graph


def test_what_cannot_be_used_is_refused(digits: Subject) -> None:
    with pytest.raises(InputError, match="18 draws of a null are too few"):
        find_concepts(digits, nulls=18)
    with pytest.raises(InputError, match="need the behaviour"):
        find_concepts("zoo:digits")
    few = Labelled(
        np.zeros((19, 64), dtype=np.float32), (Attribute("a", ("no", "yes"), (np.arange(19) % 2).astype(np.int64)),)
    )
    with pytest.raises(ConceptError, match="too few to fit"):
        find_concepts(digits, concepts=few)
    with pytest.raises(ConceptError, match="is over token sequences"):
        find_concepts("zoo:majority", zoo.behavior("majority"))
