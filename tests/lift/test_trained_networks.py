"""Networks that others trained, and the architectures of transformers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exegesis.lift import Lifted, lift
from exegesis.runtime import Executor
from exegesis.runtime.network import load

IDS = torch.randint(0, 50, (3, 7), generator=torch.Generator().manual_seed(3))
PADDING = torch.ones_like(IDS)
PADDING[1, 4:] = 0


def levels(found: Lifted) -> set[str]:
    return {n.op.split(".")[0] for n in found.graph.nodes}


@pytest.mark.parametrize("name", ["majority", "unique-copy"])
def test_gpt2_folder_is_wholly_at_component_level(models: Path, name: str) -> None:
    network = load(models / "drasp" / name)
    found = lift(network.module, network.example(2, 5))
    assert levels(found) == {"input", "component"}
    assert found.certificate.share.numbers == 1.0
    assert found.certificate.worst("float64") < 1e-11
    assert found.certificate.assumes == ("position ids rise by one along each sequence",)
    assert found.graph["L0.attn.mask"].attrs["causal"]
    ids = torch.randint(0, network.vocabulary_size or 1, (2, 9))
    positions = torch.arange(9).expand(2, 9) + torch.tensor([[0], [4]])
    mine = Executor(found.graph).run({"tokens": ids, "positions": positions})["logits"]
    torch.testing.assert_close(mine, network.logits(ids, positions), atol=1e-4, rtol=0)


PLAIN = ["algorithmic/brackets", "algorithmic/mod_add_p59_a", "algorithmic/mod_add_p59_mlp", "tracr/hist"]


@pytest.mark.parametrize("name", PLAIN)
def test_module_of_others(models: Path, name: str) -> None:
    network = load(f"{models / name / 'network.py'}:build")
    found = lift(network.module, network.example(3, 2 if "p59" in name else 6))
    assert found.certificate.share.multiplications == 1.0
    assert found.certificate.share.numbers == 1.0


@pytest.mark.parametrize("name", ["mnist_badnet", "mnist_colored", "mnist_dense", "mnist_pooled"])
def test_image_classifier(models: Path, name: str) -> None:
    network = load(f"{models / 'vision' / name / 'network.py'}:build")
    images = torch.rand(3, 3 if name == "mnist_colored" else 1, 28, 28)
    found = lift(network.module, (images,))
    assert levels(found) == {"input", "component"}


SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def build(name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """A network of transformers with random weights, none of them zero, and an example."""
    transformers = pytest.importorskip("transformers")
    padded = {"input_ids": IDS, "attention_mask": PADDING}
    images = {"pixel_values": torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))}
    wide = {
        "vocab_size": 50,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 40,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    seen = {k: v for k, v in SMALL.items() if k not in ("vocab_size", "max_position_embeddings")}
    kinds = {
        "gpt2": ("GPT2LMHeadModel", "GPT2Config", wide, {"input_ids": IDS}),
        "bert": ("BertForMaskedLM", "BertConfig", SMALL, padded),
        "llama": ("LlamaForCausalLM", "LlamaConfig", {**SMALL, "num_key_value_heads": 2}, {"input_ids": IDS}),
        "neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", SMALL, {"input_ids": IDS}),
        "gemma": (
            "GemmaForCausalLM",
            "GemmaConfig",
            {**SMALL, "num_key_value_heads": 1, "head_dim": 8},
            {"input_ids": IDS},
        ),
        "vit": ("ViTForImageClassification", "ViTConfig", {**seen, "image_size": 16, "patch_size": 8}, images),
    }
    model, config, settings, example = kinds[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = getattr(transformers, model)(getattr(transformers, config)(**settings))
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network.eval(), example


WRITTEN = {  # parts that each must have twice: one per layer
    "gpt2": {"heads": 6, "mask": 2, "norm": 5},
    "bert": {"heads": 6, "mask": 2, "norm": 6},
    "llama": {"heads": 6, "mask": 2, "norm": 5, "gate": 2},
    "neox": {"heads": 6, "mask": 2, "norm": 5},
    "gemma": {"heads": 6, "mask": 2, "norm": 5, "gate": 2, "scale": 1},
    "vit": {"heads": 6, "mask": 0, "norm": 5, "conv2d": 1, "pick": 1},
}


@pytest.mark.parametrize("name", WRITTEN)
def test_architecture_of_transformers(name: str) -> None:
    network, example = build(name)
    found = lift(network, example)
    assert found.certificate.share.multiplications == 1.0
    assert found.certificate.share.numbers > 0.98
    count = {k: sum(n.op == f"component.{k}" for n in found.graph.nodes) for k in WRITTEN[name]}
    assert count == WRITTEN[name]
    assert found.graph["L1.resid_post"].inputs[-1] == "L1.mlp.out"
    if name == "llama":
        assert found.graph.axes["kv_head"].size == 2
