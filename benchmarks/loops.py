"""The pipeline's training loop and a plain Keras one on the same rows, alternating in one process.

    python -m benchmarks.loops RECIPE WORKSPACE --epochs N --repeat N

Ours is `pipeline.training.trainer.fit_recipe`: tf.data with shuffling and augmentation, validation, early stopping, a
checkpoint and a journal entry after every epoch. The plain one is `model.fit` on decoded NumPy arrays, whose model
starts with the augmentation layers, as in Keras' guides; its only callback is the clock. Network, optimizer,
batch size and validation data are the same. Time runs from the end of the first epoch to the end of the last,
validation included.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TF_USE_LEGACY_KERAS"] = "0"  # TFT sets it to 1 on import

import tfx  # noqa: F401  (before TFT, which misses modules without it)

# isort: split
import keras
import tensorflow_transform as tft

from benchmarks.measure import in_turns
from pipeline import settings
from pipeline.recipes import catalog
from pipeline.store import journal
from pipeline.training import devices, input_pipeline, trainer

if TYPE_CHECKING:
    import numpy as np

    from pipeline.recipe import Recipe
    from pipeline.training.input_pipeline import Rows

CONFIG = {"seed": 1, "mixed_precision": "float32", "deterministic": False, "distribution": "auto"}


class Clock(keras.callbacks.Callback):
    """Callback that stores the time at which each epoch ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Stores the time."""
        self.ends.append(time.time())


def main() -> None:
    """Prints the samples per second of every repeat."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--repeat", type=int, required=True)
    options = parser.parse_args()
    recipe = catalog.load_recipe(settings.ROOT / "models" / f"{options.recipe}.py")
    p = dataclasses.replace(recipe.params, epochs=options.epochs, patience=options.epochs)
    training, validation = rows(recipe, options.workspace / "artifacts" / options.recipe)
    arrays = (*decoded(training), decoded(validation))
    ours, theirs = in_turns(
        options.repeat,
        lambda: pipeline_loop(recipe, p, training, validation),
        lambda: plain_loop(recipe, p, training, *arrays),
    )
    print(json.dumps({"ours": ours, "theirs": theirs}))


def rows(recipe: Recipe, artifacts: Path) -> list[Rows]:
    """Returns the preprocessed rows of train and eval, read as the pipeline reads them."""
    (examples,) = (artifacts / "ingest" / "examples").iterdir()
    (transformed,) = (artifacts / "transform" / "transform_graph").iterdir()
    graph = tft.TFTransformOutput(str(transformed))
    layer, spec = graph.transform_features_layer(), graph.raw_feature_spec()
    return [
        input_pipeline.load_rows([str(examples / f"Split-{split}" / "*")], spec, layer, recipe)
        for split in ("train", "eval")
    ]


def decoded(split: Rows) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns all rows of a split as arrays in memory."""
    ((features, label),) = split.dataset.batch(split.count).take(1).as_numpy_iterator()
    return features, label


def pipeline_loop(recipe: Recipe, p: Any, training: Rows, validation: Rows) -> float:
    """Returns the samples per second of the pipeline's loop, from the epochs in its journal."""
    devices.configure(CONFIG)
    with tempfile.TemporaryDirectory() as folder:
        out, path = Path(folder), Path(folder) / "journal.jsonl"
        with journal.use_journal(path):
            trainer.fit_recipe(
                recipe, p, training, validation, {**CONFIG, "checkpoints": str(out / "checkpoints")}, out, {}
            )
        ends = [event["time"] for event, _ in journal.iter_events(path) if event["event"] == "epoch"]
    batch_size = min(p.batch_size, training.count)
    return speed(ends, training.count // batch_size * batch_size)  # the last, smaller batch is left out there


def plain_loop(recipe: Recipe, p: Any, training: Rows, x: Any, y: Any, validation: Any) -> float:
    """Returns the samples per second of `fit` on arrays."""
    devices.configure(CONFIG)
    model = with_augmentation(recipe, p, trainer.make_spec(recipe, training, len(y) // p.batch_size * p.epochs, {}))
    clock = Clock()
    model.fit(
        x,
        y,
        batch_size=p.batch_size,
        epochs=p.epochs,
        validation_data=validation,
        validation_batch_size=input_pipeline.MOST_ROWS,
        callbacks=[clock],
        verbose=0,
    )
    return speed(clock.ends, len(y))


def with_augmentation(recipe: Recipe, p: Any, spec: Any) -> keras.Model:
    """Returns the recipe's network after its augmentation layers, which act in training only."""
    network = recipe.build(p, spec)
    inputs = {name: keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in spec.features.items()}
    augmented = keras.Sequential(recipe.augment(p))(inputs[recipe.augmented])
    model = keras.Model(inputs, network({**inputs, recipe.augmented: augmented}))
    model.compile(network.optimizer, loss=network.loss, metrics=["accuracy"])
    return model


def speed(ends: list[float], count: int) -> float:
    """Returns the rows per second from the end of the first epoch to the end of the last."""
    return count * (len(ends) - 1) / (ends[-1] - ends[0])


if __name__ == "__main__":
    main()
