"""Numbers that float32 cannot tell apart are no target, and left out of the inputs; all others stay as they are."""

from __future__ import annotations

import random
from datetime import date, timedelta

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.scaffold.outliers import find_lost, require_fine_changes, round_middle
from pipeline.tables.precision import find_coarse, float32_step

DRAWN = random.Random(2)
NEAR = [DRAWN.gauss(0, 3) for _ in range(400)]
OFFSETS = [0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12]


def table(values):
    return {"b": [DRAWN.gauss(0, 1) for _ in values], "c": list(NEAR), "price": values}


@pytest.mark.parametrize("value", [0.001, 1.0, 3.0, 2**24 - 1.0, 2.0**24, 1.7e9, 1e-40, 3e38])
def test_a_step_is_that_of_numpy(value):
    assert float(np.spacing(np.float32(value))) == float32_step(value)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", OFFSETS)
def test_a_target_is_refused_where_its_offset_is_large(plan, offset, sign):
    data = table([sign * offset + 3 * value for value in NEAR])
    if offset <= 1e5:
        plan(data)
        return
    with pytest.raises(PipelineError, match="The numbers of price are too near to each other for their size") as caught:
        plan(data)
    assert f"float32 has steps of {np.spacing(np.float32(offset)):.4g} there" in str(caught.value)
    constant = float(str(caught.value).split("price - " if sign > 0 else "price + ")[1].split(";")[0])
    assert abs(constant - offset) < 10


@pytest.mark.heavy
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", OFFSETS)
def test_an_input_is_left_out_only_where_it_would_be_lost(plan, offset, sign):
    planned = plan({**table(NEAR), "a": [sign * offset + value for value in NEAR[::-1]]})
    use = {row[0]: row[-1] for row in planned.rows}["a"]
    assert use.startswith("left out: half of the values are within") is (offset > 1e6)
    assert ("subtract a constant in the data: a" in use) is (offset > 1e6)


@pytest.mark.parametrize(
    "values",
    [
        [round(DRAWN.lognormvariate(11, 1), 2) for _ in range(400)],  # prices
        [DRAWN.randint(1990, 2024) for _ in range(400)],  # years
        [DRAWN.randint(19000, 19700) for _ in range(400)],  # days since 1970
        [DRAWN.randint(1_500_000_000, 1_700_000_000) for _ in range(400)],  # seconds, within years
        [DRAWN.gauss(1e9, 1e8) for _ in range(400)],
        [DRAWN.gauss(101_325, 800) for _ in range(400)],  # the pressure of the air
        [*NEAR[:-2], 1e12, -1e12],  # a few values far from all others
        [0.0] * 390 + [1e9] * 10,
        [DRAWN.gauss(1e-12, 1e-13) for _ in range(400)],
    ],
)
def test_usual_numbers_are_fine(values):
    assert find_coarse(values) is None


def test_nothing_is_said_of_values_that_are_all_the_same():
    assert find_coarse([]) is find_coarse([1e9] * 9) is None


def test_whole_numbers_that_float32_has_stay_inputs():
    assert {} == find_lost({"number": [10_000_000.0 + DRAWN.randint(0, 9) for _ in range(400)]})


def test_numbers_that_name_something_stay_inputs(plan):
    keys = [1_700_000_000 + DRAWN.randint(0, 9) for _ in NEAR]
    planned = plan({**table(NEAR), "shop_id": keys})
    assert {row[0]: row[-1] for row in planned.rows}["shop_id"].startswith("key")


@pytest.mark.parametrize(("sold", "rain"), [(0, 0), (1e4, 1e4), (0, 1e9), (1e9, 0)])
def test_the_same_of_a_series(drafted, write_csv, sold, rain):
    days = [(date(2020, 1, 1) + timedelta(days=number)).isoformat() for number in range(400)]
    data = {"day": days, "sold": [sold + x for x in NEAR], "rain": [rain + x for x in NEAR[::-1]]}
    if sold == 1e9:
        with pytest.raises(PipelineError, match="The numbers of sold"):
            drafted(write_csv(data), "sold")
        return
    drawn = drafted(write_csv(data), "sold")
    assert ("past" if rain < 1e9 else "steps of 64 there") in drawn.uses["rain"]
    assert ("rain" in drawn.plan.facts["others"]) is (rain < 1e9)
    assert abs(drawn.plan.facts["middle"] - sold) < 1


@pytest.mark.parametrize(
    ("start", "change", "lost"),
    [
        (1e9, 5.25, True),
        (-1e9, -5.25, True),
        (1e9, 5e4, False),
        (0.0, 5.25, False),
        (1e6, 5.25, False),
        (1e5, 0.1, False),
    ],
)
def test_a_meter_that_counts_up_is_refused_where_its_changes_are_lost(start, change, lost):
    values = [start + change * number for number in range(30_000)]
    if lost:
        with pytest.raises(PipelineError, match=r"changes of 5\.25, and float32 has steps of 64"):
            require_fine_changes("meter", values)
    else:
        require_fine_changes("meter", values)


@pytest.mark.parametrize(
    ("value", "spread", "rounded"),
    [(35.64, 10.2, 35.6), (123_456.7, 3.0, 123_457), (12_345, 900, 12_300), (0.0, 1.0, 0.0), (5.4321, 0.0, 5.4321)],
)
def test_the_middle_of_a_target_is_rounded_within_its_spread(value, spread, rounded):
    assert rounded == pytest.approx(round_middle(value, spread))
