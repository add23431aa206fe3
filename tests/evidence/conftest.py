from collections.abc import Callable

import pytest

from exegesis.evidence import Figures, Measurement


@pytest.fixture(scope="session")
def figures() -> Callable[..., Figures]:
    """Builds figures that meet the default rule, save for the fields given."""

    def build(**changed: object) -> Figures:
        sound = {
            "agreement": {"test": Measurement.proportion("agreement", 2000, 2000, null_value=0.5, seed=0)},
            "sequences_exact": {"test": Measurement.proportion("inputs without any difference", 200, 200)},
            "joint_interchange": Measurement.proportion("interchange", 300, 300, null_value=0.2, seed=0),
            "parts_unused": 3,
            "sufficiency": {
                "mean": Measurement.proportion("answers kept", 300, 300, null_value=1.0),
                "resample": Measurement.proportion("answers kept", 300, 300),
            },
            "necessity": {"resample": Measurement.proportion("answers that break", 300, 300, null_value=0.1)},
            "legible_share": 0.9,
            "opaque_bits": 100.0,
            "unread_bits": 100.0,
            "lifted_bits": 1000.0,
            "code_lines": 40,
            "numbers_in_code": 12,
            "numbers_in_tensors": 0,
            "seconds": 31.4,
            "peak_memory_mb": 812.5,
            "seed": 0,
            "versions": {"python": "3.11.7", "exegesis": "0.1.0"},
        }
        return Figures.model_validate({**sound, **changed})

    return build
