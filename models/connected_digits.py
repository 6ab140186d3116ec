"""Connected digits: a recording in, the digits that were spoken out, of a speaker who was not in the training.

    audio_bytes ─ decode, even loudness ─ (48000) ─ log-mel, minus its mean ─ (frames, 24)
        ─ 2 convolutions, each halves ─ (frames / 4, 6, 32) ─ dense ─ 2 convolutions over time ─ (frames / 4, 128)
        ─ [attention, dense] ─ softmax ─ (frames / 4, 11): a digit, or none; the mean of three such networks

Connectionist temporal classification learns where each digit is. Steps with the same digit in succession are one digit;
`confidence` is the geometric mean of the probabilities of the steps, `text` the digits, "" for silence. Recordings may
have any length up to 6 s, then they are cut. What is behind the end of a recording takes part in nothing.

Paper: A. Graves et al., Connectionist temporal classification, ICML 2006, sections 3 and 4; the convolutions of L. Dong
et al., Speech-Transformer, ICASSP 2018, section 3.3; augmentation: speed as in T. Ko et al., Audio augmentation for
speech recognition, Interspeech 2015, section 2; warped bands (vocal tract length) as in N. Jaitly, G. Hinton, ICML
2013 workshop, also for the networks' own factors; masks as in D. Park et al., SpecAugment, arXiv:1904.08779, section 2.
Data: connected_digits, numbers of up to five digits of the Free Spoken Digit Dataset; five speakers for training (a
tenth of their numbers for early stopping), theo for the test.
Task: speech recognition
Command: keraspipe run connected_digits
Reaches: word_error_rate 0.054, 12.1 minutes on 2 cores, 983,649 weights, recipe a706d13dbe42.
Without the even loudness 0.097 and 0.109 (20 epochs): soft digits next to loud ones were missed. Trained briefly, with
each of four voices left out, wrong digits were 0.354 with 40 bands and a plain mean, 0.313 with 24, which blur pitch.
"""

from dataclasses import dataclass
from typing import Annotated

import keras
import tensorflow as tf
from keras import layers

from models._packed_transformer import Block, unpack
from models._speech import Spectrogram, Vary, even_out, length_of, loudness_of
from pipeline.datasets.connected_digits import CONNECTED_DIGITS, MOST
from pipeline.features.audio import decode
from pipeline.recipe import Choice, Gate, Metric, Official, Quick, Range, Recipe
from pipeline.training.optimizers import optimizer

RATE = CONNECTED_DIGITS.rate
SAMPLES = 48_000  # 6 s
SILENCE = 1e-3  # below this loudness (1 is the loudest that WAV can hold) a recording is not made louder
SILENT = 0.5  # loudness below which a recording has no digits; after `preprocess`, which gives others a loudness of 1
NOTHING = 0  # answer of a step without a digit; the digits are 1 to 10
DIGITS = ("", *"0123456789")


@dataclass(frozen=True)
class Params:
    """Hyperparameters, each settable with `--set KEY=VALUE`."""

    # training
    epochs: Annotated[int, Range(5, 100)] = 14  # at most; early stopping ends sooner
    batch_size: Annotated[int, Range(8, 128, log=True)] = 32
    patience: int = 8  # epochs without a lower val_loss before training stops
    optimizer: Annotated[str, Choice("adam", "adamw")] = "adam"
    learning_rate: Annotated[float, Range(1e-4, 1e-2, log=True)] = 2e-3
    schedule: Annotated[str, Choice("cosine")] = "cosine"
    warm_up: Annotated[float, Range(0.0, 0.3)] = 0.1  # share of the steps
    # loudness
    window: int = 2400  # samples by which it is measured, 0.3 s
    gain: Annotated[float, Range(0.0, 1.0)] = 0.6  # how far all parts get the same
    quiet: Annotated[float, Range(0.01, 1.0, log=True)] = 0.2  # far below, there is no voice
    # spectrogram
    frame: int = 256  # samples, 32 ms; a power of two
    hop: int = 100  # samples
    bands: Annotated[int, Range(20, 64)] = 24
    floor: Annotated[float, Range(1e-6, 10.0, log=True)] = 0.5  # energy; below it silence and faint noise are equal
    # network
    filters: tuple[int, ...] = (16, 32)  # of the convolutions
    contexts: Annotated[int, Range(1, 6)] = 2  # convolutions over time
    blocks: Annotated[int, Range(1, 6)] = 1
    width: Annotated[int, Range(64, 256, log=True)] = 128
    heads: Annotated[int, Choice(2, 4, 8)] = 4
    dropout: Annotated[float, Range(0.0, 0.5)] = 0.2
    networks: Annotated[int, Range(1, 8)] = 3  # whose answers are averaged
    spread: Annotated[float, Range(0.0, 0.3)] = 0.1  # share by which the bands of the networks are moved at most
    # augmentation
    slowest: Annotated[float, Range(0.5, 1.0)] = 0.75  # speed, and pitch with it
    fastest: Annotated[float, Range(1.0, 2.0)] = 1.35
    noise: Annotated[float, Range(0.0, 0.5)] = 0.1  # deviation at most, in deviations of the recording
    warp: Annotated[float, Range(0.0, 0.3)] = 0.2  # share by which the bands are moved at most
    frame_mask: Annotated[int, Range(0, 40)] = 12  # frames, at most
    band_mask: Annotated[int, Range(0, 20)] = 5  # bands, at most


