"""Lets the tests of lifting share `written_networks`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
