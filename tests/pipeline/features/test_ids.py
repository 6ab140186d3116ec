"""Places of identifiers, names as numbers, and how often a value occurs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features.ids import find_places, to_codes, to_texts

INTEGERS = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=30)
@given(st.sets(INTEGERS, min_size=1, max_size=20), st.lists(INTEGERS, max_size=10))
def test_places_are_those_in_the_table(ids, others):
    ids, asked = sorted(ids), [*ids, *others]
    found = find_places(tf.constant(ids, tf.int64), tf.constant(asked, tf.int64)).numpy()
    assert [ids.index(value) if value in ids else len(ids) for value in asked] == found.tolist()


def test_places_keep_the_shape():
    assert [[1, 3], [0, 3]] == find_places(
        tf.constant([2, 4, 6], tf.int64), tf.constant([[4, 5], [2, 7]], tf.int64)
    ).numpy().tolist()


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), min_size=1))
def test_texts_come_back(texts):
    content = [text.encode() for text in texts]
    codes = to_codes(np.array(content, "S32"), 40)
    assert (len(texts), 40) == codes.shape
    assert content == to_texts(tf.constant(codes)).numpy().tolist()
