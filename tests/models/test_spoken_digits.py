"""Layers of the recipe spoken_digits."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from models import spoken_digits
from pipeline.features import audio
from pipeline.recipe import Spec

ONES = np.ones((64, 20, 10, 1), np.float32)


@pytest.mark.parametrize(("axis", "longest"), [(1, 8), (2, 6)], ids=["frames", "bands"])
def test_mask_is_one_stretch_of_its_own_for_each_row(axis, longest):
    found = keras.ops.convert_to_numpy(spoken_digits.Mask(axis, longest)(ONES, training=True))
    rows = found[..., 0].transpose(0, axis, 3 - axis)
    assert (rows == rows[:, :, :1]).all(), "the mask goes through the whole of the other axis"
    masked = [np.flatnonzero(row == 0) for row in rows[:, :, 0]]
    assert max(map(len, masked)) <= longest
    assert len({tuple(places) for places in masked}) > 10
    assert all((np.diff(places) == 1).all() for places in masked)


def test_mask_acts_in_training_only():
    np.testing.assert_array_equal(ONES, spoken_digits.Mask(1, 8)(ONES))


def test_no_mask_of_length_none():
    np.testing.assert_array_equal(ONES, spoken_digits.Mask(1, 0)(ONES, training=True))


def test_network_survives_a_file(tmp_path):
    spec = Spec({"audio": ((8000,), "float32")}, tuple("0123456789"), 10)
    model = spoken_digits.build(spoken_digits.Params(), spec)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    recording = {"audio": np.random.default_rng(0).normal(size=(2, 8000)).astype(np.float32)}
    np.testing.assert_allclose(model(recording), loaded(recording), atol=1e-6)


def test_spectrogram_is_that_of_the_data_set():
    recording = np.random.default_rng(0).normal(size=(2, 8000)).astype(np.float32)
    layer = spoken_digits.LogMel(8000, 256, 128, 40, 0.5)
    np.testing.assert_array_equal(audio.log_mel(recording, 8000, 256, 128, 40, 0.5)[..., None], layer(recording))


def test_loudness_is_no_matter(monkeypatch):
    recordings = np.random.default_rng(0).normal(0, 0.1, (1, 8000)).astype(np.float32)
    for gain, mean_square in ((1, 1), (0.1, 1), (1e-3, 1e-2)):
        monkeypatch.setattr(spoken_digits, "decode", lambda content, samples, rate, gain=gain: gain * recordings)
        found = spoken_digits.preprocess({"audio_bytes": None}, spoken_digits.Params())["audio"].numpy()
        np.testing.assert_allclose(mean_square, np.mean(found**2), rtol=0.05)
