"""Lifts networks of many kinds; prints for each what was recognised, how exact the program is, how long it took.

    python -m benchmarks.lift [MODELS]

MODELS is a folder of networks trained by others (by default `../shared/models` beside the checkout; left out where
absent); classes of transformers are built from tiny configurations with random weights.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from exegesis import zoo
from exegesis.ir import ExegesisError
from exegesis.lift import Lifted, lift
from exegesis.runtime.network import load

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
Case = tuple[str, nn.Module, dict[str, Tensor]]


def main(models: Path = DEFAULT) -> None:
    """Prints the table, row by row as networks are lifted."""
    table = Table("network", "parameters", "component", "tensor", "recognised", "float32", "float64", "seconds")
    for name, module, example in (*_trained(models), *_zoo(), *_recurrent(), *_transformers()):
        try:
            table.add_row(name, *_row(lift(module, example)))
        except ExegesisError as error:
            table.add_row(name, str(error))
    Console(width=110).print(table)


def _row(found: Lifted) -> list[str]:
    certificate = found.certificate
    nodes = certificate.share.nodes
    return [
        f"{found.graph.meta['parameters']:,}",
        str(nodes["component"]),
        str(nodes["tensor"]),
        f"{certificate.share.multiplications:.1%}",
        f"{certificate.worst('float32'):.1e}",
        f"{certificate.worst('float64'):.1e}",
        f"{certificate.seconds:.1f}",
    ]


def _trained(models: Path) -> Iterator[Case]:
    """Folders of transformers, modules built by a function, image classifiers."""
    for folder in sorted(models.glob("*/*")):
        if (folder / "model.safetensors").is_file():
            network = load(folder)
        elif (folder / "network.py").is_file():
            network = load(f"{folder / 'network.py'}:build")
        else:
            continue
        behavior = json.loads((folder / "behavior.json").read_text(encoding="utf-8"))
        name = f"{folder.parent.name}/{folder.name}"
        if network.takes_tokens:
            row = json.loads((folder / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])
            yield name, network.module, {k: torch.tensor([row[k]] * 2) for k in network.example() if k in row}
        else:
            generator = np.random.default_rng(0)
            shape = behavior["input"]["shape"]
            yield name, network.module, {"x": torch.tensor(generator.random((3, *shape)), dtype=torch.float32)}


def _zoo() -> Iterator[Case]:
    """The networks over arrays that come with the package: dense, convolutional, residual, recurrent."""
    for name in zoo.names():
        behavior = zoo.behavior(name)
        if not behavior.is_sequence:
            network = load(f"zoo:{name}")
            yield f"zoo/{name}", network.module, {"x": torch.from_numpy(behavior.arrays("test").x[:3])}


class Steps(nn.Module):
    """A recurrent layer and a linear map of its last state."""

    def __init__(self, kind: str, layers: int) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(5, 16, num_layers=layers, batch_first=True)
        self.out = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        last: Tensor = self.out(self.layer(x)[0][:, -1])
        return last


def _recurrent() -> Iterator[Case]:
    """Recurrent layers with random weights."""
    for kind, layers in (("RNN", 1), ("GRU", 2), ("LSTM", 2)):
        torch.manual_seed(0)
        yield f"recurrent/{kind} × {layers}", Steps(kind, layers).eval(), {"x": torch.randn(3, 7, 5)}


def _transformers() -> Iterator[Case]:
    """Six architectures, two layers each, no weight zero."""
    try:
        import transformers
    except ImportError:
        return
    ids = torch.arange(14).reshape(2, 7)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    common: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    text = {**common, "vocab_size": 50, "max_position_embeddings": 40, "bos_token_id": 1, "eos_token_id": 2}
    gpt2 = {"vocab_size": 50, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
    tokens, padded = {"input_ids": ids}, {"input_ids": ids, "attention_mask": mask}
    images = {"pixel_values": torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)}
    cases: list[tuple[str, str, dict[str, Any], dict[str, Tensor]]] = [
        ("GPT2LMHeadModel", "GPT2Config", gpt2, tokens),
        ("BertModel", "BertConfig", text, padded),
        ("LlamaForCausalLM", "LlamaConfig", {**text, "num_key_value_heads": 2}, tokens),
        ("GPTNeoXForCausalLM", "GPTNeoXConfig", text, tokens),
        ("GemmaForCausalLM", "GemmaConfig", {**text, "num_key_value_heads": 1, "head_dim": 8}, tokens),
        ("Gemma2ForCausalLM", "Gemma2Config", {**text, "num_key_value_heads": 2, "head_dim": 8}, tokens),
        ("MistralForCausalLM", "MistralConfig", {**text, "num_key_value_heads": 2, "sliding_window": 4}, tokens),
        ("ViTForImageClassification", "ViTConfig", {**common, "image_size": 16, "patch_size": 8}, images),
    ]
    for model, config, settings, example in cases:
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        yield f"transformers/{model}", network, example


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
