"""Recordings of any length in rows of a fixed one: their loudness, variations of the voice, and spectrograms.

What is behind the end of a recording takes part in nothing.

Sources: T. Ko et al., Audio augmentation for speech recognition, Interspeech 2015, section 2 (speed); N. Jaitly,
G. Hinton, Vocal tract length perturbation improves speech recognition, ICML 2013 workshop (warped bands); D. Park et
al., SpecAugment, arXiv:1904.08779, section 2 (masks); Y. Wang et al., Trainable frontend for robust and far-field
keyword spotting, ICASSP 2017, equation 1 (automatic gain, there of each band).
"""

import math

import keras
import tensorflow as tf
from keras import layers

from pipeline.features.audio import log_mel


def length_of(audio):
    """Returns the number of samples (batch,) up to the last one of (batch, samples) that is not 0."""
    return tf.reduce_max(tf.where(audio != 0, tf.range(1, tf.shape(audio)[1] + 1), 0), axis=1)


def loudness_of(audio, length):
    """Returns the square root of the mean square of (batch, samples) up to the length (batch,): (batch, 1)."""
    count = tf.cast(tf.maximum(length, 1), tf.float32)
    return tf.sqrt(tf.reduce_sum(tf.square(audio), axis=1) / count)[:, None]


def even_out(audio, length, window, strength, floor):
    """Makes quiet parts louder, or a digit that is spoken softly next to loud ones is missed.

    Args:
        audio: Recordings (batch, samples).
        length: Their samples up to the end, (batch,).
        window: Samples around a sample by whose loudness it is divided.
        strength: From 0, which changes nothing, to 1, which makes all parts equally loud.
        floor: Loudness far below which a part stays quiet.

    Returns:
        Recordings of the same loudness as a whole, (batch, samples).
    """
    place, half = tf.range(tf.shape(audio)[1])[None], window // 2
    first = tf.maximum(place - half, 0)
    last = tf.maximum(tf.minimum(place + half, length[:, None]), first + 1)
    sums = tf.pad(tf.cumsum(tf.square(audio), axis=1), [[0, 0], [1, 0]])
    total = tf.gather(sums, last, batch_dims=1) - tf.gather(sums, first[0], axis=1)
    around = tf.sqrt(tf.nn.relu(total) / tf.cast(last - first, tf.float32))
    even = audio * (around + floor) ** -strength
    return even * loudness_of(audio, length) / tf.maximum(loudness_of(even, length), 1e-9)


@keras.saving.register_keras_serializable("keraspipe")
class Vary(layers.Layer):
    """Changes speed and pitch of recordings and adds noise, each row by its own draw.

    Shapes: a pair (features with "audio" (batch, samples) and "length" (batch,), target), before and after.
    """

    def __init__(self, slowest, fastest, noise, **kwargs):
        super().__init__(**kwargs)
        self.options = {"slowest": slowest, "fastest": fastest, "noise": noise}
        self.slowest, self.fastest, self.noise = slowest, fastest, noise
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, pair, training=False):
        """Reads a row faster or slower, between the samples by a line; it is never cut."""
        if not training:
            return pair
        features, target = pair
        audio, samples = features["audio"], features["audio"].shape[1]
        length = tf.cast(features["length"], tf.float32)
        draws = keras.random.uniform((tf.shape(audio)[0], 2), seed=self.seed_generator)
        speed = tf.maximum(self.slowest + draws[:, 0] * (self.fastest - self.slowest), length / samples)
        place = tf.minimum(tf.range(samples, dtype=tf.float32) * speed[:, None], samples - 1.0)
        before = tf.cast(place, tf.int32)
        pair = [tf.gather(audio, tf.minimum(before + step, samples - 1), batch_dims=1) for step in (0, 1)]
        moved = pair[0] + (pair[1] - pair[0]) * (place - tf.floor(place))
        loudness = loudness_of(audio, features["length"]) * self.noise * draws[:, 1:]
        noisy = moved + loudness * keras.random.normal(tf.shape(audio), seed=self.seed_generator)
        shorter = tf.cast(length / speed, features["length"].dtype)
        there = tf.sequence_mask(shorter, samples)
        return {**features, "audio": tf.where(there, noisy, 0.0), "length": shorter}, target

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable("keraspipe")
class Spectrogram(layers.Layer):
    """Maps recordings (batch, samples) to log-mel spectrograms (batch, frames of the longest, bands), 0 after the end.

    The mean over time is taken off each band: it tells of the microphone and the voice. Frames count by how loud they
    are, so that it does not depend on the pauses. In training bands are warped by a random factor, and frames and bands
    are masked; in use they are warped by `factor`.
    """

    def __init__(self, rate, frame, hop, bands, floor, warp, frame_mask, band_mask, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.mel = {"rate": rate, "frame": frame, "hop": hop, "bands": bands, "floor": floor}
        self.options = {"warp": warp, "frame_mask": frame_mask, "band_mask": band_mask, "factor": factor}
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, audio, length, training=False):
        """Returns the spectrogram and the number of frames of each row, (batch,)."""
        length = tf.maximum(tf.cast(length, tf.int32), self.mel["frame"])
        frames = 1 + (length - self.mel["frame"]) // self.mel["hop"]
        x = log_mel(audio[:, : tf.reduce_max(length)], **self.mel) - math.log(self.mel["floor"])  # silence is 0
        there = tf.sequence_mask(frames, tf.shape(x)[1], tf.float32)[..., None]
        loud = there * tf.reduce_mean(x, axis=-1, keepdims=True)
        x -= tf.reduce_sum(x * loud, axis=1, keepdims=True) / (tf.reduce_sum(loud, axis=1, keepdims=True) + 1e-6)
        return (self.vary(x) if training else self.move(x, self.options["factor"])) * there / 2, frames

    def move(self, x, factor):
        """Reads each band of (batch, frames, bands) at its place times a factor, a number or (batch, 1)."""
        bands = tf.range(self.mel["bands"], dtype=tf.float32)
        place = tf.minimum(bands * factor, self.mel["bands"] - 1.0)
        return tf.matmul(x, tf.nn.relu(1 - tf.abs(place[..., None, :] - bands[:, None])))  # a line between two bands

    def vary(self, x):
        """Moves the bands of each row by a factor, and sets an interval of bands and one of frames to 0."""
        draws = keras.random.uniform((tf.shape(x)[0], 5), seed=self.seed_generator)
        x = self.move(x, 1 + self.options["warp"] * (2 * draws[:, :1] - 1))
        seen = hidden(draws[:, 1:3], self.mel["bands"], self.options["band_mask"])[:, None]
        return x * seen * hidden(draws[:, 3:], tf.shape(x)[1], self.options["frame_mask"])[..., None]

    def get_config(self):
        """The arguments."""
        return {**super().get_config(), **self.mel, **self.options}


def hidden(draws, size, longest):
    """Returns 0 in an interval and 1 elsewhere, (batch, size); draws (batch, 2) are its length and its place."""
    length = tf.floor(draws[:, :1] * (longest + 1))
    start = draws[:, 1:] * tf.cast(size, tf.float32) - length / 2
    place = tf.cast(tf.range(size), tf.float32)[None]
    return tf.cast((place < start) | (place >= start + length), tf.float32)
