"""A small GPT over characters: rotary positions, and keys and values of the last characters in a ring.

Sources: A. Radford et al., Language models are unsupervised multitask learners, 2019, section 2.3 (GPT-2); J. Su et
al., RoFormer, arXiv:2104.09864, section 3.2.2: rotations tell only how far apart two characters are, so a text may be
longer than what the network has learnt from.
"""

import keras
import tensorflow as tf
from keras import layers

from pipeline.generation.cache import attend, write_cache
from pipeline.language_models.llama import turn, turn_angles

BYTES = 256
BASE = 10000.0  # of the rotary positions


@keras.saving.register_keras_serializable("keraspipe")
class Block(layers.Layer):
    """Causal attention, then two dense layers, each after a norm and added to what it got: (batch, length, width)."""

    def __init__(self, width, heads, dropout, **kwargs):
        super().__init__(**kwargs)
        self.options = {"width": width, "heads": heads, "dropout": dropout}
        self.heads, self.size = heads, width // heads
        self.norms = [layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        self.own, self.mix = layers.Dense(3 * width, use_bias=False), layers.Dense(width, use_bias=False)
        self.wide, self.narrow = layers.Dense(4 * width, activation="gelu"), layers.Dense(width)
        self.drop = layers.Dropout(dropout)

    def build(self, shape):
        """Builds the layers."""
        for layer in (*self.norms, self.own, self.mix, self.wide):
            layer.build((None, shape[-1]))
        self.narrow.build((None, 4 * shape[-1]))

    def split(self, x, positions):
        """Returns rotated queries, rotated keys, and values: (…, heads, size) each; positions (length,) or (1,)."""
        parts = tf.reshape(self.own(self.norms[0](x)), [*tf.unstack(tf.shape(x)[:-1]), 3, self.heads, self.size])
        query, key, value = tf.unstack(parts, axis=-3)
        angles = turn_angles(positions, self.size, BASE)
        return turn(query, angles), turn(key, angles), value

    def call(self, x, seen, training=False):
        """Attends from each character to those that it sees, (length, length)."""
        query, key, value = self.split(x, tf.range(tf.shape(x)[1]))
        logits = tf.einsum("bqhd,bkhd->bhqk", query, key) * tf.cast(self.size, x.dtype) ** -0.5
        weights = tf.cast(tf.nn.softmax(tf.where(seen, tf.cast(logits, tf.float32), -1e9)), x.dtype)
        mixed = tf.einsum("bhqk,bkhd->bqhd", weights, value)
        x += self.drop(self.mix(tf.reshape(mixed, tf.shape(x))), training=training)
        return x + self.drop(self.narrow(self.wide(self.norms[1](x))), training=training)

    def step(self, x, cache, position, context):
        """Does the same for one character of each row, (rows, width), with a ring of `context` earlier ones."""
        query, key, value = self.split(x, position[None])
        cache = write_cache(cache, position % context, key, value)
        mixed = attend(query, cache, tf.minimum(position, context - 1))  # the ring is full, or full up to here
        x += self.mix(tf.reshape(mixed, tf.shape(x)))
        return x + self.narrow(self.wide(self.norms[1](x))), cache

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable("keraspipe")
class Gpt(layers.Layer):
    """The network: ids (batch, length + 1) -> cost of each character after the first in nats, (batch, length)."""

    def __init__(self, context, blocks, width, heads, dropout, **kwargs):
        super().__init__(**kwargs)
        self.options = {"context": context, "blocks": blocks, "width": width, "heads": heads, "dropout": dropout}
        self.context, self.width = context, width
        self.characters = layers.Embedding(
            BYTES, width, embeddings_initializer=keras.initializers.RandomNormal(0.0, 0.02)
        )
        self.blocks, self.norm = [Block(width, heads, dropout) for _ in range(blocks)], layers.LayerNormalization()

    def build(self, shape):
        """Builds the parts."""
        self.characters.build(shape)
        for layer in (*self.blocks, self.norm):
            layer.build((None, None, self.width))

    def call(self, ids, training=False):
        """Goes through texts; each character sees itself and the `context` - 1 before it, as in `step`."""
        length = tf.shape(ids)[1] - 1
        seen = tf.linalg.band_part(tf.ones([length, length], tf.bool), self.context - 1, 0)
        x = self.characters(ids[:, :-1])
        for block in self.blocks:
            x = block(x, seen, training=training)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], tf.cast(self.logits(x), tf.float32))

    def logits(self, x):
        """Returns the logits of vectors (…, width): (…, 256)."""
        return tf.matmul(self.norm(x), tf.cast(self.characters.embeddings, x.dtype), transpose_b=True)

    def step(self, tokens, position, caches):
        """Returns the logits of the next character, see `pipeline.generation.decode`."""
        x, longer = self.characters(tokens), []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, kept = block.step(x, cache, position, self.context)
            longer.append(kept)
        return tf.ensure_shape(self.logits(x), [None, BYTES]), longer

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}
