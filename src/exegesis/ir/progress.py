"""How long work tells whoever is watching what it does."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Told of stages and passes as they go by; a command line draws them, a library call ignores them."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def pass_started(self, name: str) -> None:
        """A step begins."""

    def pass_done(self, name: str, note: str) -> None:
        """A step is done; `note` says in a few words what it changed."""

    def advance(self, n: int = 1) -> None:
        """Some of the stage's steps are done."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int) -> None: ...

    def pass_started(self, name: str) -> None: ...

    def pass_done(self, name: str, note: str) -> None: ...

    def advance(self, n: int = 1) -> None: ...
