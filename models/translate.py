"""English to German with a small transformer: a sentence in, its translation out, greedy or by beam search.

    source ─ pieces of words, ids (40) ─ embedding + place ─ 4 x [attention, dense] ─ (pieces, 128) ─┐
    words before, ids (40) ─ embedding + place ─ 4 x [attention, attention to the source, dense] ──── softmax ─ (5003)

The pieces are learnt from the training split and are part of the served graph. While it learns, the network gets the
true words before each word (teacher forcing), and all dense layers and the softmax see real pieces only, no padding:
rows are packed one behind the other. When it is served, keys and values of earlier words are kept.

Served in addition to `serving_default` (`text`, and `score`, the log probability of its pieces): `beam`, the same by
beam search. A sentence of more than 39 pieces is cut there, about 30 words; an empty one has the translation "".
Sixteen rows at a time go through the network, fewer are filled up: a row meets the same kernels alone and in a batch.

Paper: A. Vaswani et al., Attention is all you need, NeurIPS 2017, section 3; norm before each part as in R. Xiong et
al., arXiv:2002.04745; the size is Transformer-Tiny of Z. Wu et al., Good for misconceived reasons, ACL 2021, section 3.
Data: Multi30k, 30,014 pairs of sentences (1 in 30 for early stopping) and the official 1,000 of test_2016_flickr.
Task: translation
Command: keraspipe run translate
Reaches: bleu 33.07, 11.7 minutes on 2 cores, 2,473,728 weights, recipe 1c3c397ad0c8.
By beam search it is 36.20. Wu et al. reach BLEU 41.0 after 8,000 steps of 4,096 pieces on a GPU, fourteen times as
many. Larger batches were no faster. Rare words suffer most: a Boston Terrier becomes "ein Bohrer".
"""

import functools
from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers

from models._packed_transformer import Block, places, real_pieces, trim, unpack
from pipeline.datasets.multi30k import MULTI30K
from pipeline.features.learn_pieces import learn_trie
from pipeline.features.pieces import END, FIRST, PADDING, encode, join_pieces, normalize
from pipeline.generation.cache import empty_cache
from pipeline.generation.decode import beam_search, greedy
from pipeline.generation.groups import map_groups
from pipeline.recipe import Choice, Gate, Metric, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer

TOGETHER = 16  # rows that are decoded at the same time
BEAMS, PENALTY = 4, 1.0  # sequences that are kept; power of the length by which log probabilities are divided


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(3, 60)] = 5  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(32, 256, log=True)] = 48
    patience: int = 3  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw")] = "adam"
    learning_rate: Annotated[float, Range(5e-4, 1e-2, log=True)] = 3e-3
    schedule: Annotated[str, Choice("cosine")] = "cosine"
    warm_up: Annotated[float, Range(0.0, 0.3)] = 0.1  # share of the steps
    smoothing: Annotated[float, Range(0.0, 0.3)] = 0.1  # of the true pieces, to all others
    # pieces
    source_pieces: Annotated[int, Range(1000, 16000, log=True)] = 4000
    target_pieces: Annotated[int, Range(1000, 16000, log=True)] = 5000
    length: Annotated[int, Range(16, 128)] = 40  # pieces of a sentence with its end; the rest is cut off
    # network
    blocks: Annotated[int, Range(1, 6)] = 4  # of the encoder, and of the decoder
    width: Annotated[int, Range(64, 512, log=True)] = 128
    heads: Annotated[int, Choice(2, 4, 8)] = 4
    hidden: Annotated[int, Range(128, 2048, log=True)] = 256  # between a block's two dense layers
    dropout: Annotated[float, Range(0.0, 0.4)] = 0.1


def pieces(texts, size, length, name, lower):
    """Maps texts (batch,) to ids of pieces learnt from the training split, and the end: (batch, length)."""
    texts = normalize(texts, lower=lower)
    ids = encode(texts, learn_trie(texts, size, name), length)
    count = tf.reduce_sum(tf.cast(ids != PADDING, tf.int32), axis=1, keepdims=True)
    return tf.where(tf.range(length) == tf.minimum(count, length - 1), END, ids)


