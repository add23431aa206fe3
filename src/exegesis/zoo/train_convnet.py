"""Train `convnet`: which digit is on the image? With convolutions.

    python -m exegesis.zoo.train_convnet --seed 0 --out DIR

The images of `digits`, as images rather than as rows of numbers.
"""

from __future__ import annotations

import sys
from functools import partial

from exegesis.zoo import train_digits
from exegesis.zoo.training import Recipe, main

RECIPE = Recipe(
    name="convnet",
    what="says which digit an image of 8 × 8 pixels shows, by convolutions",
    architecture="two convolutions of 12 and 16 channels with ReLU, max pooling, 256-32-10 with dropout",
    data=train_digits.RECIPE.data,
    behavior=partial(train_digits.behavior, name="convnet", shape=(1, 8, 8)),
    loss=train_digits.loss,
    steps=1500,
    learning_rate=3e-3,
    weight_decay=0.01,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
