"""A global surrogate: a small tree that says what the network says, as rules, with its fidelity on held-out inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from exegesis.behavior import Behavior
from exegesis.evidence.intervals import clopper_pearson
from exegesis.explain.contrast.anchors import band
from exegesis.explain.contrast.pictures import surrogate_picture
from exegesis.explain.core import Arrays, Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.figure import Picture, sentence_picture
from exegesis.explain.inputs import names_of
from exegesis.explain.shortcuts.access import Samples
from exegesis.ir import InputError, Json
from exegesis.runtime import Network

Own = TypeVar("Own", bound="Surrogate")
FIDELITY = 0.9


@dataclass(frozen=True, eq=False)
class Surrogate(Explanation):
    """Arrays describe the tree: `feature`, `threshold`, `left`, `right`, `answer` (output by position), `share` of the
    inputs, per node; a leaf has feature −1.

    Attributes:
        rules: one sentence per leaf, the most frequent first.
    """

    rules: tuple[str, ...] = field(default=())
    details: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    def record(self) -> dict[str, Json]:
        """Everything but the arrays, as JSON; rules only where they may be shown."""
        return {**super().record(), "rules": list(self.rules), "details": dict(self.details)}

    @classmethod
    def restore(cls: type[Own], record: Mapping[str, Any], raw: Arrays) -> Own:
        """The surrogate that a record and its arrays were made from. Raises InputError on anything else."""
        rules, details = record.get("rules"), record.get("details")
        if not isinstance(rules, list) or not isinstance(details, dict):
            raise InputError("The record of this surrogate does not hold its rules.")
        return replace(super().restore(record, raw), rules=tuple(rules), details=details)

    def figure(self, *, anyway: bool = False) -> Picture:
        """The tree, root to the left."""
        if self.status is Status.WITHHELD and not anyway:
            return sentence_picture(self.why)
        return surrogate_picture(self)

    def answers(self, x: np.ndarray) -> np.ndarray:
        """What the tree says of inputs [n, ...], as positions among the competing outputs; from the arrays alone."""
        flat, raw = x.reshape(len(x), -1), self.arrays
        at = np.zeros(len(flat), dtype=np.int64)
        while (inner := raw["feature"][at] >= 0).any():
            rows = np.flatnonzero(inner)
            node = at[rows]
            goes_left = flat[rows, raw["feature"][node]] <= raw["threshold"][node]
            at[rows] = np.where(goes_left, raw["left"][node], raw["right"][node])
        found: np.ndarray = raw["answer"][at]
        return found


def surrogate(network: Network, behavior: Behavior, *, leaves: int = 16, limit: int = 4000, seed: int = 0) -> Surrogate:
    """A tree of so many leaves at most, fitted to the network's answers (not to the labels).

    The check is its fidelity: how often it says what the network says, on held-out inputs. Nulls: always the commonest
    answer; a tree fitted to shuffled answers.

    Raises:
        InputError: another kind of behaviour, or too few inputs.
    """
    if leaves < 2:
        raise InputError(f"A tree of {leaves} leaves decides nothing; it needs at least 2.")
    samples = Samples.of(network, behavior, limit=limit, seed=seed)
    x, y = (part.flatten(1).numpy() for part in (samples.search, samples.held_out))
    said, told = samples.search_said.numpy(), samples.held_out_said.numpy()
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=seed).fit(x, said)
    shuffled = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=seed)
    shuffled.fit(x, np.random.default_rng(seed).permutation(said))
    right = int((tree.predict(y) == told).sum())
    commonest = float((told == np.bincount(said).argmax()).mean())
    lower, upper = clopper_pearson(right, len(told))
    check = Check.at_least(
        "fidelity", "Share of held-out inputs of which the tree says what the network says.",
        right / len(told), FIDELITY, Consequence.MARKS,
        {"the commonest answer": commonest, "fitted to shuffled answers": float((shuffled.predict(y) == told).mean())},
    )  # fmt: skip
    inner = tree.tree_
    answer = tree.classes_[inner.value[:, 0].argmax(1)]
    raw = {
        "feature": np.where(inner.children_left < 0, -1, inner.feature).astype(np.int64), "threshold": inner.threshold,
        "left": inner.children_left.astype(np.int64), "right": inner.children_right.astype(np.int64), "answer": answer,
        "share": inner.n_node_samples / len(x),
    }  # fmt: skip
    source = Provenance(
        "surrogate tree", {"leaves": leaves}, seed, None, network.name, network.fingerprint, behavior.name
    )
    rules = _rules(raw, inner.n_node_samples, samples.labels, behavior.features)
    details: dict[str, Json] = {"fidelity bounds": [lower, upper], "leaves": int((raw["feature"] < 0).sum())}
    names = {**names_of(behavior), "outputs": samples.labels}
    return Surrogate("surrogate", raw, (check,), source, names=names, rules=rules, details=details)


def _rules(
    raw: Mapping[str, np.ndarray], counts: np.ndarray, labels: tuple[str, ...], features: tuple[str, ...]
) -> tuple[str, ...]:
    """A sentence per leaf; bounds on one feature are joined."""
    found: list[tuple[int, str]] = []
    stack: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    while stack:
        node, bounds = stack.pop()
        feature, threshold = int(raw["feature"][node]), float(raw["threshold"][node])
        if feature < 0:
            conditions = " and ".join(band(features[f], *ends) for f, ends in sorted(bounds.items())) or "always"
            found.append((int(counts[node]), f"{conditions}: {labels[int(raw['answer'][node])]}"))
            continue
        low, high = bounds.get(feature, (-np.inf, np.inf))
        stack.append((int(raw["left"][node]), {**bounds, feature: (low, min(high, threshold))}))
        stack.append((int(raw["right"][node]), {**bounds, feature: (max(low, threshold), high)}))
    return tuple(rule for _, rule in sorted(found, key=lambda pair: (-pair[0], pair[1])))