def preprocess(inputs, p):
    """Maps sentences (batch,) to ids of pieces, small letters only, (batch, length)."""
    return {"source": pieces(inputs["source"], p.source_pieces, p.length, "english", lower=True)}


def preprocess_targets(targets, p):
    """Maps translations (batch,) to ids of pieces, (batch, length)."""
    return {"words": pieces(targets["target_text"], p.target_pieces, p.length, "german", lower=False)}


@keras.saving.register_keras_serializable("keraspipe")
class Translator(layers.Layer):
    """The whole network: maps ids of the source and of the words, (batch, length) each, to the cost of each word."""

    def __init__(self, spellings, source_size, length, blocks, width, heads, hidden, dropout, smoothing, **kwargs):
        super().__init__(**kwargs)
        own = {"width": width, "heads": heads, "hidden": hidden, "dropout": dropout}
        self.options = {**own, "spellings": spellings, "source_size": source_size, "length": length, "blocks": blocks}
        self.options["smoothing"] = smoothing
        self.spellings, self.length, self.width, self.smoothing = spellings, length, width, smoothing
        start = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.meanings = layers.Embedding(source_size, width, embeddings_initializer=start)
        self.words = layers.Embedding(len(spellings), width, embeddings_initializer=start)  # also of the softmax
        self.encoder = [Block(**own, decodes=False) for _ in range(blocks)]
        self.decoder = [Block(**own, decodes=True) for _ in range(blocks)]
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.drop = layers.Dropout(dropout)

    def build(self, shapes):  # noqa: ARG002  (Keras passes them)
        """Builds all layers."""
        for layer in (self.meanings, self.words, *self.encoder, *self.decoder, *self.norms):
            layer.build((None, self.width))

    def embed(self, table, ids, index, training=False):
        """Returns the packed vectors of pieces and their places, (pieces, width)."""
        place = tf.gather(places(self.length, self.width), index % tf.shape(ids, index.dtype)[1])
        vectors = table(tf.gather(tf.reshape(ids, [-1]), index)) * self.width**0.5
        return self.drop(vectors + place, training=training)

    def encode(self, source, index, length=None, training=False):
        """Returns for each block of the decoder keys, values and bias of the source (batch, length, heads, size)."""
        shape = tf.shape(source)
        bias = -1e9 * tf.cast(source == PADDING, tf.float32)[:, None, None]
        x = self.embed(self.meanings, source, index, training)
        for block in self.encoder:
            x = block(x, index, shape, bias, training=training)
        x = self.norms[0](x)
        rows = [unpack(block.memory(x), index, shape, length) for block in self.decoder]
        return [(*block.split(row, 2), bias) for block, row in zip(self.decoder, rows, strict=True)]

    def call(self, features, training=False):
        """Returns the cross-entropy of each word with smoothing, 0 after the end: (batch, length)."""
        source, words = (trim(features[name]) for name in ("source", "words"))
        index, shape = real_pieces(words), tf.shape(words)
        before = tf.concat([tf.fill([shape[0], 1], tf.cast(END, words.dtype)), words[:, :-1]], axis=1)
        later = -1e9 * (1.0 - tf.linalg.band_part(tf.ones([shape[1], shape[1]]), -1, 0))[None, None]
        x = self.embed(self.words, before, index, training)
        for block, memory in zip(self.decoder, self.encode(source, real_pieces(source), None, training), strict=True):
            x = block(x, index, shape, later, memory, training=training)
        truth = tf.gather(tf.reshape(words, [-1]), index)
        costs = unpack(self.cost(self.norms[1](x), truth)[:, None], index, shape)[..., 0]
        return tf.ensure_shape(tf.pad(costs, [[0, 0], [0, self.length - shape[1]]]), [None, self.length])

    def cost(self, x, truth):
        """Returns the cost of packed words; the mean of all logits needs no logits."""
        missed = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, self.logits(x))
        own = tf.reduce_sum(x * self.words(truth), axis=-1)
        return missed + self.smoothing * (own - tf.linalg.matvec(x, tf.reduce_mean(self.words.embeddings, axis=0)))

    def logits(self, x):
        """Returns the logits of vectors (rows, width): (rows, pieces)."""
        return tf.matmul(x, self.words.embeddings, transpose_b=True)

    def step(self, tokens, position, state):
        """Returns the logits of the next piece, see `pipeline.generation.decode`."""
        x, caches = self.words(tokens) * self.width**0.5 + places(self.length, self.width)[position], []
        for block, cache, memory in zip(self.decoder, state["caches"], state["memory"], strict=True):
            x, longer = block.step(x, cache, memory, position)
            caches.append(longer)
        return self.logits(self.norms[1](x)), {**state, "caches": caches}

    def begin(self, source):
        """Returns the state before the first step."""
        rows, size = tf.shape(source)[0], [self.decoder[0].heads, self.decoder[0].size]
        caches = [empty_cache(rows, self.length, *size) for _ in self.decoder]
        every = tf.range(rows * self.length)  # all kernels have the same shapes, whatever the rows have
        return {"memory": self.encode(source, every, self.length), "caches": caches}

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable("keraspipe")
def mean_cost(words, cost):
    """Returns the mean cost of a word: both (batch, length)."""
    return tf.reduce_sum(cost) / tf.reduce_sum(tf.cast(words != PADDING, cost.dtype))


