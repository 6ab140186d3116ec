"""SimCLR: random views of images, a network that tells them apart, and the loss that compares all views of a batch.

Paper: T. Chen et al., A simple framework for contrastive learning of visual representations, ICML 2020
(arXiv:2002.05709), sections 2.1 and 3, appendices A and B.9.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from keras.initializers import Constant

ASPECT = math.log(4 / 3)  # of a crop, at most
JITTERED, GREY = 0.8, 0.2  # shares of the views, as in the paper
NEAREST = 5  # images of an answer
# Red, green and blue to lightness and two numbers of colour (YIQ), and back.
YIQ = np.array([[0.299, 0.596, 0.211], [0.587, -0.274, -0.523], [0.114, -0.322, 0.312]], "float32")
RGB = np.linalg.inv(YIQ)


@keras.saving.register_keras_serializable("keraspipe")
class Views(layers.Layer):
    """Crops, mirrors and recolours images at random: in training always anew, else by the same numbers each time.

    Args:
        least: Share of the area that a crop has at least.
        strength: Of the change of colours, from 0 to 1.
    """

    def __init__(self, least, strength, **kwargs):
        super().__init__(**kwargs)
        self.least, self.strength = least, strength
        self.seeds = keras.random.SeedGenerator()

    def call(self, image, training=False):
        """Returns a view of each image, (batch, height, width, 3) in [0, 1]."""
        drawn = keras.random.uniform((ops.shape(image)[0], 11), seed=self.seeds if training else 1)
        return self.recolour(self.crop(image, drawn[:, :5]), drawn[:, 5:, None, None, None])

    def crop(self, image, drawn):
        """Cuts a part of each image by five numbers of its own, and gives it the size of the image."""
        area, aspect, top, left, mirrored = ops.unstack(drawn, 5, axis=1)
        area, aspect = self.least + (1 - self.least) * area, ops.exp(ASPECT * (2 * aspect - 1))
        height, width = (ops.minimum(ops.sqrt(part), 1.0) for part in (area / aspect, area * aspect))
        top, left = top * (1 - height), left * (1 - width)
        sides = tf.where(mirrored < 1 / 2, [left, left + width], [left + width, left])
        boxes = ops.stack([top, sides[0], top + height, sides[1]], axis=1)
        return tf.image.crop_and_resize(image, boxes, tf.range(tf.shape(image)[0]), image.shape[1:3])

    def recolour(self, image, drawn):
        """Changes the colours of each image by six numbers of its own, (batch, 6, 1, 1, 1)."""
        change = 0.8 * self.strength * ops.cast(drawn[:, 4] < JITTERED, "float32")
        bright, contrast, colour = (1 + change * (2 * drawn[:, place] - 1) for place in range(3))
        turn = change * (2 * drawn[:, 3] - 1) * math.pi / 2  # a quarter of that of the others, in turns of the hue
        colour *= ops.cast(drawn[:, 5] >= GREY, "float32") * contrast * bright
        light, first, second = ops.split(ops.matmul(image, YIQ), 3, axis=-1)
        middle = ops.mean(light, axis=(1, 2), keepdims=True)
        light = bright * (middle + contrast * (light - middle))
        turned = ops.cos(turn) * first - ops.sin(turn) * second, ops.sin(turn) * first + ops.cos(turn) * second
        changed = ops.concatenate([light, *(colour * part for part in turned)], axis=-1)
        return ops.clip(ops.matmul(changed, RGB), 0.0, 1.0)

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), "least": self.least, "strength": self.strength}


@keras.saving.register_keras_serializable("keraspipe")
class Contrast(keras.Model):
    """An encoder that learns by views, the probes of its answers, and the rivals that the gate compares with them.

    Args:
        encoder: Images (batch, height, width, 3) -> (batch, width of the embedding).
        projection: Its answers -> what the loss compares, (batch, size).
        views: Images -> views of them.
        temperature: By which cosines are divided.
        classes: Number of classes.
        remembered: Training images that `finish` keeps at most.
    """

    def __init__(self, encoder, projection, views, temperature, classes, remembered, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.projection, self.views = encoder, projection, views
        self.options = {"temperature": temperature, "classes": classes, "remembered": remembered}
        size, fixed = encoder.output_shape[-1], {"trainable": False, "dtype": "float32"}
        self.untrained = copy_network(encoder)
        self.supervised = keras.Sequential([copy_network(encoder), layers.Dense(classes, "softmax", dtype="float32")])
        self.untrained.trainable = self.supervised.trainable = False
        self.probe, self.few_probe, self.untrained_probe = (layers.Dense(classes, "softmax", **fixed) for _ in range(3))
        for probe in (self.probe, self.few_probe, self.untrained_probe):
            probe.build((None, size))
        self.memory = self.add_weight((remembered, size), initializer="zeros", name="memory", **fixed)
        unknown = {**fixed, "initializer": Constant(-1), "dtype": "int64"}
        self.labels = self.add_weight((remembered,), name="labels", **unknown)
        self.matched = keras.metrics.Mean("matched")

    def call(self, features, training=False):
        """Returns what the loss compares, of length 1: (2 batch, size), the second views after all first ones."""
        views = self.views(ops.concatenate([features["image"]] * 2), training=training)
        answers = self.projection(self.encoder(views, training=training), training=training)
        return ops.normalize(ops.cast(answers, "float32"), axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # noqa: ARG002
        """Returns the loss; the label is not used. `matched`: the share of views to which the other one is nearest."""
        logits, right = compare_views(y_pred, self.options["temperature"])
        self.matched.update_state(ops.cast(ops.argmax(logits, axis=1) == right, "float32"))
        return ops.mean(ops.sparse_categorical_crossentropy(right, logits, from_logits=True))

    def embed(self, image, encoder=None):
        """Returns the embedding of each image, (batch, width) of length 1; by another encoder if it is given."""
        return ops.normalize(ops.cast((encoder or self.encoder)(image, training=False), "float32"), axis=-1)

    def remember(self, vectors, labels):
        """Keeps the embeddings (rows, width) and class numbers (rows,) of training images."""
        empty = self.labels.shape[0] - len(labels)
        self.memory.assign(np.pad(vectors, ((0, empty), (0, 0))))
        self.labels.assign(np.pad(labels, (0, empty), constant_values=-1))

    def find_nearest(self, vector):
        """Returns similarity and row of the nearest training images to one embedding, (NEAREST,) each."""
        return tuple(tf.math.top_k(tf.where(self.labels < 0, -2.0, tf.linalg.matvec(self.memory, vector)), NEAREST))

    def get_config(self):
        """The arguments."""
        names = ("encoder", "projection", "views")
        parts = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in names}
        return {**super().get_config(), **parts, **self.options}

    @classmethod
    def from_config(cls, config):
        """Creates the model from its arguments."""
        names = ("encoder", "projection", "views")
        parts = {name: keras.saving.deserialize_keras_object(config.pop(name)) for name in names}
        return cls(**parts, **config)


def copy_network(network):
    """Returns a network with the same weights."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def compare_views(vectors, temperature):
    """Returns the logits of NT-Xent (equation 1), (2 n, 2 n), and the place of each view's other one, (2 n,).

    Args:
        vectors: Two views of n images, (2 n, size) of length 1, the second views after all first ones.
        temperature: By which cosines are divided.
    """
    count = ops.shape(vectors)[0]
    logits = ops.matmul(vectors, ops.transpose(vectors)) / temperature
    logits -= 1e9 * ops.eye(count)  # no view is its own other
    return logits, (ops.arange(count) + count // 2) % count
