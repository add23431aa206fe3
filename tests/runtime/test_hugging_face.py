"""Hugging Face folders: loaded as their owner would, and refused in one sentence when they cannot be."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from exegesis.ir import InputError
from exegesis.runtime import load

transformers = pytest.importorskip("transformers")

SIZES: dict[str, Any] = {
    "gpt2": {"n_embd": 8, "n_head": 2, "n_layer": 1, "n_positions": 16, "vocab_size": 11},
    "llama": {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_hidden_layers": 1,
        "vocab_size": 11,
        "max_position_embeddings": 16,
    },
    "bert": {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "vocab_size": 11,
        "max_position_embeddings": 16,
    },
}


def save(folder: Path, kind: str = "gpt2", name: str = "AutoModelForCausalLM") -> Any:
    """A small network with random weights, saved by transformers itself."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES[kind])
    module = getattr(transformers, name).from_config(config).eval()
    module.save_pretrained(folder)
    return module


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("gpt2", "AutoModelForCausalLM"),
        ("llama", "AutoModelForCausalLM"),
        ("bert", "AutoModelForMaskedLM"),
        ("gpt2", "AutoModel"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_folder_gives_the_network_that_was_saved(
    tmp_path: Path, kind: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    module = save(tmp_path, kind, name)
    capfd.readouterr()
    network = load(tmp_path)
    assert capfd.readouterr() == ("", ""), "no loading bars, no advice"
    assert type(network.module) is type(module)
    assert network.vocabulary_size == 11
    assert network.name == tmp_path.name
    ids = torch.arange(6).reshape(2, 3)
    expected = module(input_ids=ids)
    expected = expected.logits if hasattr(expected, "logits") else expected.last_hidden_state
    torch.testing.assert_close(network.logits(ids), expected.detach())
    assert network.outputs == (None if name == "AutoModel" else 11)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize("architectures", [["GPT2BCELMHeadModel"], [], None])
def test_an_architecture_that_transformers_does_not_have_falls_back_on_its_type(
    tmp_path: Path, architectures: Any
) -> None:
    save(tmp_path)
    edit(tmp_path, architectures=architectures)
    assert type(load(tmp_path).module).__name__ == "GPT2LMHeadModel"


def test_a_network_answers_without_advice(caplog: pytest.LogCaptureFixture) -> None:
    advisor = logging.getLogger("transformers.models.advisor")

    class Advises(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            advisor.warning("pass an attention_mask")
            advisor.error("broken")
            return x

    network = load(Advises())
    network(torch.ones(1))
    assert "broken" in caplog.text
    assert "attention_mask" not in caplog.text
    network.module(torch.ones(1))
    assert "attention_mask" in caplog.text, "only while we ask"


def test_half_precision_is_widened(tmp_path: Path) -> None:
    save(tmp_path).half().save_pretrained(tmp_path)
    assert {p.dtype for p in load(tmp_path).module.parameters()} == {torch.float32}


def test_positions_reach_the_network(tmp_path: Path) -> None:
    save(tmp_path)
    network, ids = load(tmp_path), torch.zeros(1, 3, dtype=torch.long)
    assert network.takes_positions
    assert not torch.equal(network.logits(ids), network.logits(ids, torch.tensor([[5, 6, 7]])))


def weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return apply


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


KEY = "transformer.h.0.mlp.c_fc.weight"
FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "config cut": (lambda f: (f / "config.json").write_text('{"model_type"'), "config.json is not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "names no model_type"),
    "no type": (lambda f: edit(f, model_type=None), "names no model_type"),
    "unknown type": (
        lambda f: edit(f, model_type="gpt99", architectures=None),
        "model_type 'gpt99', which transformers",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no weights: model.safetensors is missing"),
    "pickle": (pickled, r"as a pickle \(pytorch_model.bin\), which is never opened"),
    "weight missing": (weights(lambda t: t.pop(KEY)), f"lacks weights that the network needs: {KEY}"),
    "weight too many": (weights(lambda t: t.update(extra=torch.zeros(1))), "has no place for: extra"),
    "weight of another shape": (
        weights(lambda t: t.update({KEY: torch.zeros(3, 3)})),
        "transformers cannot load|other shapes",
    ),
    "not safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04K\x01."), "transformers cannot load"),
    "cut": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
        "cannot load",
    ),
    "not finite": (weights(lambda t: t[KEY].__setitem__((0, 0), float("nan"))), f"NaN or infinite, first in {KEY}"),
    "empty folder": (lambda f: [p.unlink() for p in f.iterdir()], "config.json is missing"),
}


@pytest.mark.parametrize(("plant", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_refused_in_one_sentence(tmp_path: Path, plant: Callable[[Path], Any], message: str) -> None:
    save(tmp_path)
    plant(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_pickle_is_not_opened_even_where_it_could_be(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"w": Trap()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="is never opened"):
        load(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    save(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"need transformers: pip install 'exegesis\[hf\]'"):
        load(tmp_path)


def test_networks_trained_by_others(models: Path) -> None:
    """Every folder of the benchmark loads, also those whose architecture transformers does not have."""
    for folder in sorted((models / "drasp").iterdir()):
        network = load(folder)
        assert network.takes_positions, folder.name
        logits = network.logits(**network.example())
        assert logits.shape[2] == network.vocabulary_size == network.outputs


def test_a_copy_of_a_folder_has_the_same_fingerprint(tmp_path: Path) -> None:
    save(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert load(tmp_path / "one").fingerprint == load(tmp_path / "two").fingerprint
