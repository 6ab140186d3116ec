"""Rows in groups of a fixed size."""

from __future__ import annotations

import pytest
import tensorflow as tf

from pipeline.generation.groups import map_groups


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_every_row_is_in_a_group_of_the_same_size(count):
    def function(rows):
        assert [4, 2] == rows.shape.as_list()
        return {"sum": tf.reduce_sum(rows, axis=1), "twice": 2 * rows}

    rows = tf.reshape(tf.range(2 * count), [count, 2])
    specs = {"sum": tf.TensorSpec([4], tf.int32), "twice": tf.TensorSpec([4, 2], tf.int32)}
    found = tf.function(lambda rows: map_groups(function, rows, 4, specs), reduce_retracing=True)(rows)
    assert [4 * row + 1 for row in range(count)] == found["sum"].numpy().tolist()
    assert (2 * rows).numpy().tolist() == found["twice"].numpy().tolist()
