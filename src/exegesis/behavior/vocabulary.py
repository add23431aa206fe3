"""The tokens a sequence behaviour speaks in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from exegesis.ir import InputError

# `<sep>`, `<|endoftext|>` and `[CLS]` are how tokenizers spell tokens that stand for no text.
SPECIAL_LABEL = re.compile(r"<[^<>\s]+>|\[[A-Z]+\]")


@dataclass(frozen=True)
class Vocabulary:
    """Labels of the token ids 0 … n-1, and which of them are special.

    Args:
        labels: the text of each token id, all different.
        bos, sep, eos, pad: ids of the special tokens that the behaviour's file names, if any.
        declared_special: ids the file lists under `special`; None leaves it to the spelling (`<...>`, `[ABC]`).

    Raises:
        InputError: labels repeat, or a special id lies outside the vocabulary.
    """

    labels: tuple[str, ...]
    bos: int | None = None
    sep: int | None = None
    eos: int | None = None
    pad: int | None = None
    declared_special: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise InputError(f"The vocabulary names two tokens {twice!r}; every token needs a label of its own.")
        for name, token in (*self.named.items(), *(("special", token) for token in self.declared_special or ())):
            if not 0 <= token < len(self.labels):
                raise InputError(f"The {name} token has id {token}, but the vocabulary has {len(self.labels)} tokens.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def named(self) -> dict[str, int]:
        """Ids of bos, sep, eos and pad, as far as they are known."""
        ids = {"bos": self.bos, "sep": self.sep, "eos": self.eos, "pad": self.pad}
        return {name: token for name, token in ids.items() if token is not None}

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids that are structure rather than content: the named ones, and those declared or spelled as special."""
        if self.declared_special is not None:
            others: Iterable[int] = self.declared_special
        else:
            others = (i for i, label in enumerate(self.labels) if SPECIAL_LABEL.fullmatch(label))
        return frozenset(self.named.values()) | frozenset(others)

    @property
    def letters(self) -> Int[np.ndarray, " letters"]:
        """Ids of the tokens that are not special, ascending."""
        return np.array([i for i in range(len(self.labels)) if i not in self.special], dtype=np.int64)

    def label(self, token: int) -> str:
        """The label of a token id."""
        if not 0 <= token < len(self.labels):
            raise InputError(f"There is no token {token}: the vocabulary has {len(self.labels)} tokens.")
        return self.labels[token]

    def id(self, label: str) -> int:
        """The token id of a label."""
        if label not in self.labels:
            raise InputError(f"The vocabulary has no token {label!r}.")
        return self.labels.index(label)
