"""MNIST with a modern LeNet: two convolutions, two poolings, one hidden layer, augmentation.

    image_bytes ─ decode ─ (28, 28, 1) ─ conv 3x3 ─ pool ─ (14, 14, 32) ─ conv 3x3 ─ pool ─ (7, 7, 64)
        ─ flatten ─ (3136) ─ dense ─ (128) ─ dropout ─ softmax ─ (10)

Paper: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, Proceedings
of the IEEE 86(11), 1998, section II.B (LeNet-5: 0.9905, with distortions 0.992).
Data: MNIST, 60,000 images for training (a tenth of them for early stopping) and the official 10,000 as the test.
Task: image classification.
Command: keraspipe run mnist
Reaches: accuracy 0.9935, 7.4 minutes on 2 busy cores, 421,642 weights, recipe 3369d6f4a41d.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers

from pipeline.datasets.mnist import MNIST
from pipeline.features.image import decode
from pipeline.recipe import Choice, Gate, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(3, 50)] = 12  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 512, log=True)] = 128
    patience: int = 3  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "sgd", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 2e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    loss: str = "sparse_categorical_crossentropy"
    # network
    filters: tuple[int, ...] = (32, 64)  # one convolution and one pooling each
    hidden: Annotated[int, Range(32, 512, log=True)] = 128
    activation: Annotated[str, Choice("relu", "gelu", "elu", "tanh")] = "relu"
    batch_norm: bool = False
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.4
    l2: Annotated[float, Range(1e-6, 1e-2, log=True)] = 1e-6
    # augmentation
    rotation: Annotated[float, Range(0.0, 0.1)] = 0.03  # of a full turn
    shift: Annotated[float, Range(0.0, 0.2)] = 0.08  # of the width
    zoom: Annotated[float, Range(0.0, 0.2)] = 0.08


def preprocess(inputs, p):
    """Decodes images (batch,) to pixels in [0, 1], (batch, 28, 28, 1)."""
    return {"image": tf.cast(decode(inputs["image_bytes"], MNIST.shape), tf.float32) / 255.0}


def augment(p):
    """Rotates, shifts and zooms a little; a mirrored digit is no digit."""
    return [
        layers.RandomRotation(p.rotation, fill_mode="constant"),
        layers.RandomTranslation(p.shift, p.shift, fill_mode="constant"),
        layers.RandomZoom(p.zoom, fill_mode="constant"),
    ]


def build(p, spec):
    """Builds convolutions for strokes and their arrangement, a hidden layer, and softmax."""
    image = keras.Input(spec.features["image"][0], name="image")
    x = image
    for filters in p.filters:
        x = layers.Conv2D(filters, 3, padding="same", kernel_regularizer=keras.regularizers.L2(p.l2))(x)
        x = layers.BatchNormalization()(x) if p.batch_norm else x
        x = layers.MaxPooling2D()(layers.Activation(p.activation)(x))  # (batch, h / 2, w / 2, filters)
    x = layers.Dense(p.hidden, activation=p.activation, name="hidden")(layers.Flatten()(x))
    x = layers.Dropout(p.dropout)(x)
    # float32 whatever the precision policy: half precision rounds small probabilities to zero.
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"image": image}, probabilities)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps), loss=p.loss, metrics=["accuracy"])
    return model


def signatures(served):
    """Returns `embed`: the hidden layer of an image, by which generated images are compared with real ones."""
    hidden = keras.Model(served.model.inputs, served.model.get_layer("hidden").output)

    def embed(image_bytes):
        return {"embedding": tf.cast(hidden(served.features({"image_bytes": image_bytes})), tf.float32)}

    return {"embed": (embed, [tf.TensorSpec([None], tf.string, "image_bytes")])}


RECIPE = Recipe(
    data=MNIST,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    build=build,
    signatures=signatures,
    gate=Gate(
        at_least={"accuracy": 0.99},
        slices={"label": {"accuracy": 0.97}},
        no_worse={"accuracy": 0.002},
        quick={"accuracy": 0.7},
    ),
    quick=Quick(train_rows=4000, other_rows=1000, epochs=3),
)
