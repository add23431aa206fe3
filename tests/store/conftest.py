import pytest

from exegesis.evidence import Claim, Figures, Measurement, Status, Verdict, VerdictRule


@pytest.fixture(scope="session")
def verdict() -> Verdict:
    measured = Measurement.proportion("agreement", 2000, 2000)
    figures = Figures(
        agreement={"test": measured},
        sequences_exact={},
        legible_share=1.0,
        opaque_bits=0.0,
        unread_bits=0.0,
        lifted_bits=10.0,
        code_lines=3,
        numbers_in_code=1,
        numbers_in_tensors=0,
        seed=0,
        versions={},
    )
    claim = Claim(statement="It agrees.", domain="test", status=Status.TESTED, evidence=(measured,))
    return Verdict.of((claim,), figures, VerdictRule())
