"""Film reviews with a bidirectional LSTM or GRU, and maximum and mean over the words.

    text ─ words ─ ids (256) ─ embedding ─ (256, 64) ─ LSTM ⇄ ─ (256, 96) ─┬ maximum over the words ─┬ (192)
                                                                           └ mean over the words ────┘
        ─ dropout ─ softmax ─ (2)

Padding after the end of a text is masked: it changes neither the states nor the pooling, so a review gets the same
prediction in any batch.

Paper: S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9(8), 1997, section 4; read from both
ends as in M. Schuster, K. K. Paliwal, Bidirectional recurrent neural networks, 1997; maximum over the words as in
A. Conneau et al., arXiv:1705.02364, section 3.2. A. M. Dai, Q. V. Le, arXiv:1511.01432, table 2: 0.865 for an LSTM that
was not pretrained.
Data: IMDB, 25,000 reviews for training (a tenth of them for early stopping) and the official 25,000 as the test.
Task: text classification
Command: keraspipe run imdb_lstm
Reaches: accuracy 0.8735, 3.8 minutes on 2 cores, 1,323,906 weights, recipe 5d8f3862e4c7.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
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
    epochs: Annotated[int, Range(2, 20)] = 5  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 256, log=True)] = 64
    patience: int = 2  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw", "rmsprop")] = "adam"
    learning_rate: Annotated[float, Range(3e-4, 1e-2, log=True)] = 2e-3
    schedule: Annotated[str, Choice("constant", "cosine", "exponential")] = "cosine"
    loss: str = "sparse_categorical_crossentropy"
    # words
    vocabulary: Annotated[int, Range(5000, 50000, log=True)] = 20000  # number of the most frequent words
    length: Annotated[int, Range(100, 500)] = 256  # words of a review; the rest is cut off
    # network
    cell: Annotated[str, Choice("lstm", "gru")] = "lstm"
    embedding: Annotated[int, Range(16, 128, log=True)] = 64
    units: Annotated[int, Range(16, 128, log=True)] = 48  # in each direction
    embedding_dropout: Annotated[float, Range(0.0, 0.6)] = 0.3  # of whole columns of the embedding
    dropout: Annotated[float, Range(0.0, 0.6)] = 0.4
    # augmentation
    word_dropout: Annotated[float, Range(0.0, 0.4)] = 0.1  # share of the words that become unknown


def preprocess(inputs, p):
    """Maps texts (batch,) to ids of their first words, (batch, length), by a vocabulary of the training split."""
    first = words(inputs["text"])[:, : p.length]
    known = tft.compute_and_apply_vocabulary(first, top_k=p.vocabulary, vocab_filename="words")  # others are -1
    return {"words": (known + KNOWN).to_tensor(PADDING, shape=[None, p.length])}


def augment(p):
    """Replaces random words by the unknown word."""
    return [WordDropout(p.word_dropout, unknown=UNKNOWN, padding=PADDING)]


def pooled(states, there):
    """Returns maximum and mean over the words: (batch, length, n) and mask (batch, length, 1) to (batch, 2n)."""
    largest = ops.max(ops.where(there, states, -1.0), axis=1)  # states are in (-1, 1)
    count = ops.maximum(ops.sum(ops.cast(there, states.dtype), axis=1), 1.0)  # a text without words is divided by one
    mean = ops.sum(ops.where(there, states, 0.0), axis=1) / count
    return ops.concatenate([largest, mean], axis=-1)


def build(p, spec):
    """Builds the bidirectional layer, maximum and mean over the words, and softmax."""
    ids = keras.Input(spec.features["words"][0], name="words", dtype="int64")
    there = ops.not_equal(ids, PADDING)
    x = layers.Embedding(KNOWN + spec.vocabulary["words"], p.embedding)(ids)
    x = layers.SpatialDropout1D(p.embedding_dropout)(x)
    cell = {"lstm": layers.LSTM, "gru": layers.GRU}[p.cell]
    x = layers.Bidirectional(cell(p.units, return_sequences=True))(x, mask=there)  # (batch, length, 2 units)
    x = layers.Dropout(p.dropout)(pooled(x, there[..., None]))
    # float32 whatever the precision policy: half precision rounds small probabilities to zero.
    probabilities = layers.Dense(len(spec.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model({"words": ids}, probabilities)
    model.compile(optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps), loss=p.loss, metrics=["accuracy"])
    return model


RECIPE = Recipe(
    data=IMDB,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    augment=augment,
    augmented="words",
    build=build,
    gate=Gate(
        at_least={"accuracy": 0.86},
        slices={"label": {"accuracy": 0.8}},
        no_worse={"accuracy": 0.005},  # one standard deviation of 25,000 reviews is 0.002
        quick={"accuracy": 0.6},
    ),
    quick=Quick(train_rows=3000, other_rows=1000, epochs=3),
)
