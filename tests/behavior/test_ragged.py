"""Ragged indices against list slicing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior.ragged import flat_indices, offsets_of


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.data())
def test_flat_indices_pick_whole_items(lengths: list[int], data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=10))
    items = [[f"{i}.{k}" for k in range(length)] for i, length in enumerate(lengths)]
    flat = np.array([element for item in items for element in item], dtype=object)
    found = flat[flat_indices(offsets_of(np.array(lengths, dtype=np.int64)), np.array(asked, dtype=np.int64))]
    assert found.tolist() == [element for i in asked for element in items[i]]
