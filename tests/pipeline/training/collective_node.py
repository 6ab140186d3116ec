"""What a node runs in test_collective.py: python collective_node.py OUT; TF_CONFIG says which node it is."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

os.environ["TF_USE_LEGACY_KERAS"] = "0"

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.errors import PipelineError
from pipeline.recipe import Recipe
from pipeline.training import devices, trainer
from pipeline.training.collective import MultiWorker
from pipeline.training.input_pipeline import Rows

CONFIG = {"seed": 1, "mixed_precision": "float32", "deterministic": False, "distribution": "nodes"}


def rows(count):
    """Features of two kinds and a label that follows from them."""
    random = np.random.default_rng(1)
    x = random.normal(size=(count, 4)).astype("float32")
    word = random.integers(0, 6, (count, 1))
    label = (x[:, 0] + word[:, 0] > 2).astype("int64")
    return Rows(tf.data.Dataset.from_tensor_slices(({"x": x, "word": word}, label)), count, 24 * count)


def network(p, spec):
    x, word = keras.Input((4,), name="x"), keras.Input((1,), dtype="int64", name="word")
    both = keras.layers.Concatenate()([x, keras.layers.Flatten()(keras.layers.Embedding(6, 3)(word))])
    both = keras.layers.Dense(8, "tanh")(both)
    if p.random:
        both = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization(momentum=0.5)(both))
    model = keras.Model({"x": x, "word": word}, keras.layers.Dense(2, "softmax")(both))
    optimizer = keras.optimizers.Adam(0.05, clipnorm=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(out, nodes=None, **chosen):
    """Fits as the pipeline does."""
    p = SimpleNamespace(**{"epochs": 5, "batch_size": 64, "patience": 9, "random": False, "rows": 64, **chosen})
    data = SimpleNamespace(classes=("no", "yes"))
    recipe = Recipe(data, p, lambda inputs, p: inputs, network, augmented="", outputs=lambda model, features: {})
    config = {**CONFIG, "checkpoints": str(out / "checkpoints")}
    return trainer.fit_recipe(recipe, p, rows(p.rows), rows(40), config, out, {}, nodes=nodes)


def weights(model):
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.variables}


def main(out):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    devices.configure({**CONFIG, "seed": 1 + index})
    nodes = MultiWorker()
    np.savez(out / f"whole-{index}.npz", **weights(trained(out / "whole", nodes)))
    few = {"random": True, "rows": 67, "batch_size": 17, "patience": 1}  # shares of 34 and 33, in batches of 8
    trained(out / "small", nodes, epochs=2, **few)
    np.savez(out / f"small-{index}.npz", **weights(trained(out / "small", nodes, epochs=30, **few)))
    said = {"mean": nodes.mean([float(index), 3.0]), "batches": [nodes.batch_size(wanted) for wanted in (2, 5)]}
    said |= {"few": fault(lambda: nodes.batch_size(1)), "epochs": fault(lambda: nodes.begin(keras.Model(), index))}
    (out / f"said-{index}.json").write_text(
        json.dumps({**said, "apart": fault(lambda: nodes.average_weights(unlike(index)))})
    )
    while not (out / f"said-{1 - index}.json").exists():  # whose last reduction this process may still have to answer
        time.sleep(0.05)


def unlike(index):
    """A network that learnt otherwise on each node."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="dense")])
    model.layers[0].kernel.assign([[float(index)]])
    return model


def fault(call):
    with pytest.raises(PipelineError) as caught:
        call()
    return str(caught.value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)
