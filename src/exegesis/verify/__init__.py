"""The judge: is a program the algorithm that a network runs? Independent of everything that made the program."""

from exegesis.verify.judge import exit_code, verify
from exegesis.verify.nulls import shuffled
from exegesis.verify.program import Judged, Text

__all__ = ["Judged", "Text", "exit_code", "shuffled", "verify"]
