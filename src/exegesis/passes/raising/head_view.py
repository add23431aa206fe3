"""What a selector idiom may look at: one head's attention on the bench, and the variables that exist so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exegesis.ir import Type

_PAIRS = 500_000  # of queries and keys, enough to weigh pairs of categories by
_CLOSE = 0.6  # total variation to attention, on average
_CLOSER = 0.7  # of the distance of the plainer description

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
        """How strongly each category of key is preferred: the weights that explain log attention best, by least squares
        over all pairs of a live query and a key that it sees, each query with a constant of its own.

        A plain mean would not do: a query that sees a preferred key spends its attention there.

        Returns ([k] log weights up to a constant, [k] how often each category could be looked at).
        """
        size = self.sizes[key] + 1
        moment, seen = torch.zeros(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
        gram = torch.zeros(size, size, dtype=torch.float64)
        for pattern, live, k in zip(self.patterns, self.live, self.variables[key], strict=True):
            visible = self.visible(pattern) * live[:, :, None]
            logs = pattern.clamp(min=1e-6).log() * visible
            counted = visible.sum(-1).clamp(min=1).double()
            held = torch.nn.functional.one_hot(k.long() + 1, size).to(pattern.dtype)
            looked = torch.bmm(visible, held).double()  # [b, s, k], how many keys of each category a query sees
            moment += torch.bmm(logs, held).sum((0, 1)) - torch.einsum("bsk,bs->k", looked, logs.sum(-1) / counted)
            gram -= torch.einsum("bsk,bsl->kl", looked, looked / counted[..., None])
            seen += looked.sum((0, 1))
        weights = torch.linalg.pinv(gram + seen.diag(), hermitian=True, rtol=1e-9) @ moment
        return weights.float(), seen.float()

    def preference_by_pair(self, query: str, key: str) -> tuple[Tensor, Tensor]:
        """The same for each category of query: [q, k] log weights, up to a constant per category of query; [q, k] how
        often a query of one category could look at a key of another."""
        part = self.sample(_PAIRS)
        values = part.variables[query]
        found = []
        for category in range(-1, self.sizes[query]):
            asking = [live & (v.long() == category) for live, v in zip(part.live, values, strict=True)]
            found.append(replace(part, live=asking).preference_by_key(key))
        return torch.stack([w for w, _ in found]), torch.stack([s for _, s in found])

    def sample(self, most: int) -> HeadView:
        """Some of the batches, spread over all lengths, with about this many pairs of query and key."""
        every = max(1, sum(p.numel() for p in self.patterns) // most)
        kept = slice(every // 2 if len(self.patterns) > every // 2 else 0, None, every)
        variables = {name: values[kept] for name, values in self.variables.items()}
        return replace(self, patterns=self.patterns[kept], live=self.live[kept], variables=variables)

    def looking_everywhere(self) -> HeadView:
        """The same head with its attention spread evenly over all that each query sees."""
        patterns = []
        for pattern in self.patterns:
            visible = self.visible(pattern)
            patterns.append((visible / visible.sum(-1, keepdim=True)).expand_as(pattern))
        return replace(self, patterns=patterns)

    def goes_to_the_best(self, allowed: Sequence[Tensor], rank: Sequence[Tensor]) -> bool:
        """Whether attention goes to the key of highest rank, equals sharing it, rather than to all allowed ones alike.

        Args:
            allowed: which keys may be looked at, per batch [b, t] bool.
            rank: whole numbers, per batch [b, t].
        """
        best: list[Tensor] = []
        alike: list[Tensor] = []
        for may, ranks, pattern, live in zip(allowed, rank, self.patterns, self.live, strict=True):
            seen = may[:, None] & (self.visible(pattern) > 0)
            order = ranks[:, None].expand_as(seen).masked_fill(~seen, torch.iinfo(torch.long).min)
            first = seen & (order == order.amax(-1, keepdim=True))
            rows = live & (seen.sum(-1) > 1)
            for found, looked in ((best, first), (alike, seen)):
                even = looked / looked.sum(-1, keepdim=True).clamp(min=1)
                found.append((0.5 * (even - pattern).abs().sum(-1))[rows])
        distance = torch.cat(best)
        return distance.numel() > 0 and bool(distance.mean() < min(_CLOSE, _CLOSER * float(torch.cat(alike).mean())))

    def visible(self, pattern: Tensor) -> Tensor:
        """Which keys a query of a pattern [b, s, t] sees: ones and zeros [s, t]."""
        ones = torch.ones_like(pattern[0])
        return ones.tril() if self.causal else ones
