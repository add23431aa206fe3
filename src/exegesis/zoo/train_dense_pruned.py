"""Train `dense_pruned`: a wide network for digits, with nine in ten weights pruned on the way.

    python -m exegesis.zoo.train_dense_pruned --seed 0 --out DIR

One of four recipes that differ in this alone.
"""

from __future__ import annotations

import sys

from exegesis.zoo.training import main
from exegesis.zoo.wide_digits import prune, recipe

RECIPE = recipe("dense_pruned", "with nine in ten weights pruned on the way", after_step=prune)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
