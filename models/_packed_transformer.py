"""Blocks of a transformer over packed rows: what stands behind the end of a row is never computed.

Rows of different lengths are padded to the longest, and half of what a batch holds is padding. Here the real pieces of
all rows lie one behind the other, (pieces, width), for all dense layers; for attention they are put at their places.

Source: A. Vaswani et al., Attention is all you need, NeurIPS 2017, section 3, with the norm before each part as in
R. Xiong et al., arXiv:2002.04745, section 3.1; packing as in J. Zeng et al., Boosting distributed training performance
of the unpadded BERT model, arXiv:2208.08124, section 4.1.
"""

import keras
import tensorflow as tf
from keras import layers

from pipeline.features.pieces import PADDING
from pipeline.generation.cache import attend, write_cache


@keras.saving.register_keras_serializable("keraspipe")
class Block(layers.Layer):
    """Attention, in the decoder also to the source, then two dense layers; each part is added to what it got.

    Shapes: packed pieces (pieces, width), before and after; `index` (pieces,) are their places in (batch * length).
    """

    def __init__(self, width, heads, hidden, dropout, decodes, **kwargs):
        super().__init__(**kwargs)
        self.options = {"width": width, "heads": heads, "hidden": hidden, "dropout": dropout, "decodes": decodes}
        self.heads, self.size = heads, width // heads
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2 + decodes)]
        self.own, self.mix = layers.Dense(3 * width, use_bias=False), layers.Dense(width)
        if decodes:
            self.query, self.memory = layers.Dense(width, use_bias=False), layers.Dense(2 * width, use_bias=False)
            self.mix_source = layers.Dense(width)
        self.wide, self.narrow = layers.Dense(hidden, activation="relu"), layers.Dense(width)
        self.drop = layers.Dropout(dropout)

    def build(self, shape):
        """Builds the layers; all but the last dense one get vectors of `width`."""
        width = shape[-1]
        crossing = [self.query, self.memory, self.mix_source] if self.options["decodes"] else []
        for layer in (*self.norms, self.own, self.mix, *crossing, self.wide):
            layer.build((None, width))
        self.narrow.build((None, self.options["hidden"]))

    def split(self, x, parts):
        """Splits (…, parts * width) into parts of (…, heads, size)."""
        return tf.unstack(tf.reshape(x, [*shape_of(x)[:-1], parts, self.heads, self.size]), axis=-3)

    def dense(self, x, training=False):
        """Adds the dense layers."""
        return x + self.drop(self.narrow(self.wide(self.norms[-1](x))), training=training)

    def call(self, x, index, shape, bias, memory=None, training=False):
        """Attends where `bias` (batch, 1, length, length) is 0, and to `memory`: keys, values, bias of the source."""
        query, key, value = self.split(unpack(self.own(self.norms[0](x)), index, shape), 3)
        x += self.mix(pack(attention(query, key, value, bias), index))
        if memory is not None:
            (query,) = self.split(unpack(self.query(self.norms[1](x)), index, shape), 1)
            x += self.mix_source(pack(attention(query, *memory), index))
        return self.dense(x, training=training)

    def step(self, x, cache, memory, position):
        """Does the same for one position of each row, (rows, width), with keys and values of the ones before."""
        query, key, value = self.split(self.own(self.norms[0](x)), 3)
        cache = write_cache(cache, position, key, value)
        x += self.mix(tf.reshape(attend(query, cache, position), tf.shape(x)))
        (query,) = self.split(self.query(self.norms[1](x)), 1)
        x += self.mix_source(tf.reshape(attention(query[:, None], *memory), tf.shape(x)))
        return self.dense(x), cache

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}


def shape_of(x):
    """Returns the sizes of a tensor, as numbers where they are known."""
    return [tf.shape(x)[axis] if size is None else size for axis, size in enumerate(x.shape)]


def pack(x, index):
    """Returns the real pieces of (batch, length, heads, size): (pieces, heads * size)."""
    return tf.gather(tf.reshape(x, [-1, x.shape[2] * x.shape[3]]), index)


def unpack(x, index, shape, length=None):
    """Returns packed pieces (pieces, width) at their places, (batch, length, width); `length` may be known."""
    rows = tf.scatter_nd(index[:, None], x, tf.cast([shape[0] * shape[1], x.shape[-1]], index.dtype))
    return tf.ensure_shape(tf.reshape(rows, [shape[0], shape[1], x.shape[-1]]), [None, length, x.shape[-1]])


def attention(query, key, value, bias):
    """Attends (batch, length, heads, size) to (batch, source, heads, size); the bias is 0 or very negative."""
    logits = tf.einsum("bqhd,bkhd->bhqk", query, key) * key.shape[-1] ** -0.5
    return tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(logits + bias), value)


def places(length, width):
    """Returns sines and cosines of each place, (length, width); section 3.5 of the paper."""
    angle = tf.range(length, dtype=tf.float32)[:, None] / 10000.0 ** (tf.range(0, width, 2, tf.float32) / width)
    return tf.concat([tf.sin(angle), tf.cos(angle)], axis=-1)


def real_pieces(ids):
    """Returns the places of what is no padding, (pieces,), in (batch * length)."""
    return tf.where(tf.reshape(ids, [-1]) != PADDING)[:, 0]


def trim(ids):
    """Returns ids (batch, length) up to the longest row."""
    return ids[:, : tf.reduce_max(tf.reduce_sum(tf.cast(ids != PADDING, tf.int32), axis=1))]
