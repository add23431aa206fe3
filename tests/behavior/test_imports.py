"""The layer opens without torch."""

import subprocess
import sys


def test_behaviours_never_reach_torch() -> None:
    code = "import sys, exegesis.behavior; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
