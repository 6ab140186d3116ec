"""The forecaster's own parts: holes are filled from the past only, and the naive forecasts are what they are called."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.recipes import catalog
from pipeline.settings import ROOT

VALUES = st.lists(st.none() | st.integers(0, 900), min_size=168, max_size=168)


@pytest.fixture(scope="module")
def pollution():
    return catalog.load_recipe(ROOT / "models" / "pollution.py").preprocess.__globals__


def filled_by_definition(values, typical):
    found, last = [], typical
    for value in values:
        last = last if value is None else float(value)
        found.append(last)
    return found


@given(VALUES)
@settings(deadline=None, max_examples=30)  # the first example may import TensorFlow
def test_holes_get_the_last_value_before_them(pollution, values):
    dust = np.array([[math.nan if value is None else value for value in values]], np.float32)
    expected = filled_by_definition(values, pollution["TYPICAL"])
    assert [expected] == pollution["known_before"](dust).numpy().tolist()


@given(VALUES)
@settings(deadline=None, max_examples=30)  # the first example may import TensorFlow
def test_naive_forecasts(pollution, values):
    dust = np.array([[math.nan if value is None else value for value in values]], np.float32)
    with warnings.catch_warnings(action="error"):
        last, mean = pollution["naive"](dust)
    day = [value for value in values[-24:] if value is not None]
    expected = filled_by_definition(values, pollution["TYPICAL"])[-1]
    assert expected == last.item()
    assert pytest.approx(np.mean(day) if day else expected, rel=1e-5) == mean.item()


def test_nothing_in_a_window_makes_a_feature_that_is_no_number(pollution):
    recipe = pollution["RECIPE"]
    holes = np.full((2, 168), math.nan, np.float32)
    inputs = dict.fromkeys(recipe.data.numbers, holes) | {"wind": np.array([b"", b"NW,,XX"], object)}
    features = recipe.preprocess(inputs, recipe.params)
    assert (2, 168, 19) == features["window"].shape
    assert all(np.isfinite(value).all() for value in features.values())
