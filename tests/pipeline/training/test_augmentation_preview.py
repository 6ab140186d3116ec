"""The picture of the augmentation shows every class, with titles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.training.augmentation_preview import (
    GAP,
    MAX_ROWS,
    NAME_WIDTH,
    TITLE_HEIGHT,
    choose_rows,
    write_preview,
)
from pipeline.training.files import AUGMENTATION
from pipeline.training.input_pipeline import Rows


@given(labels=st.lists(st.integers(0, 30), min_size=1, max_size=200), count=st.integers(1, 8))
def test_every_class_is_chosen_before_a_second_row_of_one(labels, count):
    rows = choose_rows(labels, min(count, len(labels)))
    chosen = [labels[row] for row in rows]
    assert len(rows) == min(MAX_ROWS, max(min(count, len(labels)), len(set(labels))))
    assert len(set(chosen)) == min(len(set(labels)), len(rows))
    assert rows == sorted(set(rows))


def test_without_classes_the_first_rows_are_chosen():
    assert [0, 1, 2] == choose_rows([], 3)


@pytest.mark.parametrize(("channels", "classes"), [(1, ("cat", "a very long name of a class")), (3, ())])
def test_the_picture_has_a_row_of_each_class(tmp_path, channels, classes):
    import tensorflow as tf

    images = np.linspace(0, 1, 30 * 16 * 16 * channels, dtype=np.float32).reshape(30, 16, 16, channels)
    labels = np.array([0] * 29 + [1])
    dataset = tf.data.Dataset.from_tensor_slices(({"image": images}, labels))
    augment = lambda features, target: ({"image": features["image"] * 0.5}, target)  # noqa: E731
    write_preview(tmp_path, Rows(dataset, 30, 1), lambda *row: row, augment, "image", classes)
    picture = Image.open(tmp_path / AUGMENTATION)
    cell = 96 + GAP
    assert (8 * cell + NAME_WIDTH * bool(classes), 8 * cell + TITLE_HEIGHT) == picture.size
    assert np.asarray(picture.convert("L"))[:TITLE_HEIGHT].min() < 100
