"""The distances are TFDV's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitoring.drift import jensen_shannon, l_infinity

DISTANCES = (jensen_shannon, l_infinity)
COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=30).filter(any)


def shares(counts):
    return np.array(counts) / sum(counts)


@st.composite
def pairs(draw):
    first = draw(COUNTS)
    second = draw(st.lists(st.integers(0, 1000), min_size=len(first), max_size=len(first)).filter(any))
    return shares(first), shares(second)


@pytest.mark.parametrize("distance", DISTANCES)
@given(pair=pairs())
def test_lies_between_0_and_1_and_does_not_depend_on_the_order(distance, pair):
    p, q = pair
    assert 0 <= distance(p, q) <= 1
    assert distance(p, q) == pytest.approx(distance(q, p), abs=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
@given(pair=pairs())
def test_is_0_for_equal_distributions_only(distance, pair):
    p, q = pair
    assert 0 == distance(p, p)
    assert (np.abs(p - q).max() < 1e-6) or distance(p, q) > 0


@pytest.mark.parametrize("distance", DISTANCES)
def test_distributions_without_a_common_value_are_1_apart(distance):
    assert 1 == distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("distance", DISTANCES)
def test_many_pairs_at_once_are_each_by_itself(distance):
    p, q = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.2, 0.8], [0.9, 0.1]])
    assert [distance(p[0], q[0]), 0] == distance(p, q).tolist()


def test_values_are_those_of_tfdv():
    # tensorflow_data_validation 1.16.1, drift_skew_info of 2,000 rows a, b, c beside 1,000 rows a, b, d
    p, q = np.array([0.5075, 0.2920, 0.2005, 0.0]), np.array([0.268, 0.312, 0.0, 0.420])
    assert jensen_shannon(p, q) == pytest.approx(0.33760744802832332, abs=1e-15)
    assert l_infinity(p, q) == pytest.approx(0.42, abs=1e-15)
