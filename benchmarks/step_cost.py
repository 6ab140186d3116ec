"""CPU milliseconds of a training step with tracking and without, alternating in one process.

    python -m benchmarks.step_cost --steps N --segments N

The network and the batch size are those of the recipe `mnist`, the pixels are random. Ours has the callbacks that write
the journal (`Progress`, `StepCurves`) and the norm of the gradient; the plain side has none. CPU time of the whole
process counts, TensorFlow's threads with it, because other processes disturb it less than wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TF_USE_LEGACY_KERAS"] = "0"

import numpy as np
import tensorflow as tf

from pipeline import settings
from pipeline.recipe import Spec
from pipeline.recipes import catalog
from pipeline.store import journal
from pipeline.training.callbacks.gradient_norm import GradientNorm
from pipeline.training.callbacks.progress import Progress, StepCurves

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

SHAPE, CLASSES = (28, 28, 1), 10


def main() -> None:
    """Prints the milliseconds of every segment of both sides."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--segments", type=int, required=True)
    options = parser.parse_args()
    recipe = catalog.load_recipe(settings.ROOT / "models" / "mnist.py")
    rows = batches(recipe.params.batch_size, options.steps)
    ours, theirs = network(recipe), network(recipe)
    norm = GradientNorm(ours.optimizer)
    watching = [
        StepCurves(options.steps, recipe.params.batch_size, norm),
        Progress(options.steps * recipe.params.batch_size),
    ]
    with tempfile.TemporaryDirectory() as folder, journal.use_journal(Path(folder) / "journal.jsonl"), norm.attach():
        found: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(options.segments + 1):
            sides = [("ours", ours, watching), ("theirs", theirs, [])]
            for name, model, callbacks in sides if turn % 2 else reversed(sides):
                found[name].append(segment(model, rows, callbacks, options.steps))
    print(json.dumps({name: values[1:] for name, values in found.items()}))  # the first segments compile


def batches(batch_size: int, steps: int) -> tf.data.Dataset:
    """Returns random images and classes, in memory."""
    random = np.random.default_rng(1)
    images = random.random((batch_size * steps, *SHAPE), np.float32)
    labels = random.integers(0, CLASSES, len(images))
    return tf.data.Dataset.from_tensor_slices(({"image": images}, labels)).batch(batch_size).cache()


def network(recipe: Any) -> keras.Model:
    """Returns the recipe's network, as the pipeline builds it."""
    spec = Spec({"image": (SHAPE, "float32")}, tuple(map(str, range(CLASSES))), 1000)
    model = recipe.build(recipe.params, spec)
    model.compile(model.optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def segment(model: keras.Model, rows: tf.data.Dataset, callbacks: Sequence[Any], steps: int) -> float:
    """Returns the CPU milliseconds per step of one epoch."""
    began = time.process_time()
    model.fit(rows, shuffle=False, verbose=0, callbacks=list(callbacks))
    return (time.process_time() - began) / steps * 1000


if __name__ == "__main__":
    main()
