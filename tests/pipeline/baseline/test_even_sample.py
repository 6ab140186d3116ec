"""An even sample of items whose number is not known before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.baseline.even_sample import EvenSample


def draw(sizes, most, largest):
    sample = EvenSample(most, largest)
    for number, size in enumerate(sizes):
        if sample.is_next():
            sample.add(number, size)
    return sample


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 20), st.integers(50, 300))
def test_every_nth_item_stays_and_the_limits_hold(sizes, most, largest):
    sample = draw(sizes, most, largest)
    assert list(range(0, len(sizes), sample.step)) == sample.items
    assert len(sample.items) <= most
    assert sum(sample.sizes) <= largest


def test_no_more_is_left_out_than_the_limits_ask_for():
    assert list(range(8)) == draw([1] * 8, 8, 100).items
    assert [0, 2, 4, 6, 8] == draw([1] * 9, 8, 100).items
