"""MNIST with a plain multilayer perceptron: two hidden layers without a convolution.

    image_bytes ─ decode ─ (28, 28, 1) ─ flatten ─ (784) ─ dense ─ (128) ─ dropout ─ dense ─ (64) ─ dropout
        ─ softmax ─ (10)

Paper: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, Proceedings
of the IEEE 86(11), 1998, section III.C.4 (two hidden layers of 300 and 100: 0.9695, with distortions 0.975).
Data: MNIST, 60,000 images for training (a tenth of them for early stopping) and the official 10,000 as the test.
Task: image classification
Command: keraspipe run mnist_mlp
Reaches: accuracy 0.9871, 1.7 minutes on 2 cores, 109,386 weights, recipe 8f858559735f.
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
    epochs: Annotated[int, Range(3, 60)] = 20  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 512, log=True)] = 128
    patience: int = 4  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "sgd", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 2e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    loss: str = "sparse_categorical_crossentropy"
    # network
    hidden: tuple[int, ...] = (128, 64)  # neurons of each layer
    activation: Annotated[str, Choice("relu", "gelu", "elu", "tanh")] = "relu"
    batch_norm: bool = False
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.1
    l2: Annotated[float, Range(1e-6, 1e-2, log=True)] = 1e-6
    # augmentation
    shift: Annotated[float, Range(0.0, 0.2)] = 0.04  # of the width: a perceptron ignores the neighbourhood of pixels


def preprocess(inputs, p):
    """Decodes images (batch,) to pixels in [0, 1], (batch, 28, 28, 1)."""
    return {"image": tf.cast(decode(inputs["image_bytes"], MNIST.shape), tf.float32) / 255.0}


def augment(p):
    """Shifts by a pixel; a mirrored digit is no digit."""
    return [layers.RandomTranslation(p.shift, p.shift, fill_mode="constant")]


def build(p, spec):
    """Builds the flattened pixels, the hidden layers, and softmax."""
    image = keras.Input(spec.features["image"][0], name="image")
    x = layers.Flatten()(image)
    for neurons in p.hidden:
        x = layers.Dense(neurons, kernel_regularizer=keras.regularizers.L2(p.l2))(x)
        x = layers.BatchNormalization()(x) if p.batch_norm else x
        x = layers.Dropout(p.dropout)(layers.Activation(p.activation)(x))
    # float32 whatever the precision policy: half precision rounds small probabilities to zero.
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"image": image}, probabilities)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps), loss=p.loss, metrics=["accuracy"])
    return model


RECIPE = Recipe(
    data=MNIST,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    build=build,
    gate=Gate(
        at_least={"accuracy": 0.975},
        slices={"label": {"accuracy": 0.94}},
        no_worse={"accuracy": 0.003},
        quick={"accuracy": 0.7},
    ),
    quick=Quick(train_rows=4000, other_rows=1000, epochs=3),
)
