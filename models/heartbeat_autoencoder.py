"""Anomalous heartbeats with an autoencoder trained on normal ones: it cannot reconstruct an anomaly.

The score is the mean square error of the reconstruction. The threshold is a quantile of the training scores.

    beat (140) ─ noise ─ dense (64) ─ dense (8) ─ dense (64) ─ reconstruction (140) ─ error ─ score ─ above threshold?

Paper: M. Sakurada, T. Yairi, Anomaly detection using autoencoders with nonlinear dimensionality reduction, MLSDA 2014.
Data: ECG5000, 234 normal beats for training (a tenth for early stopping); the test has 58 normal, 208 anomalous ones.
Task: anomaly detection
Command: keraspipe run heartbeat_autoencoder
Reaches: auc 0.9978, 0.7 minutes on 2 cores, 19,221 weights, recipe 3b8bd7b1fbeb.
Five folds over the normal beats, each with the same 208 anomalies: mean AUC 0.995, 95 % interval 0.985 to 1 (0.982,
0.996, 1.000, 1.000, 0.998; `python -m benchmarks.held_out heartbeat_autoencoder`). Tried: a code of 4 instead of 8
gives 0.985, twice the noise changes nothing; principal components reach 0.993 with two and 0.991 with eight. The
threshold detects all anomalies, and 5 to 16 % of new normal beats: a network reconstructs its training data best.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pipeline.datasets.ecg5000 import ECG5000, SAMPLES
from pipeline.recipe import Choice, Gate, Metric, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(10, 500)] = 150  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(8, 128, log=True)] = 16
    patience: int = 20  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "sgd", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 2e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    # network
    hidden: Annotated[int, Range(16, 128, log=True)] = 64
    code: Annotated[int, Range(2, 32, log=True)] = 8  # numbers from which a beat is reconstructed
    activation: Annotated[str, Choice("relu", "gelu", "elu", "tanh")] = "elu"
    noise: Annotated[float, Range(0.0, 0.5)] = 0.1  # deviation, in deviations of a beat; in training only
    # decision
    quantile: Annotated[float, Range(0.9, 1.0)] = 0.98  # of the training scores


def preprocess(inputs, p):
    """Scales each beat (batch, 140) to mean 0 and deviation 1: gain and offset of the recorder mean nothing."""
    beat = inputs["beat"]
    mean, variance = tf.nn.moments(beat, axes=[1], keepdims=True)
    return {"beat": (beat - mean) / tf.sqrt(tf.maximum(variance, 1e-6))}


@keras.saving.register_keras_serializable("keraspipe")
class Reconstruction(layers.Layer):
    """Adds the mean square error of the reconstruction as the loss; stores the threshold with the weights.

    Args:
        quantile: Share of the training scores below the threshold.
    """

    def __init__(self, quantile, **kwargs):
        super().__init__(**kwargs)
        self.quantile = quantile
        # Until `finish` sets it: the score of a flat line as reconstruction.
        self.threshold = self.add_weight((), name="threshold", initializer="ones", trainable=False, dtype="float32")

    def call(self, drawing, beat):
        """Returns the reconstruction; both arguments are (batch, 140)."""
        self.add_loss(keras.ops.mean(keras.ops.square(drawing - beat)))
        return drawing

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "quantile": self.quantile}


def build(p, spec):
    """Builds the encoder to the code, and the decoder."""
    beat = keras.Input(spec.features["beat"][0], name="beat")
    x = layers.GaussianNoise(p.noise)(beat)
    x = layers.Dense(p.hidden, activation=p.activation)(x)
    x = layers.Dense(p.code, name="code")(x)
    x = layers.Dense(p.hidden, activation=p.activation)(x)
    drawing = layers.Dense(SAMPLES, dtype="float32")(x)
    reconstruction = Reconstruction(p.quantile, dtype="float32", name="reconstruction")(drawing, beat)
    model = keras.Model({"beat": beat}, reconstruction)
    # The loss is the layer's: the label is not used in training.
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps))
    return model


def scores(beat, reconstruction):
    """Returns the mean square error of each row, (batch,)."""
    return tf.reduce_mean(tf.square(beat - reconstruction), axis=1)


def finish(model, rows):
    """Sets the threshold above the scores of most training beats."""
    layer = model.get_layer("reconstruction")
    errors = [scores(features["beat"], model(features, training=False)) for features, _ in rows]
    layer.threshold.assign(np.quantile(np.concatenate(errors), layer.quantile))


def outputs(model, features):
    """Returns `score` (batch,), `is_anomaly` (batch,) as 0 or 1, `reconstruction` (batch, 140), standardized."""
    reconstruction = model(features, training=False)
    missed = scores(features["beat"], reconstruction)
    above = missed > model.get_layer("reconstruction").threshold
    return {"score": missed, "is_anomaly": tf.cast(above, tf.int64), "reconstruction": reconstruction}


def score(served, examples, others):
    """Returns the area under the ROC curve of the score, and the error rates of the threshold."""
    from sklearn.metrics import roc_auc_score

    answer = served.predict("serving_default", {"beat": examples.test["beat"]})
    anomaly = examples.test["is_anomaly"] > 0
    return {
        "auc": roc_auc_score(anomaly, answer["score"]),
        "recall": answer["is_anomaly"][anomaly].mean(),
        "false_alarms": answer["is_anomaly"][~anomaly].mean(),
    }


RECIPE = Recipe(
    data=ECG5000,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    build=build,
    finish=finish,
    outputs=outputs,
    predicted="score",
    metrics=(Metric("auc"), Metric("recall"), Metric("false_alarms", higher_is_better=False)),
    score=score,
    gate=Gate(
        at_least={"auc": 0.95, "recall": 0.8},
        at_most={"false_alarms": 0.25},
        no_worse={"auc": 0.02},
        quick={"auc": 0.8},
    ),
    quick=Quick(train_rows=150, other_rows=200, epochs=20),
)
