"""Train `dense_plain`: a wide network for digits, without anything that would keep weights small but a little decay.

    python -m exegesis.zoo.train_dense_plain --seed 0 --out DIR

One of four recipes that differ in this alone.
"""

from __future__ import annotations

import sys

from exegesis.zoo.training import main
from exegesis.zoo.wide_digits import recipe

RECIPE = recipe("dense_plain", "without anything that would keep weights small but a little decay")

if __name__ == "__main__":
    sys.exit(main(RECIPE))
