"""Clothes with a deeper convolutional network: batch normalization, dropout, flips.

Three blocks of two convolutions, each half as large and twice as deep as the one before.

    image_bytes ─ decode ─ (28, 28, 1) ─ block ─ (14, 14, 32) ─ block ─ (7, 7, 64) ─ block ─ (3, 3, 128)
        ─ mean ─ (128) ─ dropout ─ softmax ─ (10)

Paper: K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image recognition, arXiv:1409.1556,
section 2.1, made small; S. Ioffe, C. Szegedy, Batch normalization, arXiv:1502.03167, section 3.2.
Data: Fashion-MNIST, 60,000 images for training (a tenth of them for early stopping), the official 10,000 as the test.
Task: image classification.
Command: keraspipe run fashion
Reaches: accuracy 0.9328, 15.7 minutes on 2 cores, 163,234 weights, recipe aed441b0d283.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers

from pipeline.datasets.mnist import FASHION_MNIST
from pipeline.features.image import decode
from pipeline.recipe import Choice, Gate, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(3, 60)] = 15  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 512, log=True)] = 128
    patience: int = 4  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "sgd", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 2e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    loss: str = "sparse_categorical_crossentropy"
    # network
    blocks: tuple[int, ...] = (24, 48, 96)  # filters of each
    activation: Annotated[str, Choice("relu", "gelu", "elu")] = "relu"
    batch_norm: bool = True
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.3
    l2: Annotated[float, Range(1e-6, 1e-2, log=True)] = 1e-5
    # augmentation
    shift: Annotated[float, Range(0.0, 0.2)] = 0.05  # of the width


def preprocess(inputs, p):
    """Decodes images (batch,) to pixels in [0, 1], (batch, 28, 28, 1)."""
    return {"image": tf.cast(decode(inputs["image_bytes"], FASHION_MNIST.shape), tf.float32) / 255.0}


def augment(p):
    """Mirrors and shifts; all articles are upright, so they are not rotated."""
    return [layers.RandomFlip("horizontal"), layers.RandomTranslation(p.shift, p.shift, fill_mode="constant")]


def block(x, filters, p):
    """Applies two convolutions and a pooling: (batch, h, w, c) to (batch, h / 2, w / 2, filters)."""
    for _ in range(2):
        regularizer = keras.regularizers.L2(p.l2)
        x = layers.Conv2D(filters, 3, padding="same", use_bias=not p.batch_norm, kernel_regularizer=regularizer)(x)
        x = layers.BatchNormalization()(x) if p.batch_norm else x
        x = layers.Activation(p.activation)(x)
    return layers.MaxPooling2D()(x)


def build(p, spec):
    """Builds the blocks, the mean over the pixels, and softmax."""
    image = keras.Input(spec.features["image"][0], name="image")
    x = image
    for filters in p.blocks:
        x = block(x, filters, p)
    x = layers.Dropout(p.dropout)(layers.GlobalAveragePooling2D()(x))
    # float32 whatever the precision policy: half precision rounds small probabilities to zero.
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"image": image}, probabilities)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps), loss=p.loss, metrics=["accuracy"])
    return model


RECIPE = Recipe(
    data=FASHION_MNIST,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    build=build,
    gate=Gate(
        at_least={"accuracy": 0.91},
        slices={"label": {"accuracy": 0.65}},
        no_worse={"accuracy": 0.005},
        quick={"accuracy": 0.5},
    ),
    quick=Quick(train_rows=4000, other_rows=1000, epochs=3),
)
