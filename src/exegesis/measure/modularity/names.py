"""Names for modules, from what their lesion costs on one half of the data, checked on the other half.

A name is proposed for the classes that suffer most on the one half, and given only where random modules of equal size
do not set the same classes apart as much on the other half. A name that does not pass is not given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import default_rng
from scipy.stats import rankdata

from exegesis.ir import InputError
from exegesis.measure.lesions import Members, active, effects, random_alike
from exegesis.measure.modularity.roles import LEVEL, Role, Roles
from exegesis.measure.modularity.wiring import by_unit
from exegesis.measure.units import Ablation, Lesion, Units

LEAST = 0.1


@dataclass(frozen=True)
class Name:
    """What a module is called, and how that was tested.

    Attributes:
        module: the module's own name.
        name: `for 3, 8`: the classes that are lost without it, on both halves; None where no such name holds.
        classes: the classes it was proposed for.
        lost: share of the answers of these classes that its lesion changes on the second half.
        others_lost: the same of all other classes.
        p: how often the lesion of random modules of equal size sets these classes apart as much, on the second half;
            corrected for the number of modules.
        driven_by: the class on whose inputs the module is most active, and the area under the curve with which its
            activity tells that class from the rest on the second half; `auc_random` for random modules.
        why: why there is no name, or how it held.
    """

    module: str
    name: str | None
    classes: tuple[int, ...]
    lost: float
    others_lost: float
    p: float
    driven_by: int
    auc: float
    auc_random: float
    why: str


def names(
    found: Roles, first: Units, second: Units, labels: Sequence[str], *, randoms: int = 100, seed: int = 0
) -> tuple[Name, ...]:
    """Proposes a name for each module on the half that its role was measured on, and checks it on the other.

    Args:
        found: roles measured on `first`.
        first, second: the network on two halves of a split that have no row in common.
        labels: what the classes are called.
        randoms: random modules for each check.
        seed: of random modules.

    Raises:
        InputError: the second half brings out one class only, or too few random modules.
    """
    if randoms < 20:
        raise InputError("Fewer than 20 random modules cannot tell anything at 5 %; draw more.")
    proposed = _proposed(found.roles)
    alive = active(first)
    given: list[Name] = []
    for i, (role, classes) in enumerate(zip(found.roles, proposed, strict=True)):
        members = {k: u[alive[k][u]] for k, u in role.module.hidden.items() if alive[k][u].any()}
        drawn = [random_alike(members, alive, default_rng([seed, 8, i, r])) for r in range(randoms)]
        given.append(_checked(role, members, drawn, classes, first, second, found.kind))
    return tuple(_decided(n, p, labels) for n, p in zip(given, corrected([n.p for n in given]), strict=True))


def corrected(p: Sequence[float]) -> Float[np.ndarray, " k"]:
    """p values corrected for their number by the rate of false discoveries (Benjamini and Hochberg, 1995)."""
    values = np.array(p, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    ranks = np.arange(len(values), 0, -1)
    out = np.empty(len(values))
    out[order] = np.minimum.accumulate(values[order] * len(values) / ranks).clip(max=1) if len(values) else values
    return out


def _proposed(roles: Sequence[Role]) -> list[Bool[np.ndarray, " classes"]]:
    """Classes of which at least a tenth is lost, half as much as of the worst, and more than under 95 % of random
    modules; where these are most of the classes, none."""
    found = []
    for role in roles:
        lost = np.nan_to_num(role.lost)
        usual = np.nan_to_num(np.quantile(role.random_lost, 0.95, axis=0))
        classes = (lost >= LEAST) & (lost >= lost.max() / 2) & (lost > usual)
        found.append(classes & (2 * classes.sum() <= len(lost)))
    return found


def _checked(
    role: Role,
    members: Members,
    drawn: Sequence[Members],
    classes: Bool[np.ndarray, " classes"],
    first: Units,
    second: Units,
    kind: Ablation,
) -> Name:
    every = effects(second, [Lesion(m, kind) for m in (members, *drawn)])
    lost = 1 - every.by_class
    apart = [_apart(row, classes) for row in lost]
    p = float((1 + sum(a >= apart[0] - 1e-9 for a in apart[1:])) / len(apart)) if classes.any() else 1.0
    inside = float(np.nan_to_num(np.nanmean(lost[0][classes]))) if classes.any() else 0.0
    driver = int(np.argmax(_by_answer(_activity(first, members, first), first, len(classes))))
    aucs = [_auc(_activity(second, m, first), np.asarray(second.answers) == driver) for m in (members, *drawn)]
    rest = lost[0][~classes & ~np.isnan(lost[0])]
    return Name(
        module=role.module.name,
        name=None,
        classes=tuple(int(c) for c in np.flatnonzero(classes)),
        lost=inside,
        others_lost=float(rest.mean()) if len(rest) else 0.0,
        p=p,
        driven_by=driver,
        auc=aucs[0],
        auc_random=float(np.mean(aucs[1:])),
        why="",
    )


def _decided(name: Name, p: float, labels: Sequence[str]) -> Name:
    """With the name where it holds, and the reason."""
    if not name.classes:
        return replace(name, why="its lesion costs no class more than random modules of equal size do")
    called = ", ".join(labels[c] for c in name.classes)
    check = f"{name.lost:.0%} of these lost and {name.others_lost:.0%} of others, p = {p:.3f}"
    if p > LEVEL or name.lost < LEAST:
        return replace(name, p=float(p), why=f"what it costs on one half ({called}) did not hold on the other: {check}")
    return replace(name, p=float(p), name=f"for {called}", why=f"its lesion costs {called} on both halves: {check}")


def _apart(lost: Float[np.ndarray, " classes"], named: Bool[np.ndarray, " classes"]) -> float:
    """How much more named classes lose than others."""
    seen = ~np.isnan(lost)
    inside, outside = lost[named & seen], lost[~named & seen]
    return float((inside.mean() if len(inside) else 0.0) - (outside.mean() if len(outside) else 0.0))


def _activity(units: Units, members: Members, reference: Units) -> Float[np.ndarray, " n"]:
    """The mean over units of how many standard deviations each is above its mean, both taken on a reference."""
    parts = []
    for layer, chosen in members.items():
        base = by_unit(reference, layer)[:, chosen]
        values = base if units is reference else by_unit(units, layer)[:, chosen]
        parts.append((values - base.mean(0)) / base.std(0).clip(1e-9))
    return np.asarray(np.concatenate(parts, axis=1).mean(1), dtype=np.float64)


def _by_answer(activity: Float[np.ndarray, " n"], units: Units, classes: int) -> Float[np.ndarray, " classes"]:
    said = np.asarray(units.answers)
    return np.array([activity[said == c].mean() if (said == c).any() else -np.inf for c in range(classes)])


def _auc(score: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Area under the ROC curve: how often a positive scores higher than a negative (Mann and Whitney, 1947)."""
    n = int(positive.sum())
    if n in (0, len(positive)):
        return 0.5
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))
