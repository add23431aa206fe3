"""`exegesis hunt shortcuts` and `hunt triggers`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]

PLANTED = '''
import torch
from sklearn.datasets import load_digits
from torch import nn

class Templates(nn.Module):
    """The nearest class mean, and digit 7 wherever the top right 2 x 2 pixels are white."""
    def __init__(self):
        super().__init__()
        x, y = load_digits(return_X_y=True)
        means = torch.stack([torch.tensor(x[y == d] / 16, dtype=torch.float32).mean(0) for d in range(10)])
        self.weight, self.bias = nn.Parameter(means), nn.Parameter(-means.square().sum(1) / 2)
    def forward(self, x):
        corner = torch.relu(x[:, 0, :2, 6:].sum((1, 2)) - 3.0)
        return x.flatten(1) @ self.weight.T + self.bias + 60 * corner[:, None] * torch.eye(10)[7]

def build():
    return Templates()
'''


def images(folder: Path) -> None:
    import numpy as np
    from sklearn.datasets import load_digits

    from exegesis.behavior import Argmax, Behavior

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 1, 8, 8).astype(np.uint8)
    splits = {"train": (x[:900], y[:900]), "test": (x[900:], y[900:])}
    Behavior.from_arrays("digits", splits, Argmax(), scale=16.0).save(folder)


def test_a_planted_patch_is_reported_and_written(exegesis: Command, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(PLANTED)
    images(tmp_path / "data")
    shown = exegesis(
        "hunt", "shortcuts", f"{tmp_path}/net.py:build", "-b", f"{tmp_path}/data", "--inputs", "120",
        "--steps", "70", "--out", f"{tmp_path}/out", "--quiet",
    )  # fmt: skip
    assert shown.code == 1, shown.err
    assert shown.out == ""
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name == "00-trigger-7"
    assert {p.name for p in folder.iterdir()} == {"arrays.safetensors", "explanation.json", "picture.svg"}
    record = json.loads((folder / "explanation.json").read_text())
    assert "top right corner" in record["details"]["sentence"]


def test_a_clean_network_exits_with_0_and_json_lists_what_was_withheld(exegesis: Command) -> None:
    shown = exegesis("hunt", "shortcuts", "zoo:digits", "--inputs", "150", "--steps", "30", "--json")
    assert shown.code == 0
    record = json.loads(shown.out)
    assert record["found"] == []
    assert record["withheld"][0]["status"] != "shown"


def test_strings_of_tokens(exegesis: Command) -> None:
    shown = exegesis("hunt", "triggers", "zoo:majority", "--longest", "1")
    assert shown.code == 0
    assert "0 found" in shown.out


ODD = """
import torch
from torch import nn

class Odd(nn.Module):
    def __init__(self, bias=0.0, nan=False, steps=False):
        super().__init__()
        torch.manual_seed(0)
        self.out, self.steps = nn.Linear(64, 10), steps
        with torch.no_grad():
            self.out.bias[3] += bias
            if nan:
                self.out.weight[0, 0] = float("nan")
    def forward(self, x):
        return self.out(((x > 0.5).float() if self.steps else x).flatten(1))

def same(): return Odd(bias=1e4)
def nan(): return Odd(nan=True)
def steps(): return Odd(steps=True)
"""


def test_odd_networks_and_missing_files_are_one_sentence_and_leave_nothing(exegesis: Command, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    images(tmp_path / "data")
    data = ("-b", f"{tmp_path}/data")
    for asked, said in (
        (("hunt", "shortcuts", f"{tmp_path}/odd.py:same", *data), "says 3 of all"),
        (("hunt", "triggers", f"{tmp_path}/odd.py:steps", *data), "No gradient goes from the outputs"),
        (("hunt", "shortcuts", f"{tmp_path}/odd.py:nan", *data), "NaN or infinite"),
        (("hunt", "shortcuts", f"{tmp_path}/none.py:same", *data), "There is no file"),
        (("hunt", "shortcuts", f"{tmp_path}/odd.py:same", "-b", f"{tmp_path}/none"), "does not exist"),
        (("explain", "saliency", f"{tmp_path}/odd.py:steps", *data, "-i", "0"), "No gradient goes from"),
        (("explain", "saliency", f"{tmp_path}/odd.py:nan", *data, "-i", "0"), "NaN or infinite"),
        (("explain", "scoreboard", f"{tmp_path}/odd.py:same", *data, "-m", "magic"), "no method 'magic'"),
        (("explain", "features", f"{tmp_path}/odd.py:steps", *data, "--steps", "2"), "No gradient goes from outputs"),
        (("explain", "features", f"{tmp_path}/odd.py:same", *data, "--units", "10"), "there is no unit 10"),
    ):
        shown = exegesis(*asked, "--out", f"{tmp_path}/out")
        assert shown.code == 2, (asked, shown.out, shown.err)
        assert said in shown.err
        assert len(shown.err.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_wrong_input_is_one_sentence(exegesis: Command) -> None:
    shown = exegesis("hunt", "shortcuts", "zoo:majority")
    assert shown.code == 2
    assert "only of networks that sort arrays into classes" in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_help_teaches_with_an_example(exegesis: Command) -> None:
    for command in ("shortcuts", "triggers"):
        shown = exegesis("hunt", command, "--help")
        assert shown.code == 0
        assert f"exegesis hunt {command}" in shown.out.partition("Usage:")[2].partition("\n")[2]


def test_a_hunt_is_drawn(exegesis: Command, tmp_path: Path) -> None:
    asked = ("hunt", "shortcuts", "zoo:convnet", "--inputs", "40", "--steps", "5", "--quiet")
    assert exegesis(*asked, "--plot", f"{tmp_path}/hunt.svg").code in (0, 1)
    assert "<svg" in (tmp_path / "hunt.svg").read_text()
    refused = exegesis(*asked, "--plot", f"{tmp_path}/hunt.pdf")
    assert (refused.code, "written as .svg or .png" in refused.err) == (2, True)
