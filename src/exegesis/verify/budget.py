"""How long the judge may take, and how the stages share it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from exegesis.ir import InputError

_AMOUNT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h)?")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_BUSIEST = 8.0

Clock = Callable[[], float]


def computing_clock() -> Clock:
    """A clock that counts the seconds in which this thread computes, from 0 on.

    What a verdict says must not depend on what else a machine does meanwhile. Where others compute for the thread while
    it waits (some accelerators), an eighth of the time on the wall counts at least.
    """
    computing, wall = time.thread_time(), time.monotonic()
    return lambda: max(time.thread_time() - computing, (time.monotonic() - wall) / _BUSIEST)


def seconds_of(budget: str | float) -> float:
    """Seconds of `90`, `"90s"`, `"2m"`, `"1.5h"`.

    Raises:
        InputError: not a positive time.
    """
    if isinstance(budget, str):
        found = _AMOUNT.fullmatch(budget.strip())
        seconds = float(found["number"]) * _SECONDS[found["unit"] or "s"] if found else math.nan
    else:
        seconds = float(budget)
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"A budget is a positive time such as 90s or 2m, not {budget!r}.")
    return seconds


@dataclass(frozen=True)
class Deadline:
    """A moment after which a stage starts nothing new."""

    at: float
    clock: Clock

    @property
    def left(self) -> float:
        """Seconds until then, at least 0."""
        return max(0.0, self.at - self.clock())

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return self.clock() >= self.at

    def first(self, share: float) -> Deadline:
        """The end of this share of what is left."""
        return Deadline(self.at - (1 - share) * self.left, self.clock)


@dataclass(frozen=True)
class Budget:
    """The time of one judgement. It begins when this is made.

    Attributes:
        seconds: all of it, in seconds of computing.
        clock: what tells the time.
    """

    seconds: float
    clock: Clock = field(default_factory=computing_clock)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", self.clock())

    @property
    def whole(self) -> Deadline:
        """The end of it."""
        return Deadline(self.started + self.seconds, self.clock)

    def part(self, share: float) -> Deadline:
        """The end of a stage that begins now and may take this share of the whole, and no longer than what is left."""
        return Deadline(min(self.clock() + share * self.seconds, self.whole.at), self.clock)
