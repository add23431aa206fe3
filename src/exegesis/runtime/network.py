"""What a user brings: a trained network, loaded from its owner's files and checked before anything is said of it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exegesis.ir import InputError
from exegesis.runtime.hugging_face import load_folder, without_advice
from exegesis.runtime.source_file import build_from_file


class Network:
    """A trained network in evaluation mode, ready to be asked. Nobody changes its weights.

    Args:
        module: the network. Its `forward` takes `input_ids` [b, s] and perhaps `position_ids` [b, s], or one array.
        name: how to call it in reports.

    Raises:
        InputError: weights that are absent, or not finite (which ones).
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = module.eval()
        self.name = name
        for weight_name, weight in self._weights():
            if weight.is_meta:
                raise InputError(f"The network {name} comes without its weights: {weight_name} has none.")
            if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
                raise InputError(f"The network {name} has weights that are NaN or infinite, first in {weight_name}.")

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and saved buffers by name, in the order of their names."""
        state: Mapping[str, Any] = self.module.state_dict()
        return iter(sorted((n, v.detach()) for n, v in state.items() if isinstance(v, Tensor)))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the names, dtypes, shapes and values of all weights, as hexadecimal digits."""
        digest = hashlib.sha256()
        for name, weight in self._weights():
            digest.update(f"{name}\0{weight.dtype}\0{list(weight.shape)}\0".encode())
            digest.update(weight.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @cached_property
    def _takes(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.module.forward).parameters)

    @property
    def takes_tokens(self) -> bool:
        """Whether it reads token ids: its `forward` has a parameter `input_ids`."""
        return "input_ids" in self._takes

    @property
    def takes_positions(self) -> bool:
        """Whether `forward` accepts `position_ids`."""
        return "position_ids" in self._takes

    @property
    def parameters_count(self) -> int:
        """How many numbers were trained."""
        return sum(p.numel() for p in self.module.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((w.device for _, w in self._weights()), torch.device("cpu"))

    @cached_property
    def vocabulary_size(self) -> int | None:
        """How many token ids there are, or None where neither a configuration nor an embedding says so."""
        size = getattr(getattr(self.module, "config", None), "vocab_size", None)
        if isinstance(size, int):
            return size
        tables = [m for m in self.module.modules() if isinstance(m, nn.Embedding)] if self.takes_tokens else []
        return tables[0].num_embeddings if len(tables) == 1 else None

    @cached_property
    def outputs(self) -> int | None:
        """How many outputs there are at each position, or None where its last linear layer does not say so."""
        head = getattr(self.module, "get_output_embeddings", lambda: None)()
        return head.out_features if isinstance(head, nn.Linear) else None

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs [b, …] of inputs [b, …] for networks over arrays."""
        return self._outputs(self._on_device(x))

    def logits(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """Outputs [b, s, outputs] of token ids [b, s].

        Raises:
            InputError: positions given to a network that takes none, ids that it does not know, or outputs that are no
                such array.
        """
        if position_ids is not None and not self.takes_positions:
            raise InputError(f"The network {self.name} takes no position_ids.")
        if self.vocabulary_size is not None and input_ids.numel():
            low, high = int(input_ids.min()), int(input_ids.max())
            if low < 0 or high >= self.vocabulary_size:
                wrong = low if low < 0 else high
                raise InputError(f"Token id {wrong} is none of the {self.vocabulary_size} that {self.name} knows.")
        named = {} if position_ids is None else {"position_ids": self._on_device(position_ids)}
        ids = self._on_device(input_ids)
        out = self._outputs(input_ids=ids, **named) if self.takes_tokens else self._outputs(ids, **named)
        if out.ndim != 3 or out.shape[:2] != input_ids.shape:
            raise InputError(
                f"The network {self.name} gives outputs of shape {list(out.shape)} for ids of shape "
                f"{list(input_ids.shape)}, where [batch, position, output] is needed."
            )
        return out

    def example(self, batch: int = 2, length: int = 3) -> dict[str, Tensor]:
        """Arguments of `forward` for an export: token ids [batch, length], and positions where it takes them.

        Raises:
            InputError: a network over arrays, whose inputs only their owner knows.
        """
        if not self.takes_tokens:
            raise InputError(f"The network {self.name} reads no token ids; give an example of its inputs.")
        ids = torch.arange(batch * length, device=self.device).reshape(batch, length) % min(
            self.vocabulary_size or 2, 2
        )
        if not self.takes_positions:
            return {"input_ids": ids}
        positions = torch.arange(length, device=self.device).repeat(batch, 1)
        return {"input_ids": ids, "position_ids": positions}

    def _on_device(self, x: Tensor) -> Tensor:
        return x.to(self.device)

    def _outputs(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        with torch.no_grad(), without_advice():
            try:
                out = self.module(*args, **kwargs)
            except (RuntimeError, IndexError, ValueError, TypeError) as error:
                shapes = ", ".join(str(list(x.shape)) for x in (*args, *kwargs.values()))
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise InputError(f"The network {self.name} fails on inputs of shape {shapes}: {reason}") from error
        return output_tensor(out, self.name)


def output_tensor(out: object, name: str) -> Tensor:
    """The tensor that counts in what a network returns: itself, `logits`, `last_hidden_state`, or the first of a tuple.

    Raises:
        InputError: nothing of the kind.
    """
    for field in ("logits", "last_hidden_state"):
        found = getattr(out, field, None)
        if isinstance(found, Tensor):
            return found
    if isinstance(out, tuple | list) and out:
        out = out[0]
    if not isinstance(out, Tensor):
        raise InputError(f"The network {name} returns {type(out).__name__}, in which no tensor is clearly its output.")
    return out


def load(spec: str | Path | nn.Module, *, device: str = "cpu") -> Network:
    """Loads a trained network.

    Args:
        spec: a Hugging Face folder, `file.py:function` (the function takes nothing and returns an `nn.Module`),
            a `.onnx` file, `zoo:name`, or a module, which is itself put into evaluation mode.
        device: where to put it.

    Returns:
        The network in evaluation mode, its weights in float32 (or float64, where it came so).

    Raises:
        InputError: nothing of the kind is there, its weights are absent, pickled or not finite, or its own code fails.
    """
    module, name = _module(spec)
    network = Network(_as_float32(module), name)  # checked before it is moved: what has no weights cannot be
    network.module.to(device)
    return network


def _as_float32(module: nn.Module) -> nn.Module:
    half = any(w.dtype in (torch.float16, torch.bfloat16) for w in (*module.parameters(), *module.buffers()))
    return module.float() if half else module


def _module(spec: str | Path | nn.Module) -> tuple[nn.Module, str]:
    if isinstance(spec, nn.Module):
        return spec, type(spec).__name__
    text = str(spec)
    if text.startswith("zoo:"):
        from exegesis.zoo import build

        return build(text.removeprefix("zoo:")), text
    path, separator, function = text.rpartition(":")
    if separator and path.endswith(".py"):
        file = Path(path).resolve()
        return build_from_file(file, function), f"{file.parent.name}/{file.name}:{function}"
    if text.endswith(".py"):
        raise InputError(f"{text} is a Python file: say which of its functions builds the network, as in {text}:build.")
    if text.endswith(".onnx"):
        from exegesis.runtime.onnx_file import OnnxNetwork

        return OnnxNetwork(Path(text)), Path(text).name
    folder = Path(text)
    if not folder.is_dir():
        raise InputError(f"{text} is no network: a folder, file.py:function, model.onnx or zoo:name is needed.")
    return load_folder(folder), folder.resolve().name
