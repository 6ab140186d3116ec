"""Cross-validation of a recipe, in addition to the one test split that its gate reads.

    python -m benchmarks.held_out spoken_digits          leaves out each speaker: five to train, the sixth to test
    python -m benchmarks.held_out heartbeat_autoencoder  leaves out each fifth of the normal beats; tests all anomalies

It uses the recipe's functions and the pipeline's training loop, without TFX, gate and export; a tenth of the training
rows decides when the training stops. The last line is the mean with its 95 % interval, by Student's t over the rounds;
the interval is too narrow if rounds share rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from scipy import stats
from sklearn.metrics import accuracy_score, roc_auc_score

from pipeline import settings
from pipeline.features import types
from pipeline.recipes import catalog
from pipeline.steps.ingest import fraction
from pipeline.steps.transform import encode_label
from pipeline.training import devices, input_pipeline, trainer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

    from pipeline.formats.base import Example
    from pipeline.recipe import Recipe
    from pipeline.training.input_pipeline import Rows

CONFIG = {"mixed_precision": "float32", "deterministic": False, "distribution": "none"}
EVAL_SHARE = 0.1
FOLDS = 5
TOGETHER = 256

Round = tuple[str, list["Example"], list["Example"]]  # name, rows to train on, rows to test


def speakers(recipe: Recipe, data: Path) -> Iterator[Round]:
    """Yields one round per speaker, who is left out of the training."""
    found = list(recipe.data.examples(data))
    for speaker in sorted({example.features["speaker"] for example in found}):
        yield (
            speaker.decode(),
            [example for example in found if example.features["speaker"] != speaker],
            [example for example in found if example.features["speaker"] == speaker],
        )


def folds(recipe: Recipe, data: Path) -> Iterator[Round]:
    """Yields one round per fifth of the normal beats, which is left out of the training."""
    for fold in range(FOLDS):
        found = list(dataclasses.replace(recipe.data, fold=fold).examples(data))
        by_split = {split: [example for example in found if example.split == split] for split in ("train", "test")}
        yield f"fold {fold}", by_split["train"], by_split["test"]


def accuracy(recipe: Recipe, model: keras.Model, rows: Rows) -> float:  # noqa: ARG001
    """Returns the share of right predictions."""
    answers = [(label, model(x, training=False).numpy().argmax(1)) for x, label in rows.dataset.batch(TOGETHER)]
    return float(accuracy_score(*map(np.concatenate, zip(*answers, strict=True))))


def auc(recipe: Recipe, model: keras.Model, rows: Rows) -> float:
    """Returns the area under the ROC curve of the anomaly score."""
    assert recipe.outputs
    answers = [(label, recipe.outputs(model, x)["score"]) for x, label in rows.dataset.batch(TOGETHER)]
    return float(roc_auc_score(*map(np.concatenate, zip(*answers, strict=True))))


QUESTIONS = {"spoken_digits": (speakers, accuracy), "heartbeat_autoencoder": (folds, auc)}


def rows(recipe: Recipe, examples: list[Example], p: Any) -> Rows:
    """Returns preprocessed rows. The recipe's `preprocess` must not call analyzers, such as `tft.mean`."""
    kinds = recipe.data.inputs
    cells = {name: [example.features[name] for example in examples] for name in [*kinds, recipe.data.label]}
    raw = {name: tf.constant(cells[name], types.tf_dtype(declared)) for name, declared in kinds.items()}
    label = encode_label(tf.constant(cells[recipe.data.label]), recipe.data)
    prepared = tf.data.Dataset.from_tensor_slices(raw).batch(TOGETHER).map(lambda x: recipe.preprocess(x, p))
    parts = defaultdict(list)
    for features in prepared.as_numpy_iterator():
        for name, values in features.items():
            parts[name].append(values)
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    dataset = tf.data.Dataset.from_tensor_slices((columns, label))
    return input_pipeline.Rows(dataset, len(examples), sum(values.nbytes for values in columns.values()))


def fitted(recipe: Recipe, p: Any, examples: list[Example], seed: int) -> keras.Model:
    """Returns the recipe's network, trained by the pipeline's loop."""
    parts = [fraction(example.features, recipe.data.label) for example in examples]
    learnt, stopped_by = (
        rows(recipe, [e for e, part in zip(examples, parts, strict=True) if (part < EVAL_SHARE) == held], p)
        for held in (False, True)
    )
    config = {**CONFIG, "seed": seed}
    devices.configure(config)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = str(Path(folder) / "checkpoints")
        return trainer.fit_recipe(
            recipe, p, learnt, stopped_by, {**config, "checkpoints": checkpoints}, Path(folder), {}
        )


def interval(values: list[float]) -> tuple[float, float, float]:
    """Returns the mean of shares, and its 95 % confidence interval."""
    mean, error = float(np.mean(values)), float(stats.sem(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean, max(mean - reach, 0.0), min(mean + reach, 1.0)


def main() -> None:
    """Prints one JSON object per round, and the mean."""
    parser = argparse.ArgumentParser(description="Cross-validate a recipe.")
    parser.add_argument("recipe", choices=QUESTIONS)
    parser.add_argument("--epochs", type=int, help="most epochs of a training (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    recipe = catalog.load_recipe(settings.ROOT / "models" / f"{options.recipe}.py")
    p = dataclasses.replace(recipe.params, epochs=options.epochs or recipe.params.epochs)
    rounds, question = QUESTIONS[options.recipe]
    found = []
    for name, learnt, asked in rounds(recipe, settings.from_environment().data):
        found.append(question(recipe, fitted(recipe, p, learnt, options.seed), rows(recipe, asked, p)))
        print(json.dumps({"held out": name, question.__name__: round(found[-1], 4)}), flush=True)
    mean, low, high = interval(found)
    print(json.dumps({"mean": round(mean, 4), "interval": [round(low, 4), round(high, 4)]}))


if __name__ == "__main__":
    main()
