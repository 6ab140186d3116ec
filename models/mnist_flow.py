"""Handwritten digits drawn as asked: conditional flow matching on MNIST, a small U-Net that knows time and digit.

    image (28, 28, 1) ─ patches 2x2 ─ conv 3x3 ─ (14, 14, 64) ─ block ┬ pooled ─ 2 blocks (7, 7, 128) ─ enlarged
                                                                      └ + ─ block ─ conv 3x3 ─ velocity (28, 28, 1)
    time, digit ─ embedding (128), scales and shifts every block

The network learns the velocity image - noise on the straight way from one to the other. A sample starts at noise, which
a seed determines, and goes that way in nine steps of Heun's method and one of Euler's. In a tenth of the rows the
digit is hidden: a sample is pushed away from what the network draws without one (guidance).

Papers: Y. Lipman et al., Flow matching for generative modeling, ICLR 2023, equation 23; J. Ho, T. Salimans,
Classifier-free diffusion guidance, arXiv:2207.12598; T. Karras et al., NeurIPS 2022, algorithm 1 (the last step).
Data: MNIST, 60,000 images for training (a tenth to choose the epoch) and the official 10,000 as the test.
Task: image generation.
Command: keraspipe run mnist_flow
"""

import math
from dataclasses import dataclass
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from pipeline.datasets.mnist import MNIST
from pipeline.features.image import decode
from pipeline.generation.noise import normal_rows
from pipeline.generation.png import encode_generated
from pipeline.recipe import Gate, Metric, Official, Quick, Range, Recipe

TOGETHER = 8  # samples that are drawn together, whoever asks
SAMPLES = 2000  # generated images that the mnist model looks at
NEAREST = 0.05  # the loss grows no further where less of the way is left
TIMES = (-0.8, 0.8)  # mean and deviation of the logit of the times in training: more of them near the noise
METRICS = ("as_asked", "as_asked_worst", "kid", "kid_share")


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    epochs: Annotated[int, Range(1, 50)] = 5
    batch_size: Annotated[int, Range(32, 512, log=True)] = 128
    patience: int = 3  # epochs without a lower val_loss before training stops
    learning_rate: Annotated[float, Range(1e-4, 5e-3, log=True)] = 2e-3
    decay: float = 0.995  # of the running mean of the weights
    hidden_labels: float = 0.1  # share of the rows without a digit
    filters: tuple[int, ...] = (64, 128)  # at 14 and at 7 pixels
    width: int = 128  # of the embedding of time and digit
    steps: int = 10  # of a sample
    guidance: float = 0.8  # how much the digit is stressed


def preprocess(inputs, p):
    """Decodes images (batch,) to pixels in [-1, 1], (batch, 28, 28, 1)."""
    return {"image": tf.cast(decode(inputs["image_bytes"], MNIST.shape), tf.float32) / 127.5 - 1.0}


