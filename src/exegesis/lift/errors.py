"""What lifting says when it cannot, or must not, go on."""

from __future__ import annotations

from exegesis.ir import ExegesisError


class LiftError(ExegesisError):
    """A network that cannot be exported, or a lifted program that does not compute what the network computes."""
