"""Film reviews with a small transformer, which also returns the weight of each word in the prediction.

    text ─ words ─ ids (256) ─ embedding + place ─ (256, 64)
        ─ 1 x [norm ─ attention, 2 heads ─ + ─ norm ─ dense 128 ─ dense 64 ─ +] ─ norm ─ (256, 64)
        ─ weight of each word ─ softmax ─ (256) ─ weighted mean ─ (64) ─ dropout ─ softmax ─ (2)

Served in addition to `label` and `probabilities`: `attention` (batch, length), the weight of each word in the mean that
is classified; they sum to one over a text, or are all zero if it has no words. And `tokens` (batch, length), the words
of these weights, "" after the end. Padding after the end of a text is masked in attention and mean, so a review gets
the same prediction in any batch.

Paper: A. Vaswani et al., Attention is all you need, arXiv:1706.03762, section 3 (the encoder); norm before each part as
in R. Xiong et al., arXiv:2002.04745, section 3.1; weights of words as in Z. Yang et al., Hierarchical attention
networks for document classification, NAACL 2016, equations 5 to 7.
Data: IMDB, 25,000 reviews for training (a tenth of them for early stopping) and the official 25,000 as the test.
Task: text classification
Command: keraspipe run imdb_transformer
Reaches: accuracy 0.8703, 6.4 minutes on 2 cores, 1,334,466 weights, recipe 3d0aa11ee013.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
import tensorflow_transform as tft
from keras import layers, ops

from pipeline.datasets.imdb import IMDB
from pipeline.features.text import words
from pipeline.recipe import Choice, Gate, Official, Quick, Range, Recipe
from pipeline.training.layers import WordDropout
from pipeline.training.optimizers import optimizer

PADDING, UNKNOWN, KNOWN = 0, 1, 2  # ids: after the end, outside the vocabulary, the first word of it


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(2, 20)] = 4  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 256, log=True)] = 64
    patience: int = 2  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 5e-3, log=True)] = 1e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    loss: str = "sparse_categorical_crossentropy"
    # words
    vocabulary: Annotated[int, Range(5000, 50000, log=True)] = 20000  # number of the most frequent words
    length: Annotated[int, Range(100, 500)] = 256  # words of a review; the rest is cut off
    # network
    blocks: Annotated[int, Range(1, 4)] = 1
    width: Annotated[int, Range(32, 128, log=True)] = 64  # of a word's vector
    heads: Annotated[int, Choice(1, 2, 4)] = 2
    hidden: Annotated[int, Range(32, 512, log=True)] = 128  # between a block's two dense layers
    activation: Annotated[str, Choice("relu", "gelu")] = "gelu"
    embedding_dropout: Annotated[float, Range(0.0, 0.6)] = 0.4  # of whole columns of the embedding
    block_dropout: Annotated[float, Range(0.0, 0.5)] = 0.2
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.4
    # augmentation
    word_dropout: Annotated[float, Range(0.0, 0.4)] = 0.2  # share of the words that become unknown


def preprocess(inputs, p):
    """Maps texts (batch,) to ids of their first words, (batch, length), by a vocabulary of the training split."""
    first = words(inputs["text"])[:, : p.length]
    known = tft.compute_and_apply_vocabulary(first, top_k=p.vocabulary, vocab_filename="words")  # others are -1
    return {"words": (known + KNOWN).to_tensor(PADDING, shape=[None, p.length])}


def augment(p):
    """Replaces random words by the unknown word."""
    return [WordDropout(p.word_dropout, unknown=UNKNOWN, padding=PADDING)]


def embedded(ids, p, spec):
    """Adds embeddings of words and positions: (batch, length) to (batch, length, width)."""
    places = ops.cumsum(ops.ones_like(ids), axis=1) - 1
    small = keras.initializers.RandomNormal(stddev=0.02)
    x = layers.Embedding(KNOWN + spec.vocabulary["words"], p.width, name="meanings")(ids)
    x = x + layers.Embedding(ids.shape[1], p.width, embeddings_initializer=small, name="places")(places)
    return layers.SpatialDropout1D(p.embedding_dropout)(x)


def block(x, there, p):
    """Applies attention between the words, then dense layers to each word: (batch, length, width), unchanged."""
    normal = layers.LayerNormalization()(x)
    seen = layers.MultiHeadAttention(p.heads, p.width // p.heads)(normal, normal, attention_mask=there[:, None, :])
    x = x + layers.Dropout(p.block_dropout)(seen)
    hidden = layers.Dense(p.hidden, activation=p.activation)(layers.LayerNormalization()(x))
    return x + layers.Dropout(p.block_dropout)(layers.Dense(p.width)(hidden))


def build(p, spec):
    """Builds the blocks of attention, the mean of the words with learned weights, and softmax."""
    ids = keras.Input(spec.features["words"][0], name="words", dtype="int64")
    there = ops.not_equal(ids, PADDING)
    x = embedded(ids, p, spec)
    for _ in range(p.blocks):
        x = block(x, there, p)
    x = layers.LayerNormalization()(x)
    score = layers.Dense(1, use_bias=False)(layers.Dense(p.width, activation="tanh")(x))
    # float32 whatever the precision policy: half precision rounds small weights and probabilities to zero.
    weight = layers.Softmax(axis=1, dtype="float32", name="attention")(score, mask=there[..., None])
    x = layers.Dropout(p.dropout)(ops.sum(x * ops.cast(weight, x.dtype), axis=1))  # (batch, width)
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"words": ids}, probabilities)
    rule = optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps)
    # Keras would compile with XLA, which takes minutes for attention on a CPU and is not faster.
    model.compile(rule, loss=p.loss, metrics=["accuracy"], jit_compile=False)
    return model


def outputs(model, features):
    """Returns label and probabilities, and the weight of each word."""
    both = keras.Model(model.input, (model.output, model.get_layer("attention").output))
    probabilities, attention = both(features, training=False)
    label = tf.gather(tf.constant(IMDB.classes), tf.argmax(probabilities, axis=-1))
    return {"label": label, "probabilities": probabilities, "attention": tf.squeeze(attention, axis=-1)}


def signatures(served):
    """Returns a `serving_default` that also has the words of the weights, as in the text."""

    def default(text):
        features = served.features({"text": text})
        length = features["words"].shape[1]
        return {**served.outputs(features), "tokens": words(text)[:, :length].to_tensor("", shape=[None, length])}

    return {"serving_default": (default, [tf.TensorSpec([None], tf.string, "text")])}


RECIPE = Recipe(
    data=IMDB,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    augmented="words",
    build=build,
    outputs=outputs,
    signatures=signatures,
    gate=Gate(
        at_least={"accuracy": 0.86},
        slices={"label": {"accuracy": 0.8}},
        no_worse={"accuracy": 0.005},  # one standard deviation of 25,000 reviews is 0.002
        quick={"accuracy": 0.6},
    ),
    quick=Quick(train_rows=3000, other_rows=1000, epochs=3),
)
