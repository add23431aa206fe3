"""Influence of training examples by several methods, beside what retraining says: `python -m benchmarks.influence`.

Networks of the zoo are trained again on random halves of their rows. Half of these networks choose the damping of
EK-FAC; on the other half every method is scored: the mean, over questions, of the rank correlation between summed
influence and the margin of the answer (the linear datamodeling score). Takes some minutes of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

from exegesis.behavior import Behavior
from exegesis.explain.examples import EkFac, GradientProduct, Scorer, TracIn
from exegesis.explain.examples.ek_fac import DAMPINGS
from exegesis.explain.examples.influence import Question
from exegesis.explain.examples.retraining import Retrained
from exegesis.pipeline.influence import on_rows
from exegesis.runtime import load, output_tensor

NETWORKS = ("zoo:tabular", "zoo:digits")


def question_of(name: str, questions: int, seed: int) -> tuple[Question, Behavior]:
    """The first rows of the test split, and what the network says of them."""
    network, behavior = load(name), Behavior.load(name)
    train, test = behavior.arrays("train"), behavior.arrays("test")
    assert train.y is not None
    x = torch.from_numpy(test.x[:questions])
    with torch.no_grad():
        answers = output_tensor(network.module(x), name).argmax(1)
    return Question(network, x, answers, torch.from_numpy(train.x), torch.from_numpy(train.y), seed), behavior


def measure(name: str, subsets: int, questions: int, seed: int) -> list[tuple[str, float, float]]:
    """Each method's score on the second half of the networks, and the seconds it took."""
    question, behavior = question_of(name, questions, seed)
    retrain = on_rows(question.network, behavior, "train")
    assert retrain is not None
    start = time.process_time()
    tested = Retrained.of(question, retrain, subsets, seed)
    print(f"{name}: {subsets} networks trained again, {time.process_time() - start:.0f} s")
    first, second = tested.select(slice(0, None, 2)), tested.select(slice(1, None, 2))
    rows = []

    def scored(scorer: Scorer) -> tuple[torch.Tensor, float]:
        begin = time.process_time()
        return scorer.scores(question), time.process_time() - begin

    for scorer in (TracIn(), GradientProduct()):
        scores, seconds = scored(scorer)
        rows.append((scorer.title, second.score(scores), seconds))
    damped = [(damping, *scored(EkFac(damping))) for damping in DAMPINGS]
    for damping, scores, seconds in damped:
        label = "a tenth of the mean eigenvalue" if damping is None else f"{damping:g}"
        rows.append((f"EK-FAC, damping {label}", second.score(scores), seconds))
    best = int(np.argmax([first.score(scores) for _, scores, _ in damped]))
    chosen = "the default" if damped[best][0] is None else f"{damped[best][0]:g}"
    total = sum(seconds for _, _, seconds in damped)
    rows.append((f"EK-FAC, damping chosen by the first half ({chosen})", second.score(damped[best][1]), total))
    random = torch.from_numpy(np.random.default_rng(seed).normal(size=tuple(damped[0][1].shape)))
    rows.append(("random scores", second.score(random), 0.0))
    dealt = np.random.default_rng(seed).permutation(len(second.masks))
    shuffled = Retrained(second.masks, second.margins[dealt])
    rows.append(("EK-FAC as chosen, networks dealt to other subsets", shuffled.score(damped[best][1]), 0.0))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help="of the zoo, over arrays")
    parser.add_argument("--subsets", type=int, default=40, help="networks trained again")
    parser.add_argument("--questions", type=int, default=60, help="test rows that are asked about")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    for name in chosen.networks:
        rows = measure(name, chosen.subsets, chosen.questions, chosen.seed)
        print(f"\n| {name} | linear datamodeling score | seconds |\n|---|---|---|")
        for label, score, seconds in rows:
            print(f"| {label} | {score:.3f} | {seconds:.1f} |")
        print()


if __name__ == "__main__":
    main()