def preprocess(inputs, p):
    """Decodes WAV files (batch,) to recordings of equal loudness, (batch, 48000), and their length, (batch,).

    The mean square up to the end is 1, and less where a recording is almost silent.
    """
    audio = decode(inputs["audio_bytes"], SAMPLES, RATE)
    length = length_of(audio)
    audio /= tf.maximum(loudness_of(audio, length), SILENCE)
    return {"audio": even_out(audio, length, p.window, p.gain, p.quiet), "length": length}


def preprocess_targets(targets, p):
    """Maps digits (batch,) to numbers from 1 to 10, (batch, 5), and 0 after the end."""
    codes = tf.strings.unicode_decode(targets["digits"], "UTF-8").to_tensor(0, shape=[None, MOST])
    return {"digits": tf.where(codes > 0, codes - ord("0") + 1, NOTHING)}


def augment(p):
    """Changes speed and pitch, and adds noise."""
    return [Vary(p.slowest, p.fastest, p.noise)]


@keras.saving.register_keras_serializable("keraspipe")
class Recognizer(layers.Layer):
    """Maps spectrograms (batch, frames, bands) to the logarithms of chances, (batch, steps, 11).

    Steps after the end have no digit. A digit does not depend on where it is, so the network knows no places.
    """

    def __init__(self, filters, contexts, blocks, width, heads, dropout, **kwargs):
        super().__init__(**kwargs)
        own = {"width": width, "heads": heads, "dropout": dropout}
        self.options = {**own, "filters": filters, "contexts": contexts, "blocks": blocks}
        self.convolutions = [layers.Conv2D(n, 3, 2, padding="same", activation="relu") for n in filters]
        self.narrow, self.drop = layers.Dense(width), layers.Dropout(dropout)
        self.contexts = [layers.Conv1D(width, 5, padding="same", activation="relu") for _ in range(contexts)]
        self.norms = [layers.LayerNormalization() for _ in range(contexts)]
        self.blocks = [Block(**own, hidden=2 * width, decodes=False) for _ in range(blocks)]
        self.norm, self.answer = layers.LayerNormalization(), layers.Dense(len(DIGITS))
        self.width = width

    def build(self, shape):
        """Builds the layers; each convolution halves the bands."""
        bands, channels = shape[-1], 1
        for convolution in self.convolutions:
            convolution.build((None, None, bands, channels))
            bands, channels = -(-bands // 2), convolution.filters
        self.narrow.build((None, None, bands * channels))
        for layer in (*self.contexts, *self.norms):
            layer.build((None, None, self.width))
        for layer in (*self.blocks, self.norm, self.answer):
            layer.build((None, self.width))

    def convolve(self, x, frames, training):
        """Returns (batch, steps, width), and (batch, steps), whether there is a step; masks after each convolution."""
        # An even number of frames: else the convolutions would begin one earlier.
        x = tf.pad(x, [[0, 0], [0, -tf.shape(x)[1] % 2 ** len(self.convolutions)], [0, 0]])[..., None]
        for convolution in self.convolutions:
            frames = -(-frames // 2)
            x = convolution(x)
            x *= tf.sequence_mask(frames, tf.shape(x)[1], x.dtype)[..., None, None]
        there = tf.sequence_mask(frames, tf.shape(x)[1])
        mask = tf.cast(there, x.dtype)[..., None]
        x = self.narrow(tf.reshape(x, [-1, tf.shape(x)[1], x.shape[2] * x.shape[3]]))
        for norm, context in zip(self.norms, self.contexts, strict=True):
            x += self.drop(context(norm(x) * mask), training=training)
        return x, there

    def call(self, x, frames, training=False):
        """Convolves and attends."""
        x, there = self.convolve(x, frames, training)
        index, shape = tf.where(tf.reshape(there, [-1]))[:, 0], tf.shape(there)
        bias = -1e9 * (1.0 - tf.cast(there, tf.float32))[:, None, None]
        x = tf.gather(tf.reshape(x, [-1, self.width]), index)
        for block in self.blocks:
            x = block(x, index, shape, bias, training=training)
        logits = unpack(self.answer(self.norm(x)), index, shape)
        return tf.nn.log_softmax(tf.where(there[..., None], logits, 30.0 * tf.one_hot(NOTHING, len(DIGITS))))

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable("keraspipe")
def mean_loss(digits, chances):
    """Returns the loss (batch,) of each network and of their mean: (batch, networks, steps, 11), logarithms.

    Without that of the mean each network would put its digits at steps of its own.
    """
    chances = tf.concat([chances, tf.reduce_mean(chances, axis=1, keepdims=True)], axis=1)
    count, steps = tf.shape(chances)[1], tf.shape(chances)[2]
    rows = tf.reshape(chances, [-1, steps, len(DIGITS)])
    return tf.reduce_mean(tf.reshape(keras.losses.ctc(tf.repeat(digits, count, axis=0), rows), [-1, count]), axis=1)


def build(p, spec):
    """Builds networks, each of which hears bands warped by a factor of its own."""
    audio = keras.Input(spec.features["audio"][0], name="audio")
    length = keras.Input((), name="length", dtype="int64")
    chances = []
    for place in range(p.networks):
        factor = 1 + p.spread * (2 * place + 1 - p.networks) / p.networks
        options = p.frame, p.hop, p.bands, p.floor, p.warp, p.frame_mask, p.band_mask, factor
        x, frames = Spectrogram(RATE, *options)(audio, length)
        chances.append(Recognizer(p.filters, p.contexts, p.blocks, p.width, p.heads, p.dropout)(x, frames))
    model = keras.Model({"audio": audio, "length": length}, keras.ops.stack(chances, axis=1))
    rule = optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps, warm_up=p.warm_up, clipnorm=1.0)
    # Keras would compile with XLA, which needs fixed shapes.
    model.compile(rule, loss=mean_loss, jit_compile=False)
    return model


def outputs(model, features):
    """Returns `text`, the digits, and `confidence`, (batch,) each; a recording without sound has no digits.

    Rows are read one by one: the network's last digits depend on the size of the batch, and so might a digit.
    """

    def read(row):
        audio, length = row[0][None], row[1][None]
        logs = tf.reduce_mean(model({"audio": audio, "length": length}, training=False)[0], axis=0)  # (steps, 11)
        chances = tf.nn.softmax(logs)
        best = tf.argmax(chances, axis=-1, output_type=tf.int32)
        new = tf.concat([[True], best[1:] != best[:-1]], axis=0)
        text = tf.strings.reduce_join(tf.gather(tf.constant(DIGITS), tf.boolean_mask(best, new)))
        sure = tf.exp(tf.reduce_mean(tf.math.log(tf.reduce_max(chances, axis=-1))))
        silent = loudness_of(audio, length)[0, 0] < SILENT
        return tf.where(silent, "", text), tf.where(silent, 1.0, sure)

    specs = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32))
    text, confidence = tf.map_fn(read, (features["audio"], features["length"]), fn_output_signature=specs)
    return {"text": text, "confidence": confidence}


def score(served, examples, others):
    """Returns wrong, missing and additional digits per spoken one, and the share of numbers without any error."""
    from pipeline.evaluation.bootstrap import mean_of
    from pipeline.evaluation.metrics.recognition import word_error_rate

    rows = examples.test
    heard = served.predict("serving_default", {"audio_bytes": rows["audio_bytes"]})["text"]
    pairs = [[" ".join(text.decode()) for text in texts] for texts in (rows["digits"], heard)]
    return {"word_error_rate": word_error_rate(*pairs), "exact": mean_of((rows["digits"] == heard).astype(float))}


RECIPE = Recipe(
    data=CONNECTED_DIGITS,
    split=Official(eval=0.1),
    params=Params(),
    preprocess=preprocess,
    preprocess_targets=preprocess_targets,
    augment=augment,
    augmented="",
    build=build,
    outputs=outputs,
    predicted="confidence",
    metrics=(Metric("word_error_rate", higher_is_better=False), Metric("exact")),
    score=score,
    gate=Gate(
        at_most={"word_error_rate": 0.1},
        no_worse={"word_error_rate": 0.01},
        quick={"exact": 0.0},
    ),
    quick=Quick(train_rows=200, other_rows=40, epochs=2),
)
