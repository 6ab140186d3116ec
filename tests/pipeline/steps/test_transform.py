"""Raw features as `preprocess` gets them: dense, with a value for what is missing."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.steps.transform import to_dense

CELLS = {tf.float32: st.floats(-9, 9, width=32), tf.int64: st.integers(-9, 9), tf.string: st.binary(max_size=3)}
MISSING = {tf.float32: np.nan, tf.int64: 0, tf.string: b""}
ROWS = 4


@st.composite
def tables(draw):
    """Columns by name: their type, and their cells, None where one is missing."""
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=8))
    cells = [draw(st.lists(st.none() | CELLS[kind], min_size=ROWS, max_size=ROWS)) for kind in kinds]
    return {f"c{place}": column for place, column in enumerate(zip(kinds, cells, strict=True))}


def sparse(kind, cells):
    """As Transform has a column: (batch, 1), or (batch, 0) where all is missing."""
    rows = [row for row, cell in enumerate(cells) if cell is not None]
    values = tf.constant([cells[row] for row in rows], kind)
    indices = np.array([[row, 0] for row in rows], np.int64).reshape(-1, 2)
    return tf.SparseTensor(indices, values, [len(cells), int(bool(rows))])


@settings(deadline=None)
@given(tables())
def test_columns_that_may_be_missing(table):
    dense = to_dense({name: sparse(*column) for name, column in table.items()})
    assert list(table) == list(dense)
    for name, (kind, cells) in table.items():
        expected = [MISSING[kind] if cell is None else cell for cell in cells]
        np.testing.assert_array_equal(np.array(expected, kind.as_numpy_dtype), dense[name].numpy())


def test_single_values_and_vectors_keep_their_order():
    vectors, singles = tf.ones([ROWS, 7]), tf.constant([[b"a"]] * ROWS)
    dense = to_dense({"v": vectors, "s": singles, "x": sparse(tf.int64, [1, None, 3, None])})
    assert [("v", (ROWS, 7)), ("s", (ROWS,)), ("x", (ROWS,))] == [(name, tuple(x.shape)) for name, x in dense.items()]
