"""The whole hunt: planted triggers, colours, and places that decide a class; only what passed its tests is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from exegesis.behavior import Behavior
from exegesis.explain.core import Provenance, Status
from exegesis.explain.figure import Picture
from exegesis.explain.model import NotDifferentiableError
from exegesis.explain.shortcuts.access import Samples
from exegesis.explain.shortcuts.colour import colour_shortcuts
from exegesis.explain.shortcuts.pictures import hunt_picture
from exegesis.explain.shortcuts.planted import planted_triggers
from exegesis.explain.shortcuts.shortcut import Shortcut
from exegesis.explain.shortcuts.spectral import region_shortcuts
from exegesis.explain.shortcuts.triggers import TriggerSearch, search_triggers
from exegesis.ir import InputError, Json
from exegesis.runtime import Network

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Hunt:
    """What a hunt brought in.

    Args:
        network, behavior: their names.
        found: shortcuts that passed every test.
        withheld: candidates that a test spoke against, nearest miss first.
        silent: sentences on what nothing can be said of.
        trigger_sizes: the size of the smallest trigger found, by class, in pixels or features.
    """

    network: str
    behavior: str
    found: tuple[Shortcut, ...]
    withheld: tuple[Shortcut, ...]
    silent: tuple[str, ...]
    trigger_sizes: dict[str, float]

    def record(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "network": self.network,
            "behavior": self.behavior,
            "found": [s.record() for s in self.found],
            "withheld": [s.record() for s in self.withheld],
            "silent": list(self.silent),
            "trigger_sizes": dict(self.trigger_sizes),
        }

    def figure(self) -> Picture:
        """The size of the smallest trigger of every class; what was found is named above."""
        return hunt_picture(self)

    def _repr_html_(self) -> str:
        return self.figure()._repr_html_() + "".join(found._repr_html_() for found in self.found)


def hunt_shortcuts(
    network: Network,
    behavior: Behavior,
    *,
    seed: int = 0,
    limit: int = 1500,
    search: TriggerSearch | None = None,
    progress: Progress = lambda said: None,
) -> Hunt:
    """Looks for what decides a class and is none of its task.

    Three searches, each followed by insertion into and removal from held-out inputs beside changes of equal size: the
    smallest universal trigger of every class (`triggers`), colour without shape (`colour`), and places on which the
    relevance of a cluster of inputs is concentrated (`spectral`).

    Args:
        network: a classifier of arrays.
        behavior: with inputs to search on and held-out ones.
        seed: of everything that is drawn.
        limit: how many inputs of each split are used.
        search: how triggers are sought.
        progress: told what is being done.

    Raises:
        InputError: another kind of behaviour, too few inputs, or one answer to all of them.
        NotDifferentiableError: no gradient reaches the input.
    """
    samples = _searchable(network, behavior, limit, seed)
    source = _source(samples, network, behavior, seed)
    progress("seeking the smallest trigger of every class")
    triggers = search_triggers(samples, search, seed)
    tried = list(planted_triggers(samples, triggers, source, seed))
    if samples.image is not None and samples.image[0] > 1:
        progress("exchanging colours")
        tried += colour_shortcuts(samples, source, seed)
    progress("clustering relevance")
    regions, silent = region_shortcuts(samples, source, seed)
    tried += regions
    sizes = {name: float(size) for name, size in zip(samples.labels, triggers.size, strict=True)}
    found = tuple(s for s in tried if s.status is Status.SHOWN)
    missed = sorted((s for s in tried if s.status is not Status.SHOWN), key=_failures)
    return Hunt(network.name, behavior.name, found, tuple(missed), silent, sizes)


def hunt_triggers(
    network: Network, behavior: Behavior, *, search: TriggerSearch | None = None, seed: int = 0, limit: int = 1500
) -> tuple[Shortcut, ...]:
    """The smallest trigger of every class, smallest first, each tried; arguments and errors as in `hunt_shortcuts`."""
    samples = _searchable(network, behavior, limit, seed)
    source = _source(samples, network, behavior, seed)
    return planted_triggers(samples, search_triggers(samples, search, seed), source, seed, suspects=samples.classes)


def _searchable(network: Network, behavior: Behavior, limit: int, seed: int) -> Samples:
    """Inputs of which some can be turned, by searches that follow the gradient."""
    samples = Samples.of(network, behavior, limit=limit, seed=seed)
    at = samples.search[:1].detach().clone().requires_grad_(True)
    with torch.enable_grad():
        out = samples.forward(at).sum()
        reaches = out.requires_grad and torch.autograd.grad(out, at, allow_unused=True)[0] is not None
    if not reaches:
        raise NotDifferentiableError(
            f"No gradient goes from the outputs of {network.name} to its input, by which triggers and places are "
            "sought: a step between them (a comparison, an index, a rounding) is not differentiable."
        )
    if bool((samples.search_said == samples.search_said[0]).all()):
        same, count = samples.labels[int(samples.search_said[0])], len(samples.search)
        raise InputError(
            f"The network {network.name} says {same} of all {count} inputs searched on; where there is one answer, "
            "nothing decides it."
        )
    return samples


def _source(samples: Samples, network: Network, behavior: Behavior, seed: int) -> Callable[[str], Provenance]:
    settings: dict[str, Json] = {"inputs": len(samples.search), "held out": len(samples.held_out)}
    return lambda method: Provenance(method, settings, seed, None, network.name, network.fingerprint, behavior.name)


def _failures(shortcut: Shortcut) -> int:
    """How many tests spoke against it, or could not be made."""
    return sum(check.threshold is None or check.passed is not True for check in shortcut.checks)
