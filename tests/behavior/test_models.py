"""Every behaviour that comes with networks trained by others loads in full, and says what its files say."""

import json
from pathlib import Path

import numpy as np

from exegesis.behavior import (
    Behavior,
    ProductDomain,
    StringsDomain,
    counterfactual_pairs,
    probe_strings,
)


def test_every_behaviour_loads_and_says_what_its_files_say(models: Path) -> None:
    paths = sorted(models.glob("*/*/behavior.json"))
    assert paths
    for path in paths:
        behavior = Behavior.load(path)
        behavior.check()
        if not behavior.is_sequence:
            continue
        for name in behavior.splits:
            lines = [json.loads(line) for line in (path.parent / f"{name}.jsonl").read_text().splitlines()]
            split = behavior.sequences(name)
            assert split.tokens.tolist() == [token for line in lines for token in line["input_ids"]]
            assert split.lengths.tolist() == [len(line["input_ids"]) for line in lines]
            assert [np.flatnonzero(s).tolist() for s in np.split(split.scored, split.offsets[1:-1])] == [
                line["scored"] for line in lines
            ]
            for i in (0, len(lines) // 2, -1):
                row = split[i]
                assert row.expected == lines[i]["expected"]
                assert row.position_ids == lines[i].get("position_ids")


def test_declared_domains_contain_the_rows(models: Path) -> None:
    seen = set()
    for path in sorted(models.glob("*/*/behavior.json")):
        behavior = Behavior.load(path)
        if isinstance(behavior.domain, ProductDomain | StringsDomain):
            assert all(behavior.domain.contains(row.input_ids) for row in behavior.sequences("test"))
            seen.add(type(behavior.domain))
    assert len(seen) == 2


def test_every_sequence_behaviour_has_counterfactuals_and_probes(models: Path) -> None:
    for path in sorted(models.glob("*/*/behavior.json")):
        behavior, rng = Behavior.load(path), np.random.default_rng(0)
        if not behavior.is_sequence:
            continue
        train = behavior.sequences("train")
        pairs = counterfactual_pairs(train, rng, 100)
        assert pairs is not None
        assert (train.lengths[pairs.base] == train.lengths[pairs.source]).all()
        probes = probe_strings(behavior, 20, rng)
        if probes is None:
            assert behavior.name == "aastar"
            continue
        assert np.isin(probes.tokens, behavior.alphabet).any()
