"""Bad files: each fault is planted, and answered in one sentence that says where it is."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Behavior
from exegesis.ir import InputError
from exegesis.ir.files import write_bytes

IMAGES = np.arange(2 * 4, dtype=np.uint8).reshape(2, 2, 2)
LAYOUT = {"shape": [2, 2], "stored": "uint8", "scale": 255}


def refusal(path: Path) -> str:
    """The one sentence with which a behaviour is refused."""
    with pytest.raises(InputError) as caught:
        Behavior.load(path).check()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))
    return sentence


def test_the_unbroken_folder_is_accepted(folder: Any) -> None:
    behavior = Behavior.load(folder.path)
    behavior.check()
    assert {name: len(split) for name, split in behavior.splits.items()} == {"train": 3, "test": 2}


def test_missing_and_empty_files(folder: Any, tmp_path: Path) -> None:
    assert "nowhere does not exist" in refusal(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    assert "behavior.json does not exist" in refusal(tmp_path / "bare")
    assert "missing.jsonl does not exist" in refusal(folder.header(splits={"train": "missing.jsonl"}))
    (folder.path / "behavior.json").write_text("")
    assert "behavior.json is empty" in refusal(folder.path)


def test_a_behaviour_without_splits(folder: Any) -> None:
    (folder.path / "train.jsonl").unlink()
    (folder.path / "test.jsonl").unlink()
    assert "holds no split; a behaviour needs train.jsonl" in refusal(folder.path)


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_an_empty_split(folder: Any, content: str) -> None:
    (folder.path / "train.jsonl").write_text(content)
    assert "train.jsonl is empty" in refusal(folder.path)


def test_a_split_that_is_a_folder(folder: Any) -> None:
    (folder.path / "train.jsonl").unlink()
    (folder.path / "train.jsonl").mkdir()
    assert "train.jsonl does not exist" in refusal(folder.path)


def test_malformed_lines_name_file_and_line(folder: Any) -> None:
    path = folder.path / "train.jsonl"
    path.write_text(path.read_text() + "\n" + '{"input_ids": [2, 0}\n')
    assert "train.jsonl line 5 is not valid JSON" in refusal(folder.path)
    path.write_bytes(b'{"input_ids": [2], "scored": [0], "expected": [0], "position_ids": [0]}\n\xff\xfe\n')
    assert "train.jsonl line 2 is not valid JSON" in refusal(folder.path)
    (folder.path / "behavior.json").write_text("[1,")
    assert "behavior.json is not valid JSON" in refusal(folder.path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input_ids": None}, "field input_ids is missing"),
        ({"scored": None}, "field scored is missing"),
        ({"input_ids": "2 0"}, "input_ids is '2 0', but input should be a valid array"),
        ({"input_ids": [2, 0.5, 1, 3]}, r"input_ids[1] is 0.5, but input should be a valid integer"),
        ({"input_ids": [2, True, 1, 3]}, r"input_ids[1] is True"),
        ({"input_ids": [2, "0", 1, 3]}, r"input_ids[1] is '0'"),
        ({"input_ids": [2, 0, -1, 3]}, r"input_ids[2] is -1, but input should be greater than or equal to 0"),
        ({"input_ids": [2, 0, 2**70, 3]}, r"input_ids[2] is"),
        ({"input_ids": []}, "input_ids is []"),
        ({"input_ids": [2, 0, 1, 4]}, "token id 4 exceeds the vocabulary of 4 tokens"),
        ({"scored": []}, "scored is []"),
        ({"scored": [4]}, "scored position 4 lies outside the 4 positions"),
        ({"scored": [-1]}, r"scored[0] is -1"),
        ({"scored": [1, 1], "expected": [0, 0]}, "a scored position is named twice"),
        ({"position_ids": [0, 1]}, "2 position_ids for 4 input_ids"),
        ({"position_ids": [0, 1, 2, -3]}, r"position_ids[3] is -3"),
        ({"position_ids": None}, "has no position_ids, but other rows of the split do"),
        ({"expected": [0, 1]}, "2 expected answers for 1 scored positions"),
        ({"expected": [[0]]}, r"expected[0] is [0]"),
        ({"expected": None}, "has no expected, but other rows of the split do"),
        ({"position": [0, 1, 2, 3]}, "unknown field position"),
    ],
)
def test_bad_rows_name_file_and_line(folder: Any, changes: dict[str, Any], sentence: str) -> None:
    said = refusal(folder.row(**changes))
    assert "train.jsonl line 2" in said
    assert sentence in said


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        ({"outputs": [1]}, {}, "expected answer 0 is none of the outputs"),
        ({"output_names": ["no", "yes"]}, {"expected": [2]}, "expected answer 2 exceeds the 2 outputs"),
        ({"readout": "sign"}, {"expected": [[1, 1]]}, "names an output twice"),
        ({"readout": "sign"}, {"expected": [[4]]}, "expected answer 4 exceeds the 4 outputs"),
        ({"readout": "sign"}, {"expected": [1]}, "expected[0] is 1"),
        ({"readout": "value", "tolerance": 0.1}, {"expected": [float("nan")]}, "expected[0] is nan"),
        ({"readout": "value", "tolerance": 0.1}, {"expected": ["1"]}, "expected[0] is '1'"),
    ],
)
def test_answers_that_the_readout_cannot_give(folder: Any, header: Any, row: Any, sentence: str) -> None:
    folder.header(**header)
    folder.row(**row)
    first = json.loads((folder.path / "train.jsonl").read_text().splitlines()[1])
    said = refusal(folder.rows(first))
    assert "train.jsonl line 1" in said
    assert sentence in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"readout": "softmax"}, "readout is 'softmax', but input should be 'argmax', 'sign' or 'value'"),
        ({"readout": "value"}, "Readout 'value' needs a tolerance"),
        ({"tolerance": 0.1}, "Readout 'argmax' takes no tolerance"),
        ({"readout": "value", "tolerance": -1}, "tolerance must be"),
        ({"readout": "sign", "outputs": [0]}, "Readout 'sign' takes no outputs"),
        ({"outputs": []}, "non-empty list"),
        ({"outputs": [-1]}, "outputs[0] is -1"),
        ({"name": 3}, "name is 3, but input should be a valid string"),
        ({"tokens": ["a", "a"]}, "two tokens 'a'"),
        ({"tokens": "ab"}, "tokens is 'ab'"),
        ({"bos": 9}, "bos token has id 9"),
        ({"tolerence": 0.1}, "unknown field tolerence; did you mean tolerance?"),
        ({"classes": ["a"]}, "field classes does not belong to a behaviour over token sequences"),
        ({"domain": {"kind": "grammar"}}, "domain"),
        ({"domain": {"kind": "product", "positions": [[0], [7]]}}, "domain uses token id 7"),
        ({"domain": {"kind": "product", "positions": [[]]}}, "needs alternatives"),
        ({"domain": {"kind": "strings", "alphabet": [0], "min_length": 1}}, "max_length is missing"),
        (
            {"domain": {"kind": "strings", "alphabet": [0], "min_length": 3, "max_length": 1}},
            "min_length <= max_length",
        ),
        ({"domain": {"kind": "strings", "alphabet": [5], "min_length": 1, "max_length": 1}}, "uses token id 5"),
    ],
)
def test_bad_headers_name_the_file(folder: Any, changes: dict[str, Any], sentence: str) -> None:
    said = refusal(folder.header(**changes))
    assert "behavior.json" in said
    assert sentence in said


def test_a_header_without_tokens_and_input(folder: Any) -> None:
    assert "field tokens is missing" in refusal(folder.header(without=("tokens",)))
    assert "field name is missing" in refusal(folder.header(without=("name",)))


def test_keys_for_people_are_kept(folder: Any) -> None:
    behavior = Behavior.load(folder.header(origin="elsewhere", seed=3))
    assert behavior.info == {"origin": "elsewhere", "seed": 3}
    saved = behavior.save(folder.path / "again")
    assert Behavior.load(saved).info == behavior.info


def arrays_folder(path: Path, content: bytes | None = None, **layout: Any) -> Path:
    fields = {"name": "made", "readout": "argmax", "classes": ["no", "yes"], "input": {**LAYOUT, **layout}}
    (path / "behavior.json").write_text(json.dumps(fields))
    (path / "train.npz").write_bytes(npz(x=IMAGES, y=np.array([0, 1])) if content is None else content)
    return path


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_the_unbroken_arrays_are_accepted(tmp_path: Path) -> None:
    split = Behavior.load(arrays_folder(tmp_path)).arrays("train")
    np.testing.assert_allclose(split.x, IMAGES / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "train.npz is empty"),
        (b"no archive", "not a readable .npz file"),
        (npz(x=IMAGES)[:60], "not a readable .npz file"),
        (npz(x=IMAGES, y=np.array([0, 1])).replace(b"\x93NUMPY", b"\x93NUMPX"), "not a readable .npz file"),
        (npz(x=np.array([[None]], dtype=object)), "not a readable .npz file"),
        (npy(IMAGES), "single array"),
        (npz(images=IMAGES), "holds the arrays ['images']"),
        (npz(x=IMAGES, y=np.array([0, 1]), z=IMAGES), "holds the arrays ['x', 'y', 'z']"),
        (npz(x=IMAGES, y=np.array([0])), "x has 2 rows, but y has shape [1]"),
        (npz(x=IMAGES, y=np.array([0, 2])), "y of row 1 is 2"),
        (npz(x=np.array([[[0.0, np.nan], [0, 0]]]), y=np.array([0])), "NaN"),
        (npz(x=IMAGES[:, :1], y=np.array([0, 1])), "uint8 inputs of shape [1, 2], but behavior.json announces"),
        (npz(x=IMAGES.astype(np.float32), y=np.array([0, 1])), "float32 inputs of shape [2, 2], but"),
    ],
)
def test_bad_arrays_name_the_file(tmp_path: Path, content: bytes, sentence: str) -> None:
    said = refusal(arrays_folder(tmp_path, content))
    assert "train.npz" in said
    assert sentence in said


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ({"scale": 0}, "input.scale is 0"),
        ({"stored": "complex64"}, "input.stored"),
        ({"shape": [0]}, "input.shape[0]"),
        ({"features": ["a"]}, "1 features are named, but one input holds 4 numbers"),
        ({"features": ["a", "b", "a", "c"]}, "'a' is empty or comes twice"),
    ],
)
def test_bad_layouts(tmp_path: Path, layout: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(arrays_folder(tmp_path, **layout))


def test_features_keep_their_names(tmp_path: Path) -> None:
    named = Behavior.load(arrays_folder(tmp_path, features=["a", "b", "c", "d"]))
    assert named.features == ("a", "b", "c", "d")
    again = Behavior.load(named.save(tmp_path / "again"))
    assert again.features == named.features
    assert again.fingerprint() == named.fingerprint()
    (tmp_path / "bare").mkdir()
    assert Behavior.load(arrays_folder(tmp_path / "bare")).features == ("x0", "x1", "x2", "x3")


def test_arrays_take_no_tokens(tmp_path: Path) -> None:
    path = arrays_folder(tmp_path) / "behavior.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokens": ["a"]}))
    assert "field tokens does not belong to a behaviour over arrays" in refusal(tmp_path)


def test_writing_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="taken cannot be written"):
        write_bytes(tmp_path / "taken", b"content")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "below", b"content")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]
    assert not list((tmp_path / "taken").iterdir())
