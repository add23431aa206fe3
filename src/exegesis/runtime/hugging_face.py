"""Networks saved by transformers: a folder with `config.json` and safetensors.

Nothing is downloaded, and nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from exegesis.ir import InputError

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def load_folder(folder: Path) -> nn.Module:
    """The network of a Hugging Face folder, in the precision it was saved in.

    The class is the one that `config.json` names where transformers has it, else the causal language model of its
    `model_type`, else its base model.

    Raises:
        InputError: files that are missing, malformed or pickled, a model type that transformers does not have, weights
            that do not fit, or transformers not installed.
    """
    config = _read_config(folder)
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(p.name for pattern in _PICKLED for p in folder.glob(pattern))
        if pickled:
            raise InputError(
                f"{folder} holds its weights as a pickle ({pickled[0]}), which is never opened; "
                "save them as model.safetensors."
            )
        raise InputError(f"{folder} holds no weights: model.safetensors is missing.")
    try:
        import transformers
    except ImportError:
        raise InputError("Hugging Face folders need transformers: pip install 'exegesis[hf]'.") from None
    with _quiet(transformers):
        factory = _factory(transformers, config, folder)
        try:
            module, info = factory.from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise InputError(f"transformers cannot load {folder}: {reason}.") from error
    _check_complete(folder, info)
    found: nn.Module = module
    return found


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is no Hugging Face folder: config.json is missing.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}.") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InputError(f"{path} names no model_type, so that nobody knows what network this is.")
    return config


def _factory(transformers: Any, config: dict[str, Any], folder: Path) -> Any:
    """The class of transformers that builds the network."""
    for name in config.get("architectures") or ():
        found = getattr(transformers, str(name), None)
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    kind = config["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        version = transformers.__version__
        raise InputError(f"{folder} has model_type {kind!r}, which transformers {version} does not know.")
    causal = type(transformers.CONFIG_MAPPING[kind]()) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    return transformers.AutoModelForCausalLM if causal else transformers.AutoModel


def _check_complete(folder: Path, info: dict[str, Any]) -> None:
    for field, meaning in (
        ("missing_keys", "lacks weights that the network needs"),
        ("mismatched_keys", "holds weights of other shapes than the network's"),
        ("unexpected_keys", "holds weights that the network has no place for"),
        ("error_msgs", "holds weights that do not fit"),
    ):
        if wrong := sorted(map(str, info.get(field) or ())):
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise InputError(f"{folder} {meaning}: {wrong[0]}{more}.")


@contextlib.contextmanager
def without_advice() -> Iterator[None]:
    """While a network runs: transformers warns of padding that a behaviour means, and of much else."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without loading bars, advice and tables on the terminal; what matters in them comes back as an error."""
    control = transformers.utils.logging
    level, bars = control.get_verbosity(), control.is_progress_bar_enabled()
    control.set_verbosity(logging.CRITICAL)
    control.disable_progress_bar()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        control.set_verbosity(level)
        if bars:
            control.enable_progress_bar()