@keras.saving.register_keras_serializable("keraspipe")
class Flow(keras.Model):
    """A velocity field; the loss is its squared difference to the straight way, a mean over pixels.

    Args:
        field: Image (batch, height, width, 1), time (batch,) and digit (batch,), `classes` for none -> velocity.
        classes: Number of digits.
        options: decay, hidden_labels, steps and guidance, see `Params`.
    """

    def __init__(self, field, classes, options, **kwargs):
        super().__init__(**kwargs)
        self.field, self.average, self.classes, self.options = field, keras.models.clone_model(field), classes, options
        self.average.set_weights(field.get_weights())
        self.average.trainable = False
        self.seeds, self.mean = keras.random.SeedGenerator(), keras.metrics.Mean("loss")

    def call(self, features, training=False):
        """Returns the loss of images halfway from always the same noise, without their digit, (batch,)."""
        image, rows = features["image"], tf.shape(features["image"])[0]
        noise = tf.random.stateless_normal([1, *image.shape[1:]], [1, 2])
        return self.cost(image, tf.fill([rows], self.classes), noise, tf.fill([rows], 0.5), training)

    @property
    def metrics(self):
        """The mean loss of the epoch so far."""
        return [self.mean]

    def cost(self, image, digit, noise, time, training):
        """Returns the loss of images (batch, height, width, 1) at times (batch,), (batch,)."""
        place, network = time[:, None, None, None], self.field if training else self.average
        answer = network([(1.0 - place) * noise + place * image, time, digit], training=training)
        difference = (tf.cast(answer, tf.float32) - image) / tf.maximum(1.0 - place, NEAREST)  # of velocities
        return tf.reduce_mean(tf.square(difference), axis=[1, 2, 3])

    def train_step(self, data):
        """Takes a step at random times, with fresh noise."""
        image, digit = data[0]["image"], tf.argmax(data[1], axis=1, output_type=tf.int32)
        rows = tf.shape(image)[0]
        hidden = keras.random.uniform((rows,), seed=self.seeds) < self.options["hidden_labels"]
        noise = keras.random.normal(tf.shape(image), seed=self.seeds)
        time = tf.sigmoid(keras.random.normal((rows,), *TIMES, seed=self.seeds))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self.cost(image, tf.where(hidden, self.classes, digit), noise, time, training=True))
            scaled = self.optimizer.scale_loss(loss)
        weights = self.field.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, weights), weights)
        for mean, weight in zip(self.average.variables, self.field.variables, strict=True):
            mean.assign(self.options["decay"] * mean + (1 - self.options["decay"]) * weight)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def test_step(self, data):
        """Measures the loss of the running mean at evenly spaced times, always with the same noise."""
        image, digit = data[0]["image"], tf.argmax(data[1], axis=1, output_type=tf.int32)
        noise, rows = tf.random.stateless_normal(tf.shape(image), [1, 2]), tf.shape(image)[0]
        time = (tf.cast(tf.range(rows), tf.float32) + 0.5) / tf.cast(rows, tf.float32)
        self.mean.update_state(self.cost(image, digit, noise, time, training=False))
        return {"loss": self.mean.result()}

    def velocity(self, image, time, digit):
        """Returns the guided velocity at a time, (batch, height, width, 1)."""
        rows = tf.shape(image)[0]
        twice = [tf.concat([image, image], 0), tf.fill([2 * rows], time)]
        digits = tf.concat([digit, tf.fill([rows], self.classes)], 0)
        asked, free = tf.split(tf.cast(self.average([*twice, digits], training=False), tf.float32), 2)
        drawn = tf.clip_by_value(asked + self.options["guidance"] * (asked - free), -1.0, 1.0)
        return (drawn - image) / (1.0 - time)

    def generate(self, seed, digit):
        """Draws digits (batch,) by seeds (batch,): (batch, height, width, 1) in [0, 1]; Heun's method."""
        shape, size = self.field.input_shape[0][1:], 1.0 / self.options["steps"]
        image = normal_rows(seed, shape)
        for step in range(self.options["steps"] - 1):
            first = self.velocity(image, step * size, digit)
            second = self.velocity(image + size * first, (step + 1) * size, digit)
            image += size * (first + second) / 2.0
        image += size * self.velocity(image, 1.0 - size, digit)  # to the mean of what the noise may hide
        return tf.clip_by_value((image + 1.0) / 2.0, 0.0, 1.0)

    def get_config(self):
        """The arguments."""
        field = keras.saving.serialize_keras_object(self.field)
        return {**super().get_config(), "field": field, "classes": self.classes, "options": self.options}

    @classmethod
    def from_config(cls, config):
        """Creates the model from its arguments."""
        return cls(keras.saving.deserialize_keras_object(config.pop("field")), **config)


def block(x, embedded):
    """Adds two convolutions, for which the embedding (batch, width) scales and shifts the channels."""
    filters = x.shape[-1]
    scale, shift = (layers.Reshape((1, 1, filters))(layers.Dense(filters)(embedded)) for _ in range(2))
    inner = layers.Activation("silu")(layers.GroupNormalization(8)(x) * (1.0 + scale) + shift)
    inner = layers.Conv2D(filters, 3, padding="same", activation="silu")(inner)
    return x + layers.Conv2D(filters, 3, padding="same", kernel_initializer="zeros")(inner)


def embed(time, digit, width, digits):
    """Maps times from 0 to 1 and digits, (batch,) each, to what the blocks know of them, (batch, width)."""
    angle = ops.expand_dims(time, 1) * ops.exp(ops.arange(0, 32, dtype="float32") * math.log(1000.0) / 31.0)
    waves = layers.Dense(width, activation="silu")(ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=1))
    return layers.Dense(width, activation="silu")(waves + layers.Embedding(digits, width)(digit))


