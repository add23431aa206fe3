"""Token importance: how much the explained number falls when one token is exchanged for others of the alphabet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.inputs import Inputs
from exegesis.explain.model import Objective
from exegesis.explain.saliency.integrated_gradients import value_at
from exegesis.explain.saliency.method import Found, Setting, UndefinedMethodError


@dataclass(frozen=True)
class TokenImportance:
    """f(x) minus the mean of f over x with the token of one position exchanged. Nothing is put off the data's alphabet.

    The tokens put in are drawn among those that the explained rows hold at other places, none the token itself.

    Args:
        exchanges: how many other tokens are tried per position; all of them where there are no more.
    """

    exchanges: int = 8

    name: ClassVar[str] = "token-importance"
    title: ClassVar[str] = "Token importance"
    caveat: ClassVar[str] = "One token at a time: two that stand in for each other both look unimportant."

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`. Undefined for real inputs, and where the rows hold one token only."""
        objective = setting.objective
        tokens = objective.inputs.tokens
        if tokens is None:
            raise UndefinedMethodError("Token importance is for sequences of tokens.")
        letters = torch.unique(tokens)
        if len(letters) < 2:
            raise UndefinedMethodError("Token importance needs rows with at least two different tokens.")
        table = _embedded(objective, letters)
        n, s = tokens.shape
        m = min(self.exchanges, len(letters) - 1)
        own = torch.searchsorted(letters, tokens)  # [n, s]
        order = setting.generator(5).random((n, s, len(letters) - 1)).argsort(-1)[..., :m]
        other = torch.from_numpy(order)
        other = other + (other >= own[..., None]).long()  # skips the token itself
        chunk = chunk_size(objective, n * s * m, setting.chunk, gradients=False)
        whole = value_at(objective, objective.start, chunk)
        found = torch.empty(n * s * m, dtype=objective.start.dtype, device=objective.start.device)
        with torch.no_grad():
            for part in parts(n * s * m, chunk):
                rows, place, which = part // (s * m), part // m % s, part % m
                x = objective.start[rows].clone()
                x[torch.arange(len(part)), place] = table[other[rows, place, which]]
                found[part] = whole[rows] - objective.values(x, rows)
        return Found(found.view(n, s, m).mean(-1), chunk)


def _embedded(objective: Objective, letters: torch.Tensor) -> torch.Tensor:
    """What the network makes of each letter, [letters, d]."""
    rows = objective.inputs.rows[:1].repeat(len(letters))
    alone = Inputs(rows, tokens=letters[:, None], at=torch.zeros(len(letters), dtype=torch.long))
    return objective.model.start(alone)[:, 0]
