"""Small photographs with ResNet-20: shortcuts around every two convolutions, a cosine schedule with warm-up.

    image_bytes ─ decode ─ (32, 32, 3) ─ conv 3x3 ─ (32, 32, 16) ─ 3 units ─ (32, 32, 16)
        ─ 3 units ─ (16, 16, 32) ─ 3 units ─ (8, 8, 64) ─ mean ─ (64) ─ softmax ─ (10)

    unit: x ─ conv 3x3 ─ norm ─ relu ─ conv 3x3 ─ norm ─ (+ x) ─ relu

Paper: K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, arXiv:1512.03385, section 4.2.
Data: CIFAR-10, 50,000 photographs for training (a tenth of them for early stopping), the official 10,000 as the test.
Task: image classification
Command: keraspipe run cifar10_resnet
Reaches: accuracy 0.7722, 11.4 minutes on 2 cores, 271,098 weights, recipe 85172247e451.

The paper trains for 64,000 steps of 128 images (some 180 epochs of 45,000) in three stages of the learning rate, with
flips and shifts, and reaches 0.9125. Four epochs on two cores take some twelve minutes; a single cycle of the learning
rate uses them best (L. Smith, N. Topin, Super-convergence, arXiv:1708.07120): `--set epochs=180` is the paper's length.
Cutout (T. DeVries, G. Taylor, arXiv:1708.04552) helps in long trainings; it is weak here. Accuracy on eval after each
of the four epochs: 0.539, 0.645, 0.755, 0.775.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers

from pipeline.datasets.cifar10 import CIFAR10
from pipeline.features.image import decode
from pipeline.recipe import Gate, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training part, by channel


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(4, 200, log=True)] = 4
    batch_size: Annotated[int, Range(32, 512, log=True)] = 128
    patience: int = 4  # epochs without a lower val_loss before training stops
    learning_rate: Annotated[float, Range(0.02, 0.5, log=True)] = 0.15  # at the end of the warm-up
    warm_up: Annotated[float, Range(0.0, 0.4)] = 0.15  # share of the steps in which the rate rises from zero
    momentum: Annotated[float, Range(0.8, 0.95)] = 0.9
    l2: Annotated[float, Range(1e-5, 1e-3, log=True)] = 1e-4
    label_smoothing: Annotated[float, Range(0.0, 0.2)] = 0.0
    # network
    units: Annotated[int, Range(1, 9)] = 3  # of each of the three sizes; n in the paper, which has 6n + 2 layers
    filters: Annotated[int, Range(8, 64, log=True)] = 16  # of the first size; the others have twice and four times that
    # augmentation
    shift: Annotated[float, Range(0.0, 0.25)] = 0.125  # of the width: the paper's four pixels
    cutout: Annotated[float, Range(0.0, 1.0)] = 0.25  # share of the images that lose a patch


def preprocess(inputs, p):
    """Decodes images (batch,) to pixels of mean 0 and deviation 1, (batch, 32, 32, 3)."""
    pixels = tf.cast(decode(inputs["image_bytes"], CIFAR10.shape), tf.float32) / 255.0
    return {"image": (pixels - MEAN) / DEVIATION}


def augment(p):
    """Mirrors, shifts by whole pixels, and cuts out a patch; missing pixels become the mean, zero."""
    return [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(p.shift, p.shift, fill_mode="constant", interpolation="nearest"),
        layers.RandomErasing(p.cutout, scale=(0.02, 0.1), fill_value=0.0, value_range=(-3.0, 3.0)),
    ]


def convolution(x, filters, stride, p):
    """Applies a 3x3 convolution and normalization: (batch, h, w, c) to (batch, h / stride, w / stride, filters)."""
    regularizer = keras.regularizers.L2(p.l2)
    x = layers.Conv2D(
        filters, 3, stride, "same", use_bias=False, kernel_initializer="he_normal", kernel_regularizer=regularizer
    )(x)
    return layers.BatchNormalization(momentum=0.9)(x)  # Keras' 0.99 needs more steps than a short training has


def unit(x, filters, stride, p):
    """Applies two convolutions and a shortcut: (batch, h, w, c) to (batch, h / stride, w / stride, filters)."""
    entry = x
    x = layers.ReLU()(convolution(x, filters, stride, p))
    x = convolution(x, filters, 1, p)
    if stride > 1:  # the paper's option A: every second pixel, and zeros for the new channels
        entry = layers.MaxPooling2D(1, stride)(entry)
        entry = layers.Concatenate()([entry, layers.Rescaling(0.0)(entry)])
    return layers.ReLU()(layers.Add()([x, entry]))


def build(p, spec):
    """Builds a convolution, the units of three sizes, the mean over the pixels, and softmax."""
    image = keras.Input(spec.features["image"][0], name="image")
    x = layers.ReLU()(convolution(image, p.filters, 1, p))
    for size in range(3):
        for number in range(p.units):
            x = unit(x, p.filters * 2**size, 2 if size and not number else 1, p)
    x = layers.GlobalAveragePooling2D()(x)
    # float32 whatever the precision policy: half precision rounds small probabilities to zero.
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"image": image}, probabilities)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=p.label_smoothing, name="categorical_crossentropy")
    descent = {"warm_up": p.warm_up, "momentum": p.momentum, "nesterov": True}
    model.compile(optimizer("sgd", p.learning_rate, "cosine", spec.steps, **descent), loss=loss, metrics=["accuracy"])
    return model


RECIPE = Recipe(
    data=CIFAR10,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    build=build,
    gate=Gate(
        at_least={"accuracy": 0.68},
        slices={"label": {"accuracy": 0.4}},
        no_worse={"accuracy": 0.01},
        quick={"accuracy": 0.2},
    ),
    quick=Quick(train_rows=4000, other_rows=1000, epochs=3),
)
