"""What a selector idiom may look at: one head's attention on the bench, and the variables that exist so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from exegesis.ir import Type

SEQUENCE = ("batch", "pos")
SELECTOR = Type("selector", ("batch", "pos", "key"))


@dataclass(frozen=True)
class HeadView:
    """One head on the bench.

    Attributes:
        patterns: per batch [b, s, t], the head's attention.
        live: per batch [b, s], queries whose result can still reach a scored position.
        variables: category node id → its values per batch, [b, s].
        sizes: category node id → number of categories.
        tokens: id of the token variable.
        causal: whether the head sees only what came before.
    """

    patterns: Sequence[Tensor]
    live: Sequence[Tensor]
    variables: Mapping[str, Sequence[Tensor]]
    sizes: Mapping[str, int]
    tokens: str
    causal: bool

    def mass_by_offset(self, furthest: int) -> Tensor:
        """Mean attention of live queries to the position 0, 1, … `furthest` back, where there is one: [furthest +
        1]."""
        mass, seen = torch.zeros(furthest + 1), torch.zeros(furthest + 1)
        for pattern, live in zip(self.patterns, self.live, strict=True):
            for back in range(min(furthest + 1, pattern.shape[1])):
                diagonal = pattern.diagonal(-back, 1, 2)
                alive = live[:, back:]
                mass[back] += (diagonal * alive).sum()
                seen[back] += alive.sum()
        return mass / seen.clamp(min=1)

    def mass_by_category(self, query: str, key: str) -> tuple[Tensor, Tensor]:
        """Attention from live queries by the categories of query and key: mean mass [q, k], and live queries per
        category [q]."""
        rows, columns = self.sizes[query] + 1, self.sizes[key] + 1
        mass, seen = torch.zeros(rows, columns), torch.zeros(rows)
        for pattern, live, q, k in zip(
            self.patterns, self.live, self.variables[query], self.variables[key], strict=True
        ):
            onehot = torch.nn.functional.one_hot(k.long() + 1, columns).to(pattern.dtype)
            by_key = torch.bmm(pattern, onehot)
            mass.index_add_(0, q.long()[live] + 1, by_key[live])
            seen += torch.bincount(q.long()[live] + 1, minlength=rows)
        return mass / seen.clamp(min=1)[:, None], seen

    def preference_by_key(self, key: str) -> tuple[Tensor, Tensor]:
        """How strongly each category of key is preferred: the mean over live queries of log attention relative to the
        query's mean log attention.

        Returns ([k] log weights relative to the mean, [k] how often each category could be looked at).
        """
        size = self.sizes[key] + 1
        total, seen = torch.zeros(size), torch.zeros(size)
        for pattern, live, k in zip(self.patterns, self.live, self.variables[key], strict=True):
            logs = pattern.clamp(min=1e-6).log()
            visible = live[:, :, None] & (
                torch.ones_like(pattern[0]).tril().bool() if self.causal else torch.ones_like(pattern[0]).bool()
            )
            centre = (logs * visible).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True).clamp(min=1)
            per_key = ((logs - centre) * visible).sum(1)
            total.index_add_(0, k.long().flatten() + 1, per_key.flatten())
            seen.index_add_(0, k.long().flatten() + 1, visible.sum(1).float().flatten())
        return total / seen.clamp(min=1), seen
