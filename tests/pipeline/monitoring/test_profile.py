"""Counting in parts is counting at once."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring.profile import Baseline, FeatureBuilder, Profile, Rows, count_rows

NUMBER = st.none() | st.floats(allow_nan=True, allow_infinity=True, width=32)
TEXT = st.none() | st.binary(max_size=30)
ROWS = st.lists(st.tuples(NUMBER, st.none() | st.integers(-3, 3), TEXT), max_size=30)


def features():
    random = np.random.default_rng(0)
    values = {
        ("number", "number"): random.normal(size=200).tolist(),
        ("category", "category"): random.integers(-2, 2, 200).tolist(),
        ("text", "text"): [f"some words {i} of many".encode() for i in range(200)],
    }
    fittings = [FeatureBuilder(*names) for names in values]
    for fitting, column in zip(fittings, values.values(), strict=True):
        fitting.add(column)
    return tuple(fitting.feature() for fitting in fittings)


FEATURES = features()


def profile(rows):
    found = Rows()
    found.count = len(rows)
    found.columns = {name: [row[i] for row in rows] for i, name in enumerate(("number", "category", "text"))}
    return count_rows(FEATURES, found)


@given(one=ROWS, other=ROWS)
def test_the_sum_of_profiles_is_the_profile_of_all_rows(one, other):
    whole, parts = profile(one + other), profile(one) + profile(other)
    assert whole.as_json() == parts.as_json()


@given(rows=ROWS)
def test_every_row_is_in_one_cell_of_each_axis_of_numbers_and_of_categories(rows):
    found = profile(rows)
    keys = [axis.key for feature in FEATURES for axis in feature.axes if axis.kind != "words"]
    assert {"number", "category", "text.words", "text.unknown words"} == set(keys)
    assert {len(rows)} == {int(found.counts[key].sum()) for key in keys}


@given(rows=ROWS)
def test_a_profile_survives_json(rows):
    found = profile(rows)
    assert found.as_json() == Profile.from_json(json.loads(json.dumps(found.as_json()))).as_json()


def test_a_frame_survives_json():
    frame = Baseline(FEATURES, profile([(0.5, 1, b"word")]), 7)
    again = Baseline.from_json(json.loads(json.dumps(frame.as_json())))
    assert (frame.features, frame.total) == (again.features, again.total)
    assert frame.training.as_json() == again.training.as_json()


@pytest.mark.parametrize(
    ("value", "label"),
    [(None, "missing"), (float("nan"), "missing"), (-1e9, "below 1"), (1, "1"), (2, "1 to 2"), (9, "above 3")],
)
def test_a_number_falls_into_the_cell_that_says_so(value, label):
    fitting = FeatureBuilder("x", "number")
    fitting.add([1, 2, 3] * 5)
    (axis,) = fitting.feature().axes
    counts = axis.counts(np.asarray([value], float))
    assert [label] == [name for name, count in zip(axis.labels(), counts, strict=True) if count]


def test_components_of_what_repeats_do_not_depend_on_how_many_rows_come_at_once():
    windows = [np.roll(np.arange(24, dtype=np.float32), i) for i in range(24)] * 40
    fitting = FeatureBuilder("hour", "vector")
    fitting.add(windows)
    feature = fitting.feature()
    whole = feature.counts(windows)
    for size in (1, 7, 100):
        parts = [feature.counts(windows[start : start + size]) for start in range(0, len(windows), size)]
        for key, cells in whole.items():
            assert cells.tolist() == sum(part[key] for part in parts).tolist(), (size, key)
