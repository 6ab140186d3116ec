"""Targets: what a row is answered with, checked and padded to its declared bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features import targets

KINDS = {"boxes": "float[3,4]", "classes": "int[3]", "text": "bytes", "names": "bytes[2]", "height": "float"}
ROW = {"boxes": [[0.0, 0.1, 0.5, 0.6]], "classes": [2], "text": b"word", "names": [b"a"], "height": 1.5}


def test_a_row_is_padded_to_the_declared_bounds():
    assert targets.find_fault(ROW, KINDS) == ""
    padded, left_out = targets.pad_targets({**ROW, "image_bytes": b"x"}, KINDS)
    assert left_out == {}
    assert padded["boxes"].reshape(3, 4).tolist()[1:] == [[0.0] * 4] * 2
    assert padded["classes"].tolist() == [2, -1, -1]
    assert padded["names"].tolist() == [b"a", b""]
    assert (padded["text"], padded["height"], padded["image_bytes"]) == (b"word", 1.5, b"x")


@given(st.integers(0, 8))
def test_what_does_not_fit_is_counted(count):
    row = {"boxes": np.arange(4.0 * count).reshape(count, 4), "classes": list(range(count))}
    kinds = {name: KINDS[name] for name in row}
    assert targets.find_fault(row, kinds) == ""
    padded, left_out = targets.pad_targets(row, kinds)
    assert left_out == (dict.fromkeys(row, count - 3) if count > 3 else {})
    assert padded["classes"].tolist() == ([*range(count)] + [-1] * 3)[:3]
    assert padded["boxes"].shape == (12,)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("boxes", None, "is missing"),
        ("boxes", [[1.0, 2.0]], "has the shape (1, 2)"),
        ("boxes", [1.0, 2.0, 3.0, 4.0], "has the shape (4,)"),
        ("boxes", [[0.0, 0.0, 1.0, float("nan")]], "NaN or infinite"),
        ("boxes", "everywhere", "not of kind float[3,4]"),
        ("boxes", [[1.0], [1.0, 2.0]], "not of kind float[3,4]"),
        ("classes", [1.5], "not of kind int[3]"),
        ("classes", [2**70], "not of kind int[3]"),
        ("text", "no bytes", "is not bytes"),
        ("height", [1.0, 2.0], "has the shape (2,)"),
    ],
)
def test_a_target_of_another_kind_is_a_fault(name, value, words):
    fault = targets.find_fault({**ROW, name: value}, KINDS)
    assert name in fault
    assert words in fault


def test_an_empty_target_is_none():
    row = {**ROW, "boxes": [], "classes": []}
    assert targets.find_fault(row, KINDS) == ""
    padded, _ = targets.pad_targets(row, KINDS)
    assert padded["classes"].tolist() == [-1, -1, -1]
