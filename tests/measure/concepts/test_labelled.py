"""What labelled inputs must be, the files they come in, and the images we draw ourselves."""

from pathlib import Path

import numpy as np
import pytest

from exegesis.behavior import ArraySplit
from exegesis.measure.concepts import (
    Attribute,
    ConceptError,
    Labelled,
    drawn_images,
    of_classes,
    patched,
    read_concepts,
    recoloured,
)

X = np.random.default_rng(0).random((30, 1, 8, 8)).astype(np.float32)
HALF = np.arange(30) % 2


def test_masks_and_labels_of_another_size_are_refused() -> None:
    with pytest.raises(ConceptError, match=r"masks of a have shape \[30, 7, 8\], where \[30, 8, 8\] is needed"):
        Labelled(X, (Attribute("a", ("no", "yes"), HALF, np.zeros((30, 7, 8), dtype=bool)),))
    with pytest.raises(ConceptError, match="has 29 labels for 30 inputs"):
        Labelled(X, (Attribute("a", ("no", "yes"), HALF[1:]),))
    with pytest.raises(ConceptError, match="takes a single value"):
        Labelled(X, (Attribute("a", ("no", "yes"), np.zeros(30, dtype=int)),))
    with pytest.raises(ConceptError, match="has label 1, but 1 values"):
        Labelled(X, (Attribute("a", ("no",), HALF),))
    with pytest.raises(ConceptError, match="no labelled concepts"):
        Labelled(X, ())
    with pytest.raises(ConceptError, match="19 labelled inputs are too few"):
        Labelled(X[:19], (Attribute("a", ("no", "yes"), HALF[:19]),)).halves(0)


def test_files_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "concepts.npz"
    mask = np.zeros((30, 8, 8), dtype=bool)
    np.savez(path, x=X, **{"side.of": HALF, "side.values": np.array(["left", "right"]), "side.mask": mask})
    found = read_concepts(path, (1, 8, 8))
    assert found.attributes[0].values == ("left", "right")
    assert found.attributes[0].of.tolist() == HALF.tolist()
    assert found.attributes[0].mask is not None
    with pytest.raises(ConceptError, match=r"each input must have shape \[3, 8, 8\]"):
        read_concepts(path, (3, 8, 8))
    with pytest.raises(ConceptError, match="cannot be read"):
        read_concepts(tmp_path / "none.npz", (1, 8, 8))
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ConceptError, match=r"is no \.npz file of plain arrays"):
        read_concepts(tmp_path / "text.npz", (1, 8, 8))
    np.savez(path, x=X, **{"side.of": HALF.astype(float)})
    with pytest.raises(ConceptError, match="must be whole numbers"):
        read_concepts(path, (1, 8, 8))
    np.savez(path, x=X * np.nan, **{"side.of": HALF})
    with pytest.raises(ConceptError, match="NaN or infinite"):
        read_concepts(path, (1, 8, 8))
    np.savez(path, side=HALF)
    with pytest.raises(ConceptError, match="holds no inputs x"):
        read_concepts(path, (1, 8, 8))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ConceptError, match="plain arrays"):
        read_concepts(tmp_path / "c.npz", (1, 8, 8))


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 16, 12), (10, 10)])
def test_figures_are_where_their_masks_and_labels_say(shape: tuple[int, ...]) -> None:
    made = drawn_images(shape, 200, 0)
    assert made.x.shape == (200, *shape)
    assert 0 <= made.x.min() < made.x.max() <= 1
    named = {a.name: a for a in made.attributes}
    assert ("colour" in named) == (shape[0] == 3)
    place = named["place"]
    assert place.mask is not None
    shown = made.x if made.x.ndim == 3 else made.x.max(1)
    np.testing.assert_array_equal(shown > 0, place.mask)
    assert place.mask.any((1, 2)).all()
    rows = np.array([np.argwhere(m).mean(0) for m in place.mask]) / np.array(shape[-2:])
    assert (rows[np.isin(place.of, (0, 1)), 0] < 0.55).all()
    assert (rows[np.isin(place.of, (1, 3)), 1] > 0.45).all()
    assert ((named["shape"].of >= 0) ^ (named["stroke"].of >= 0)).all()
    if shape[0] == 3:
        red = made.x[named["colour"].of == 0]
        assert (red[:, 0].sum((1, 2)) > 3 * red[:, 1].sum((1, 2))).all()
    with pytest.raises(ConceptError, match="at least 6 × 6"):
        drawn_images((1, 5, 9), 10, 0)


def colours() -> ArraySplit:
    """One class red, one green, each with a shape of its own."""
    x = np.zeros((40, 3, 6, 6), dtype=np.float32)
    y = np.arange(40) % 2
    x[y == 0, 0, :3] = 0.8
    x[y == 1, 1, :, :3] = 0.6
    return ArraySplit("test", x, y)


def test_recoloured_inputs_keep_their_shape_and_take_the_colour() -> None:
    made = recoloured(colours(), ("red", "green"), 120, 0)
    colour, shape = made.attributes
    np.testing.assert_array_equal(made.x.max((2, 3)).argmax(1), colour.of)
    assert (made.x.max(1)[:, 0, 5] > 0).tolist() == (shape.of == 0).tolist()
    assert 0.3 < (colour.of == shape.of).mean() < 0.7
    with pytest.raises(ConceptError, match="three channels"):
        recoloured(ArraySplit("test", X, HALF), ("a", "b"), 10, 0)


def test_patches_come_in_pairs() -> None:
    made = patched(ArraySplit("test", X), (5, 7), (6, 7), 1.0, 12, 0)
    (patch,) = made.attributes
    assert made.pairs is not None
    assert (patch.of[made.pairs] == 1 - patch.of).all()
    plain, marked = made.x[patch.of == 0], made.x[patch.of == 1]
    assert (marked[:, :, 5:8, 6:8] == 1).all()
    differ = (plain != marked).any((0, 1))
    assert differ[5:8, 6:8].all()
    assert differ.sum() == 6
    first, second = made.halves(0)
    assert set(made.pairs[first]) == set(first)
    assert set(made.pairs[second]) == set(second)
    with pytest.raises(ConceptError, match="does not lie in inputs"):
        patched(ArraySplit("test", X), (5, 8), (6, 7), 1.0, 12, 0)


def test_classes_need_labels() -> None:
    assert of_classes(colours(), ("red", "green")).attributes[0].values == ("red", "green")
    with pytest.raises(ConceptError, match="has no class for each input"):
        of_classes(ArraySplit("test", X), ("a", "b"))
