"""From a network to its exact program, with a certificate: torch's export, parts recognised in it, nothing lost."""

from exegesis.lift.certificate import Certificate, Share, ValueCheck
from exegesis.lift.errors import LiftError
from exegesis.lift.lifting import Lifted, lift

__all__ = ["Certificate", "LiftError", "Lifted", "Share", "ValueCheck", "lift"]
