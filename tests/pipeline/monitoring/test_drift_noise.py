"""What chance reaches is seldom exceeded by samples of one distribution, and shrinks with their size."""

import numpy as np
import pytest

from pipeline.monitoring import drift

ZIPF = (1 / np.arange(1, 41)) / (1 / np.arange(1, 41)).sum()
EVEN = np.full(20, 0.05)
RARE = np.array([0.002, 0.998])
ALPHA = 0.01


def bounds(shares, counts):
    random = np.random.default_rng(3)
    return {
        drift.jensen_shannon: drift.jensen_shannon_noise(shares, counts, ALPHA, random),
        drift.l_infinity: drift.l_infinity_noise(shares, counts, ALPHA),
    }


@pytest.mark.parametrize("shares", [ZIPF, EVEN, RARE], ids=["zipf", "even", "rare"])
@pytest.mark.parametrize("counts", [(700, 40), (700, 500), (20_000, 5_000)], ids=str)
def test_is_seldom_exceeded(shares, counts):
    random = np.random.default_rng(5)
    one, other = (random.multinomial(count, shares, 2000) / count for count in counts)
    for between, bound in bounds(shares, counts).items():
        # a hundredth is meant; of 2,000 pairs twice that is more than chance gives
        assert np.mean(between(one, other) > bound) <= 0.02


def test_shrinks_with_the_number_of_rows():
    few, many = bounds(EVEN, (1000, 100)), bounds(EVEN, (100_000, 100_000))
    assert all(many[one] < few[one] / 5 for one in few)


def test_a_smaller_probability_gives_a_larger_bound():
    assert drift.l_infinity_noise(EVEN, (500, 500), 1e-5) > drift.l_infinity_noise(EVEN, (500, 500), 1e-2)


def test_one_value_only_leaves_nothing_to_chance():
    assert 0 == drift.jensen_shannon_noise(np.array([0.0, 1.0]), (50, 50), ALPHA, np.random.default_rng(0))
