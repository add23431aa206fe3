"""What a result was made with, and what it took."""

import platform
import re

from exegesis import __version__
from exegesis.evidence.environment import peak_memory_mb, versions


def test_versions_of_what_can_change_a_result() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["exegesis"] == __version__
    assert all(re.match(r"\d+\.\d+", text) for text in found.values())


def test_the_peak_grows_with_what_is_held() -> None:
    before = peak_memory_mb()
    held = bytearray(int(before) * 2**20 + 64 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_mb() >= before + 32