def build(p, spec):
    """Builds the velocity field, a U-Net on patches of two by two pixels."""
    (height, width, channels), classes = spec.features["image"][0], len(spec.classes)
    image, time = keras.Input((height, width, channels), name="image"), keras.Input((), name="time")
    digit = keras.Input((), dtype="int32", name="digit")
    embedded = embed(time, digit, p.width, classes + 1)
    x = layers.Reshape((height // 2, 2, width // 2, 2, channels))(image)
    x = layers.Reshape((height // 2, width // 2, 4 * channels))(layers.Permute((1, 3, 2, 4, 5))(x))
    x = layers.Conv2D(p.filters[0], 3, padding="same")(x)
    passed = []
    for filters in p.filters[1:]:
        passed.append(block(x, embedded))
        x = layers.Conv2D(filters, 1)(layers.AveragePooling2D(2)(passed[-1]))  # (batch, h / 2, w / 2, filters)
    x = block(block(x, embedded), embedded)
    for fine in reversed(passed):
        x = block(fine + layers.UpSampling2D()(layers.Conv2D(fine.shape[-1], 1)(x)), embedded)
    x = layers.Activation("silu")(layers.GroupNormalization(8)(x))
    x = layers.Conv2D(4 * channels, 3, padding="same", kernel_initializer="zeros", dtype="float32")(x)
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((height // 2, width // 2, 2, 2, channels))(x))
    field = keras.Model([image, time, digit], layers.Reshape((height, width, channels))(x), name="field")
    options = {name: getattr(p, name) for name in ("decay", "hidden_labels", "steps", "guidance")}
    model = Flow(field, classes, options)
    rate = keras.optimizers.schedules.CosineDecay(p.learning_rate, spec.steps, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), jit_compile=False)
    return model


def sample(model, count):
    """Returns digits in turn by the first seeds, (count, 28, 28, 1) in [0, 1]."""
    numbers = tf.range(count)
    return model.generate(tf.cast(numbers, tf.int64), numbers % model.classes)


def outputs(model, features):
    """Returns `surprise`, the network's error halfway to the image, (batch,)."""
    return {"surprise": model(features, training=False)}


def signatures(served):
    """Returns `serving_default`: seed and digit to image."""
    numbers = [tf.TensorSpec([None], tf.int64, name) for name in ("seed", "label")]

    def draw(row):
        return served.model.generate(row[:, 0], tf.cast(row[:, 1], tf.int32))

    def generate(seed, label):
        known = tf.reduce_all(tf.logical_and(label >= 0, label < served.model.classes))
        with tf.control_dependencies([tf.debugging.Assert(known, ["label is a digit from 0 to 9, not", label])]):
            return {"image_bytes": encode_generated(draw, tf.stack([seed, label], axis=1), TOGETHER)}

    return {"serving_default": (generate, numbers)}


def score(served, examples, others):
    """Returns how often the mnist model sees the digit that was asked for, and distances to test images."""
    from pipeline.evaluation.metrics.generation import kernel_distance, pick_evenly

    digits = np.arange(SAMPLES) % 10
    drawn = served.predict("serving_default", {"seed": np.arange(SAMPLES), "label": digits})
    rival = others["mnist_gan"].predict("serving_default", {"seed": np.arange(SAMPLES)})

    def features(images):
        parts = np.array_split(pick_evenly(images, SAMPLES), 10)
        return np.concatenate([others["mnist"].predict("embed", {"image_bytes": part})["embedding"] for part in parts])

    seen = others["mnist"].predict("serving_default", drawn)["probabilities"].argmax(axis=1)
    right = np.array([(seen[digits == digit] == digit).mean() for digit in range(10)])
    test = features(examples.test["image_bytes"])
    own, other = (kernel_distance(test, features(images["image_bytes"])) for images in (drawn, rival))
    return {"as_asked": right.mean(), "as_asked_worst": right.min(), "kid": own, "kid_share": own / other}


RECIPE = Recipe(
    data=MNIST,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    build=build,
    sample=sample,
    outputs=outputs,
    signatures=signatures,
    predicted="surprise",
    metrics=tuple(Metric(name, higher_is_better="kid" not in name) for name in METRICS),
    score=score,
    needs=("mnist", "mnist_gan"),
    gate=Gate(at_least={"as_asked_worst": 0.95}, at_most={"kid_share": 1.0}, quick={"as_asked": 0.1}),
    quick=Quick(train_rows=4000, other_rows=500, epochs=2),
)