def build(p, spec):
    """Builds the network; its output is the cost of each word, because the softmax sees real words only."""
    inputs = {name: keras.Input((p.length,), name=name, dtype="int64") for name in ("source", "words")}
    spellings = [""] * FIRST + [entry.decode() for entry in spec.entries["german"]]
    sizes = {
        name: getattr(p, name) for name in ("length", "blocks", "width", "heads", "hidden", "dropout", "smoothing")
    }
    network = Translator(spellings, FIRST + spec.vocabulary["english"], **sizes, name="translator")
    model = keras.Model(inputs, network(inputs))
    rule = optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps, warm_up=p.warm_up, beta_2=0.98, clipnorm=1.0)
    # Keras would compile with XLA, which takes minutes for attention on a CPU and needs fixed shapes.
    model.compile(rule, loss=mean_cost, jit_compile=False)
    return model


def translate(model, source, decode):
    """Translates sentences (batch, length) by a decoder: `text` and `score`, (batch,) each."""
    network = model.get_layer("translator")

    def some(rows):
        return decode(network.step, tf.fill([TOGETHER], END), network.begin(rows), length=network.length, end=END)

    specs = tf.TensorSpec([TOGETHER, network.length], tf.int32), tf.TensorSpec([TOGETHER], tf.float32)
    ids, score = map_groups(some, source, TOGETHER, specs)
    empty = source[:, 0] == END
    text = join_pieces(ids, tf.constant(network.spellings))
    return {"text": tf.where(empty, "", text), "score": tf.where(empty, 0.0, score)}


def outputs(model, features):
    """Returns the likeliest translation, word by word: `text` and `score`, (batch,) each."""
    return translate(model, features["source"], greedy)


def signatures(served):
    """Returns `beam`: the same by beam search."""

    def beam(source):
        decode = functools.partial(beam_search, beams=BEAMS, penalty=PENALTY)
        return translate(served.model, served.features({"source": source})["source"], decode)

    return {"beam": (beam, [tf.TensorSpec([None], tf.string, "source")])}


def score(served, examples, others):
    """Returns BLEU and chrF of greedy translations, and BLEU of those by beam search."""
    from pipeline.evaluation.metrics.translation import bleu, chrf

    rows = examples.test
    truth = [text.decode() for text in rows["target_text"]]
    greedily, beam = (
        [text.decode() for text in served.predict(name, {"source": rows["source"]})["text"]]
        for name in ("serving_default", "beam")
    )
    return {"bleu": bleu(truth, greedily), "bleu_beam": bleu(truth, beam), "chrf": chrf(truth, greedily)}


RECIPE = Recipe(
    data=MULTI30K,
    split=Official(eval=0.033),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    teacher=("words",),
    build=build,
    outputs=outputs,
    signatures=signatures,
    predicted="score",
    metrics=(Metric("bleu"), Metric("bleu_beam"), Metric("chrf")),
    score=score,
    gate=Gate(at_least={"bleu": 30.0, "bleu_beam": 33.0}, no_worse={"bleu": 0.5}, quick={"bleu": 0.0}),
    quick=Quick(train_rows=1000, other_rows=100, epochs=2),
)
