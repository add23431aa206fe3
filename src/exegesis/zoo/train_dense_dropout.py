"""Train `dense_dropout`: a wide network for digits, with dropout: half of the neurons left out at each step.

    python -m exegesis.zoo.train_dense_dropout --seed 0 --out DIR

One of four recipes that differ in this alone.
"""

from __future__ import annotations

import sys

from exegesis.zoo.training import main
from exegesis.zoo.wide_digits import recipe

RECIPE = recipe("dense_dropout", "with dropout: half of the neurons left out at each step")

if __name__ == "__main__":
    sys.exit(main(RECIPE))
