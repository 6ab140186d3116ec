"""Sizes by the number of rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.scaffold import choices


@given(st.integers(50, 10**8))
def test_a_shorter_training_is_as_patient(rows):
    whole = choices.choose_sizes(rows)
    half = whole.halve_epochs()
    assert 10 <= half.epochs <= whole.epochs
    assert max(whole.patience, 3) == half.patience
    assert half.patience < half.epochs / 2


@given(st.integers(50, 10**8), st.integers(50, 10**8))
def test_more_rows_never_make_a_longer_training_or_a_smaller_network(rows, others):
    few, many = choices.choose_sizes(min(rows, others)), choices.choose_sizes(max(rows, others))
    assert many.epochs <= few.epochs
    assert many.patience <= few.patience
    assert few.units <= many.units
    assert many.test <= few.test
