"""Plays in the manner of Shakespeare, character by character: a small GPT.

    characters (128) ─ embedding (128) ─ 4 x [attention to the 128 before it, dense] ─ softmax over bytes (256)

The network learns from 128 characters at random places of a passage of 513. Positions are rotations of queries and
keys, which tell only how far apart two characters are: so each block looks at the last 128, in a text of any length,
and keys and values are kept in a ring of 128. Served: `serving_default` goes on from a prompt, `score` gives the loss
of a text, without its first character, before which there is nothing.

Paper: A. Radford et al., Language models are unsupervised multitask learners, 2019 (GPT-2); J. Su et al., RoFormer,
arXiv:2104.09864, section 3.2.2. Size and measure: A. Karpathy, nanoGPT (on a CPU, 4 layers of 128: 1.88 after 2,000
steps of 12 x 64 characters; on a GPU, 6 layers of 384: 1.47), by the last tenth of the text as here.
Data: Tiny Shakespeare, 1,115,394 characters; the last tenth is the test.
Task: text generation.
Command: keraspipe run shakespeare
Reaches: known_words 0.9467, 17.1 minutes on 2 busy cores, 824,064 weights, recipe 6cda340038a4.
1.660 nats a character; no copy of more than 25 characters. With 32 rows a step 1.726 after 34 epochs.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from models._gpt import Gpt
from pipeline.datasets.tinyshakespeare import PASSAGE, TINYSHAKESPEARE
from pipeline.generation.cache import empty_cache
from pipeline.generation.decode import sample as draw_tokens
from pipeline.generation.groups import map_groups
from pipeline.generation.prompt import begin_with
from pipeline.recipe import Gate, Metric, Official, Quick, Range, Recipe

END, START = 0, 10  # a text begins after a line break
LONGEST, PROMPT = 2048, 1024  # characters of an answer with its prompt, and of a prompt
TOGETHER = 4  # texts that are written together, whoever asks
SCENES, SCENE = 8, 500  # texts that are written for the metrics, and their characters


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    epochs: Annotated[int, Range(1, 200)] = 36  # of one piece of each passage
    batch_size: Annotated[int, Range(4, 128, log=True)] = 8
    patience: int = 8  # epochs without a lower val_loss before training stops
    learning_rate: Annotated[float, Range(3e-4, 1e-2, log=True)] = 2e-3
    dropout: Annotated[float, Range(0.0, 0.3)] = 0.05
    context: int = 128
    blocks: Annotated[int, Range(2, 6)] = 4
    width: int = 128
    heads: int = 4


def preprocess(inputs, p):
    """Returns the bytes of each passage, padded with zeros, (batch, 513)."""
    return {"ids": tf.cast(tf.io.decode_raw(inputs["text"], tf.uint8, fixed_length=PASSAGE), tf.int64)}


def preprocess_targets(targets, p):
    """Returns the same: each character is to be foretold from those before it."""
    return {"next": tf.cast(tf.io.decode_raw(targets["target_text"], tf.uint8, fixed_length=PASSAGE), tf.int64)}


@keras.saving.register_keras_serializable("keraspipe")
class Crop(layers.Layer):
    """Cuts the same random piece of `size` characters out of both of a pair, in each row another one."""

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, pair, training=False):  # noqa: ARG002
        """Returns the shorter pair."""
        features, target = pair
        ids = features["ids"]
        rows, length = tf.shape(ids)[0], tf.shape(ids)[1]
        start = tf.random.uniform([rows, 1], 0, length - self.size + 1, tf.int32)
        places = start + tf.range(self.size)[None]
        return {"ids": tf.gather(ids, places, batch_dims=1)}, tf.gather(target, places, batch_dims=1)


def augment(p):
    """Cuts passages to the context and the character after it."""
    return [Crop(p.context + 1)]


@keras.saving.register_keras_serializable("keraspipe")
def mean_cost(ids, costs):
    """Returns the mean cost of a character: ids (batch, length + 1), costs (batch, length); zeros are no characters."""
    real = tf.cast(ids[:, 1:] != END, costs.dtype)
    return tf.reduce_sum(costs * real) / tf.maximum(tf.reduce_sum(real), 1.0)


def build(p, spec):
    """Builds the network; its output is the cost of each character."""
    ids = keras.Input((None,), name="ids", dtype="int64")
    network = Gpt(p.context, p.blocks, p.width, p.heads, p.dropout, name="gpt")
    model = keras.Model({"ids": ids}, network(ids))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, spec.steps, 0.05, warmup_target=p.learning_rate, warmup_steps=400
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.1, beta_2=0.99, clipnorm=1.0), mean_cost, jit_compile=False
    )
    return model


def outputs(model, features):
    """Returns `loss`, nats a character after the first, and `perplexity`, (batch,) each; both 0 for less than two."""
    ids = features["ids"]
    real = tf.cast(ids[:, 1:] != END, tf.float32)
    costs = tf.cast(model({"ids": ids}, training=False), tf.float32)
    loss = tf.reduce_sum(costs * real, axis=1) / tf.maximum(tf.reduce_sum(real, axis=1), 1.0)
    return {"loss": loss, "perplexity": tf.where(loss > 0, tf.exp(loss), 0.0)}


def write(network, prompt, seed, temperature, length):
    """Goes on from prompts (rows,) by `length` characters each: (rows,) of bytes."""
    sizes = tf.strings.length(prompt)
    ids = tf.cast(tf.io.decode_raw(prompt, tf.uint8, fixed_length=PROMPT), tf.int32)
    rows = tf.shape(prompt)[0]
    caches = [empty_cache(rows, network.context, block.heads, block.size) for block in network.blocks]
    tokens, _ = draw_tokens(
        begin_with(network.step, ids, sizes, length, END),
        tf.fill([rows], START),
        caches,
        seed=seed,
        temperature=temperature,
        top_p=tf.ones([rows]),
        length=LONGEST,
        end=END,
    )
    letters = tf.constant([bytes([byte]) for byte in range(256)])
    whole = tf.strings.reduce_join(tf.where(tokens == END, "", tf.gather(letters, tokens)), axis=1)
    answer = tf.strings.substr(whole, sizes, tf.fill([rows], LONGEST))
    return tf.strings.unicode_transcode(answer, "UTF-8", "UTF-8")  # bytes that are no text would not be JSON


write_compiled = tf.function(write)


def signatures(served):
    """Returns `serving_default` (prompt, seed, temperature and length to text) and `score` (text to loss)."""
    network = served.model.get_layer("gpt")
    kinds = {"prompt": tf.string, "seed": tf.int64, "temperature": tf.float32, "length": tf.int32}

    def generate(prompt, seed, temperature, length):
        fits = [
            (tf.strings.length(prompt) <= PROMPT, f"prompt has at most {PROMPT} bytes"),
            (tf.logical_and(length >= 0, length <= LONGEST - PROMPT), f"length is from 0 to {LONGEST - PROMPT}"),
            (temperature >= 0.0, "temperature is 0 or more"),
            (tf.logical_not(tf.strings.regex_full_match(prompt, r"(?s).*\x00.*")), "prompt has no zero bytes"),
        ]
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(fit), [words]) for fit, words in fits]):
            rows = tf.range(tf.shape(prompt)[0])

        def some(group):
            return write(network, *(tf.gather(part, group) for part in (prompt, seed, temperature, length)))

        return {"text": map_groups(some, rows, TOGETHER, tf.TensorSpec([TOGETHER], tf.string))}

    def score_text(text):
        fits = tf.reduce_all(tf.strings.length(text) <= PASSAGE)
        with tf.control_dependencies([tf.debugging.Assert(fits, [f"text has at most {PASSAGE} bytes"])]):
            text = tf.identity(text)
        return served.outputs(served.features({"text": text}))

    generator = generate, [tf.TensorSpec([None], kind, name) for name, kind in kinds.items()]
    return {"serving_default": generator, "score": (score_text, [tf.TensorSpec([None], tf.string, "text")])}


def sample(model, count):
    """Returns two texts of 300 characters."""
    rows = tf.constant(["ROMEO:\n", "First Citizen:\n"])
    seeds, lengths = tf.constant([1, 2], tf.int64), tf.constant([300, 300])
    texts = write_compiled(model.get_layer("gpt"), rows, seeds, tf.fill([2], 0.8), lengths).numpy()
    return [text.decode(errors="replace") for text in texts][:count]


def score(served, examples, others):
    """Returns nats a character, the share of written words that are in the plays, and the longest copied piece."""
    from pipeline.evaluation.bootstrap import mean_of
    from pipeline.evaluation.metrics.generation import known_words, longest_copy

    texts = examples.test["text"]
    asked = {
        "prompt": np.array([b"\n"] * SCENES, object),
        "seed": np.arange(SCENES),
        "temperature": np.full(SCENES, 0.8, np.float32),
        "length": np.full(SCENES, SCENE, np.int32),
    }
    written = [text.decode(errors="replace") for text in served.predict("serving_default", asked)["text"]]
    source = b"".join(examples.train["text"]).decode()
    return {
        "nats": mean_of(served.predict("score", {"text": texts})["loss"]),
        "known_words": known_words(written, source),
        "longest_copy": float(max(longest_copy(text, source) for text in written)),
    }


RECIPE = Recipe(
    data=TINYSHAKESPEARE,
    split=Official(eval=0.0),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=augment,
    augmented="",
    build=build,
    sample=sample,
    outputs=outputs,
    signatures=signatures,
    predicted="loss",
    metrics=(
        Metric("nats", higher_is_better=False),
        Metric("known_words"),
        Metric("longest_copy", higher_is_better=False),
    ),
    score=score,
    gate=Gate(at_least={"known_words": 0.8}, at_most={"nats": 1.7, "longest_copy": 100}, no_worse={"nats": 0.02}),
    quick=Quick(train_rows=200, other_rows=20, epochs=2),
)
