"""Which raw columns each number of a feature is made from."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.export.attribution_names import find_columns

ROWS = 6
COLUMNS = st.integers(2, 20)


@st.composite
def owners(draw):
    """The number of columns, and for each number of a feature the columns that it is the sum of."""
    count = draw(COLUMNS)
    return count, draw(st.lists(st.lists(st.integers(0, count - 1), unique=True, max_size=4), min_size=1, max_size=9))


def serve_sums(count, sums):
    rows = np.random.default_rng(1).normal(size=(count, ROWS)).astype("float32")
    sample = {f"c{place}": values for place, values in enumerate(rows)}

    def features(raw):
        zero = tf.zeros(ROWS)
        return {"x": tf.stack([tf.add_n([zero, *(raw[f"c{place}"] for place in group)]) for group in sums], axis=1)}

    return SimpleNamespace(sample=sample, features=features)


@pytest.mark.heavy
@settings(deadline=None)
@given(owners())
def test_columns_of_each_number(drawn):
    count, sums = drawn
    found = find_columns(serve_sums(count, sums), ["x"])
    expected = [", ".join(f"c{place}" for place in sorted(group)) or "x" for group in sums]
    assert expected == [found.names[place] for place in found.owner["x"]]


@pytest.mark.heavy
def test_columns_that_stand_alone_are_exchanged_in_groups():
    served, runs = serve_sums(1000, [[place] for place in range(1000)]), tf.Variable(0)

    def features(raw):
        runs.assign_add(1)
        return served.features(raw)

    counted = SimpleNamespace(sample=served.sample, features=features)
    assert [f"c{place}" for place in range(1000)] == list(find_columns(counted, ["x"]).names)
    assert 1 + 2 * 10 == runs.numpy()
