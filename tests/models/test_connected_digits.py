"""Layers of the recipe connected_digits, and the way from the network's steps to digits."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import _speech, connected_digits
from models.connected_digits import DIGITS, SAMPLES, outputs, preprocess_targets
from pipeline.datasets.connected_digits import encode_wav
from pipeline.recipe import Spec

P = connected_digits.Params(filters=(4, 4), width=32, heads=2, blocks=1)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return connected_digits.build(P, Spec({"audio": ((SAMPLES,), "float32"), "length": ((), "int64")}, (), 100))


def recordings(*lengths):
    random, rows = np.random.default_rng(0), np.zeros((len(lengths), SAMPLES), np.float32)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = random.normal(size=length)
    return {"audio": tf.constant(rows), "length": tf.constant(lengths, tf.int64)}


def test_digits_are_numbers_from_one_on():
    found = preprocess_targets({"digits": tf.constant(["301", "", "99999"])}, P)["digits"]
    assert [[4, 1, 2, 0, 0], [0] * 5, [10] * 5] == found.numpy().tolist()


def test_what_is_behind_the_end_changes_nothing(model):
    rows = recordings(9000, 4000, 100, 0)
    whole = model(rows, training=False).numpy()
    for row in range(4):
        alone = model({name: values[row : row + 1] for name, values in rows.items()}, training=False).numpy()[0]
        np.testing.assert_allclose(whole[row, :, : alone.shape[1]], alone, atol=1e-3)
        assert (whole[row, :, alone.shape[1] :].argmax(axis=-1) == 0).all()


def test_steps_of_the_same_digit_are_one(monkeypatch):
    steps = [0, 4, 4, 0, 4, 1, 1, 0]

    def network(features, training):
        return tf.one_hot([[steps, steps]], len(DIGITS)) * 20.0

    answer = outputs(network, recordings(8000))
    assert [b"330"] == answer["text"].numpy().tolist()
    assert answer["confidence"].numpy() > 0.99


@pytest.mark.parametrize("loudness", [0.0, 3.0], ids=["digital silence", "faint noise"])
def test_silence_has_no_digits(model, loudness):
    wav = encode_wav(np.random.default_rng(0).normal(0, loudness, 8000), 8000)
    answer = outputs(model, connected_digits.preprocess({"audio_bytes": tf.constant([wav])}, P))
    assert [b""] == answer["text"].numpy().tolist()
    assert [1.0] == answer["confidence"].numpy().tolist()


def test_loudness_is_that_of_the_recording_not_of_the_row():
    wavs = [encode_wav(np.random.default_rng(0).normal(0, 900, length), 8000) for length in (400, 20_000)]
    found = connected_digits.preprocess({"audio_bytes": tf.constant(wavs)}, P)
    assert [400, 20_000] == found["length"].numpy().tolist()
    np.testing.assert_allclose(1, _speech.loudness_of(**found), rtol=1e-4)


def test_soft_parts_are_made_louder_and_silence_is_not():
    noise = np.random.default_rng(0).normal(size=(1, 24_000)).astype("float32")
    gains = np.repeat([1.0, 0.1, 0.001, 1.0], 6000).astype("float32")  # loud, soft, silent, and what is behind the end
    length = tf.constant([18_000])
    given = tf.constant(np.where(np.arange(24_000) < 18_000, noise * gains, 0.0))
    even = _speech.even_out(given, length, 2400, 0.6, 0.2)
    np.testing.assert_allclose(_speech.loudness_of(given, length), _speech.loudness_of(even, length), rtol=1e-4)
    assert not np.any(even[0, 18_000:])
    before, after = (np.std(np.reshape(part[0], [4, 6000])[:, 1500:4500], axis=1) for part in (given, even))
    assert 2 < (after[1] / after[0]) / (before[1] / before[0]) < 4
    assert after[2] < 0.01
    alone = _speech.even_out(tf.concat([given, 0 * given], 0), tf.constant([18_000, 0]), 2400, 0.6, 0.2)
    np.testing.assert_array_equal(even[0], alone[0])
    assert not np.any(alone[1])


def test_longer_recordings_are_cut():
    wav = encode_wav(np.full(90_000, 1000.0), 8000)
    assert (1, SAMPLES) == connected_digits.preprocess({"audio_bytes": tf.constant([wav])}, P)["audio"].shape


def test_speed_changes_the_length_and_leaves_the_padding():
    rows = recordings(*[20_000] * 32, *[SAMPLES] * 2)
    found, target = _speech.Vary(0.8, 1.25, 0.1)((rows, rows["length"]), training=True)
    lengths = found["length"].numpy()
    np.testing.assert_array_equal(rows["length"], target)
    assert 15_900 < lengths[:32].min() < 18_000
    assert 23_000 < lengths[:32].max() < 25_100
    assert lengths[32:].max() <= SAMPLES
    np.testing.assert_array_equal(lengths, _speech.length_of(found["audio"]))
    np.testing.assert_array_equal(rows["audio"], _speech.Vary(0.8, 1.25, 0.1)((rows, None))[0]["audio"])


def test_bands_and_frames_are_masked_in_training_only():
    layer = _speech.Spectrogram(8000, 256, 100, 40, 0.5, 0.1, 12, 8)
    rows = recordings(*[20_000] * 16)
    same, frames = layer(**rows)
    np.testing.assert_array_equal(same, layer(**rows)[0])
    assert [1 + (20_000 - 256) // 100] * 16 == frames.numpy().tolist()
    varied = layer(**rows, training=True)[0].numpy()
    empty = (varied == 0).all(axis=1).sum(axis=1), (varied == 0).all(axis=2).sum(axis=1)
    assert 0 < empty[0].max() <= 8
    assert 0 < empty[1].max() <= 12


def test_each_network_and_their_mean_learn():
    random = np.random.default_rng(0)
    logs = tf.nn.log_softmax(tf.constant(random.normal(size=(3, 2, 9, len(DIGITS))), tf.float32))
    digits = tf.constant([[3, 4, 4, 0, 0], [0] * 5, [1, 2, 0, 0, 0]])
    each = [keras.losses.ctc(digits, x) for x in (logs[:, 0], logs[:, 1], tf.reduce_mean(logs, axis=1))]
    np.testing.assert_allclose(tf.add_n(each) / 3, connected_digits.mean_loss(digits, logs), rtol=1e-5)


def test_a_network_hears_bands_moved_by_its_factor():
    own = [_speech.Spectrogram(8000, 256, 100, 40, 0.5, 0.1, 12, 8, factor) for factor in (1, 0.5)]
    plain, moved = (layer(**recordings(20_000))[0] for layer in own)
    np.testing.assert_allclose(plain[..., :20], moved[..., ::2], atol=1e-5)


def test_pauses_do_not_change_the_mean():
    speech = recordings(20_000)["audio"].numpy()
    late = {"audio": np.roll(speech, 8000, axis=1), "length": tf.constant([28_000])}
    layer = _speech.Spectrogram(8000, 256, 100, 40, 0.5, 0.1, 12, 8)
    plain, found = layer(speech, tf.constant([20_000]))[0], layer(**late)[0]
    np.testing.assert_allclose(plain[0, :180], found[0, 80:260], atol=0.02)


def test_network_survives_a_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    rows = recordings(5000, 300)
    np.testing.assert_allclose(model(rows, training=False), loaded(rows, training=False), atol=1e-6)
