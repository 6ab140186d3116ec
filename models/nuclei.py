"""Nuclei of cells: a U-Net says of each pixel whether it belongs to one.

    image_bytes ─ decode ─ (256, 256, 1) ─┬─ (256, 256, 16) ──────────────────── joined ─ (256, 256, 16) ─ (256, 256, 1)
                                          └─ pool ─ (128, 128, 32) ──── joined ─ up ─┘
                                                    └─ pool ─ … ─ up ───┘
    mask: the probability of each pixel, resized to the size of the picture, above one half

Paper: O. Ronneberger, P. Fischer, T. Brox, U-Net, MICCAI 2015 (arXiv:1505.04597), section 2; with depthwise separable
convolutions, and with the sum of cross-entropy and Dice loss (F. Milletari et al., V-Net, 3DV 2016, section 3).
Data: nuclei, 334 fluorescence images split by hash of the content 70/10/20.
Task: segmentation
Command: keraspipe run nuclei
Reaches: dice 0.9283, 7.4 minutes on 2 cores, 65,121 weights, recipe 0cc040ecf5be.
Four levels of 16 to 128 filters take three times as long, convolutions that are not separable twice as long again.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers, ops

from pipeline.datasets.nuclei import NUCLEI
from pipeline.features.image import decode_sized
from pipeline.recipe import Choice, Gate, Hash, Metric, Quick, Range, Recipe
from pipeline.training.layers import Turn
from pipeline.training.optimizers import optimizer

HEIGHT, WIDTH, _ = NUCLEI.shape
THRESHOLD = 0.5
FAINTEST = 16.0  # greys between the darkest and the lightest pixel, below which a picture is empty


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(5, 100)] = 25  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(4, 32, log=True)] = 8
    patience: int = 8  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 3e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    # network
    filters: tuple[int, ...] = (8, 16, 32, 64, 128)  # of each level; the next has half the side


def preprocess(inputs, p):
    """Decodes images (batch,) to (batch, 256, 256, 1), black 0 to the lightest pixel 1, and their size, (batch, 2).

    Exposures differ by a factor of twenty, so each picture is scaled by itself.
    """
    pixels, size = decode_sized(inputs["image_bytes"], NUCLEI.shape)
    image = tf.cast(pixels, tf.float32)
    low = tf.reduce_min(image, axis=(1, 2, 3), keepdims=True)
    high = tf.reduce_max(image, axis=(1, 2, 3), keepdims=True)
    return {"image": (image - low) / tf.maximum(high - low, FAINTEST), "size": size}


def preprocess_targets(targets, p):
    """Decodes masks (batch,) to 0 or 1, (batch, 256, 256, 1)."""

    def read(content):
        mask = tf.io.decode_image(content, expand_animations=False, dtype=tf.uint16)  # 8 bits are scaled, 0 stays 0
        inside = tf.cast(tf.reduce_any(mask > 0, axis=-1, keepdims=True), tf.float32)
        return tf.ensure_shape(tf.image.resize(inside, (HEIGHT, WIDTH), "nearest"), (HEIGHT, WIDTH, 1))

    spec = tf.TensorSpec((HEIGHT, WIDTH, 1), tf.float32)
    return {"mask": tf.map_fn(read, targets["mask_bytes"], fn_output_signature=spec)}


def augment(p):
    """Mirrors and transposes pictures with their masks: a cell has no upright."""
    return [Turn()]


def block(x, filters):
    """Applies two separable convolutions: (batch, h, w, c) to (batch, h, w, filters)."""
    for _ in range(2):
        kind = layers.SeparableConv2D if x.shape[-1] > 1 else layers.Conv2D  # of one channel the sums are in any order
        x = kind(filters, 3, padding="same", use_bias=False)(x)
        # Keras' momentum of 0.99 needs more steps than an epoch here has.
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    return x


@keras.saving.register_keras_serializable("keraspipe")
def overlap_loss(truth, logits):
    """Returns cross-entropy plus one minus the soft Dice coefficient of each picture, (batch,)."""
    logits = ops.cast(logits, "float32")
    missed = ops.mean(ops.binary_crossentropy(truth, logits, from_logits=True), axis=(1, 2, 3))
    share = ops.sigmoid(logits)
    both, sizes = (ops.sum(value, axis=(1, 2, 3)) for value in (truth * share, truth + share))
    return missed + 1 - (2 * both + 1) / (sizes + 1)


def build(p, spec):
    """Builds the way down, and the way up with what each level saw before it shrank."""
    image = keras.Input(spec.features["image"][0], name="image")
    size = keras.Input(spec.features["size"][0], name="size", dtype="int64")
    x, seen = block(image, p.filters[0]), []
    for filters in p.filters[1:]:
        seen.append(x)
        x = block(layers.MaxPooling2D()(x), filters)
    for before in reversed(seen):
        x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), before])
        x = block(x, before.shape[-1])
    logits = layers.Conv2D(1, 1, dtype="float32", name="logits")(x)
    model = keras.Model({"image": image, "size": size}, logits)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps), loss=overlap_loss)
    return model


def outputs(model, features):
    """Returns `mask_bytes` (PNG, white inside, of the picture's size) and `area_share`, the white share; (batch,) each.

    Rows are drawn one by one: the network's last digits depend on the size of the batch, and so would single pixels.
    """

    def draw(row):
        image, size = row
        share = tf.sigmoid(model({"image": image[None], "size": size[None]}, training=False))
        inside = tf.image.resize(share, tf.cast(size, tf.int32))[0] > THRESHOLD
        return tf.io.encode_png(tf.cast(inside, tf.uint8) * 255), tf.reduce_mean(tf.cast(inside, tf.float32))

    specs = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
    mask, share = tf.map_fn(draw, (features["image"], features["size"]), fn_output_signature=specs)
    return {"mask_bytes": mask, "area_share": share}


def explained(model, features):
    """Returns the mean probability of the pixels, (batch,): a mask has no gradient."""
    logits = model({name: features[name] for name in ("image", "size")}, training=False)
    return tf.reduce_mean(tf.sigmoid(logits), axis=(1, 2, 3))


def score(served, examples, others):
    """Returns the overlap of the masks with the true ones, and by how much the area is wrong."""
    from pipeline.evaluation.bootstrap import mean_of
    from pipeline.evaluation.metrics.segmentation import dice, intersection_over_union
    from pipeline.features.drawing import read_mask

    rows = examples.test
    answer = served.predict("serving_default", {"image_bytes": rows["image_bytes"]})
    truth, answered = (
        [read_mask(content) for content in masks] for masks in (rows["mask_bytes"], answer["mask_bytes"])
    )
    shares = [mask.mean() for mask in truth]
    return {
        "dice": dice(truth, answered),
        "iou": intersection_over_union(truth, answered),
        "area_error": mean_of(abs(answer["area_share"] - shares)),
    }


RECIPE = Recipe(
    data=NUCLEI,
    split=Hash(eval=0.1, test=0.2),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=augment,
    augmented="",
    build=build,
    outputs=outputs,
    explained=explained,
    predicted="area_share",
    metrics=(Metric("dice"), Metric("iou"), Metric("area_error", higher_is_better=False)),
    score=score,
    gate=Gate(
        at_least={"dice": 0.88},
        no_worse={"dice": 0.01},
        quick={"dice": 0.3},
    ),
    quick=Quick(train_rows=60, other_rows=20, epochs=4),
)
