"""Train `dense_l1`: a wide network for digits, with a penalty on the sum of the absolute weights.

    python -m exegesis.zoo.train_dense_l1 --seed 0 --out DIR

One of four recipes that differ in this alone.
"""

from __future__ import annotations

import sys

from exegesis.zoo.training import main
from exegesis.zoo.wide_digits import loss_with_l1, recipe

RECIPE = recipe("dense_l1", "with a penalty on the sum of the absolute weights", loss=loss_with_l1)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
