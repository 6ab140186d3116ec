"""Samples of a generator: what the numbers say of sound, collapsed and copied ones; the film."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.training.callbacks.film import write_film
from pipeline.training.callbacks.samples import COUNT, RealRows, SampleWatch, read_real_rows, shrink
from pipeline.training.files import ANIMATION, STRIP, TEXTS
from pipeline.training.input_pipeline import Rows

RANDOM = np.random.default_rng(0)
PATTERNS = RANDOM.random((10, 28, 28, 1)).astype("float32")  # one for each class


def rows(count, noise=0.2):
    labels = np.arange(count) % 10
    return np.clip(PATTERNS[labels] + RANDOM.normal(0, noise, (count, 28, 28, 1)), 0, 1).astype("float32"), labels


TRAIN, LABELS = rows(2000)
REAL = RealRows(TRAIN, LABELS, rows(200)[0])


def test_new_rows_of_all_classes_are_sound():
    numbers = REAL.compare(rows(COUNT)[0])
    assert numbers["sample_classes"] == 10
    assert numbers["sample_entropy"] == pytest.approx(np.log(10), abs=1e-3)
    assert numbers["sample_diversity"] == pytest.approx(1, abs=0.1)
    assert numbers["sample_novelty"] == pytest.approx(1, abs=0.1)


def test_one_picture_again_and_again_is_a_collapse():
    numbers = REAL.compare(np.repeat(TRAIN[:1], COUNT, axis=0))
    assert numbers["sample_classes"] == 1
    assert numbers["sample_entropy"] == 0
    assert numbers["sample_diversity"] < 0.01


def test_training_rows_are_copies():
    numbers = REAL.compare(TRAIN[300 : 300 + COUNT])
    assert numbers["sample_novelty"] < 0.1
    assert numbers["sample_diversity"] > 0.9


def test_data_without_classes_have_no_classes():
    assert {"sample_diversity", "sample_novelty"} == RealRows(TRAIN, np.array([], int), TRAIN).compare(TRAIN[:9]).keys()


@pytest.mark.parametrize("shape", [(3, 28, 28, 1), (2, 32, 40, 3), (1, 5, 100, 3)])
def test_pictures_of_any_size_become_short_vectors(shape):
    small = shrink(np.full(shape, 0.25, np.float32))
    assert small.shape[1] <= 12 * 12 * shape[3]
    np.testing.assert_allclose(small, 0.25)


def test_the_film_of_images_is_marked(tmp_path):
    watch = SampleWatch(lambda model, count: rows(count)[0], lambda: REAL, tmp_path / "frames", tmp_path / "out", 10)
    logs = {}
    for epoch in range(12):
        watch.on_epoch_end(epoch, logs)
    watch.on_train_end()
    assert logs["sample_classes"] == 10
    with Image.open(tmp_path / "out" / ANIMATION) as animation:
        assert animation.n_frames == 12
        assert b"Generated" in animation.info["comment"]
    with Image.open(tmp_path / "out" / STRIP) as strip:
        strip.load()
        assert "trainedAlgorithmicMedia" in strip.text["XML:com.adobe.xmp"]


def test_rows_without_an_image_are_not_compared(tmp_path):
    features = tf.data.Dataset.from_tensor_slices(({"x": tf.zeros([4, 3])}, tf.zeros([4], tf.int64)))
    rows_of_numbers = Rows(features, 4, 48)
    assert read_real_rows(rows_of_numbers, rows_of_numbers, 0) is None
    watch = SampleWatch(lambda model, count: rows(count)[0], lambda: None, tmp_path / "frames", tmp_path, 0)
    logs = {"loss": 1.0}
    watch.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0}


def test_texts_have_a_file(tmp_path):
    watch = SampleWatch(lambda model, count: ["to be", "or not"], lambda: REAL, tmp_path / "frames", tmp_path, 0)
    watch.on_epoch_end(0, {})
    watch.on_epoch_end(1, {})
    write_film(tmp_path / "frames", tmp_path)
    assert "--- epoch 1 ---\nto be\n\nor not\n" in (tmp_path / TEXTS).read_text()
