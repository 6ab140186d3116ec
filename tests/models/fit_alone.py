"""Fits a recipe in a process of its own, which may be killed: python fit_alone.py FILE.json

The file has the recipe's path, a file of preprocessed rows, hyperparameters, precision, the folder for checkpoints, the
file for the weights, and the epoch in whose middle the process kills itself (0 for never).
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "0"

import keras
import numpy as np
import tensorflow as tf

from pipeline.recipes import catalog
from pipeline.training import devices, trainer
from pipeline.training.input_pipeline import Rows

CONFIG = {"seed": 1, "deterministic": True, "distribution": "none"}


class Killer(keras.callbacks.Callback):
    """Kills the process at the third step of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch, self.running = epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.running = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2 and self.running == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def load_rows(path):
    """The rows of a file that `save_rows` of the test has written."""
    with np.load(path, allow_pickle=False) as saved:
        parts = dict(saved)
    features = {name[2:]: value for name, value in parts.items() if name.startswith("x/")}
    targets = {name[2:]: value for name, value in parts.items() if name.startswith("y/")}
    answer = targets.get("", targets)
    count = len(next(iter(features.values())))
    return Rows(tf.data.Dataset.from_tensor_slices((features, answer)), count, 1)


def main(order):
    """Fits, and writes the weights."""
    config = {**CONFIG, "mixed_precision": order["precision"], "checkpoints": order["checkpoints"]}
    devices.configure(config)
    recipe = catalog.load_recipe(Path(order["recipe"]))
    p = dataclasses.replace(recipe.params, **order["params"])
    rows = load_rows(order["rows"])
    out = Path(order["checkpoints"]) / "out"
    model = trainer.fit_recipe(recipe, p, rows, rows, config, out, {}, callbacks=[Killer(order["killed_in"])])
    np.savez(order["weights"], *model.get_weights())


main(json.loads(Path(sys.argv[1]).read_text()))
