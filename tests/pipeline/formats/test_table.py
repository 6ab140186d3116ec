"""Values of every sort become features, or the reason why not."""

from __future__ import annotations

import datetime as dt
import decimal
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import table
from pipeline.tables.number_forms import MISSING_TEXTS


@pytest.mark.parametrize(
    ("raw", "kind", "expected"),
    [
        (True, "bytes", b"true"),
        (True, "int", 1),
        (7, "bytes", b"7"),
        (dt.date(2024, 2, 29), "bytes", b"2024-02-29"),
        (dt.datetime(2024, 2, 29, 1, 2, tzinfo=dt.UTC), "bytes", b"2024-02-29T01:02:00+00:00"),
        (b"\xff\x00", "bytes", b"\xff\x00"),
        (" 3 ", "int", 3),
        (3.0, "int", 3),
        (np.int64(3), "int", 3),
        (np.float32(0.5), "float", 0.5),
        (decimal.Decimal("0.5"), "float", 0.5),
        ("-1e3", "float", -1000.0),
    ],
)
def test_value_of_a_kind(raw, kind, expected):
    found = table.to_value(raw, kind)
    assert expected == found
    assert type(expected) is type(found)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (["a"], "bytes"),
        ({"a": 1}, "bytes"),
        ("\ud800", "bytes"),
        (3.5, "int"),
        (2**63, "int"),
        ("3.0", "int"),
        ([3], "int"),
        (10**400, "float"),
        (math.inf, "float"),
        ({}, "float"),
        ([1, 2], "float[3]"),
        (None, "float[3]"),
        ([1, 2, "x"], "float[3]"),
        ([1, 2, math.inf], "float[3]"),
        ([[1, 2], [3]], "float[3]"),
    ],
)
def test_value_of_another_kind(raw, kind):
    with pytest.raises(table.FAILURES):
        table.to_value(raw, kind)


def test_vectors_are_flat_and_may_miss_numbers():
    found = table.to_value([[1, None], [3, math.nan]], "float[2,2]")
    np.testing.assert_array_equal(np.array([1, np.nan, 3, np.nan], np.float32), found)
    assert np.float32 == found.dtype
    np.testing.assert_array_equal(found, table.to_value([1, None, 3, None], "float[2,2]"))


@pytest.mark.parametrize("raw", [None, "", "?", "NA", math.nan, np.float32("nan"), np.float64("nan")])
def test_missing(raw):
    assert table.is_missing(raw)


@pytest.mark.parametrize("raw", [0, 0.0, False, b"", "none", "no", [None], 10**400])
def test_not_missing(raw):
    assert not table.is_missing(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON, JSON, JSON, st.sampled_from(["bytes", "int", "float", "float[2]"]))
def test_a_row_is_usable_or_says_why(one, two, label, kind):
    layout = table.Layout({"one": kind, "two": "bytes", "label": "float"}, "label", frozenset(MISSING_TEXTS))
    found = layout.example("here", {"one": one, "two": two, "label": label})
    if found.fault:
        assert {} == found.features
    else:
        assert math.isfinite(found.features["label"])
        assert {"label"} <= found.features.keys() <= {"one", "two", "label"}
