"""Any Keras optimizer and every schedule, by name."""

from __future__ import annotations

import keras
import pytest

from pipeline.training.optimizers import SCHEDULES, optimizer


def rates(schedule, steps=100):
    rate = optimizer("sgd", 0.1, schedule, steps)._learning_rate
    if schedule == "constant":
        rate = {0: float(keras.ops.convert_to_numpy(rate)), 100: float(keras.ops.convert_to_numpy(rate))}.get
    return [pytest.approx(float(rate(step)), abs=1e-6) for step in (0, steps)]


@pytest.mark.parametrize(
    ("schedule", "expected"), [("constant", [0.1, 0.1]), ("cosine", [0.1, 0.0]), ("exponential", [0.1, 0.001])]
)
def test_schedule_from_first_to_last_step(schedule, expected):
    assert expected == rates(schedule)


def test_warm_up_rises_to_the_rate_and_falls_from_there():
    rate = optimizer("sgd", 0.1, "cosine", 100, warm_up=0.2)._learning_rate
    found = [float(rate(step)) for step in (0, 10, 20, 60, 100)]
    assert [0.0, 0.05, 0.1, 0.05, 0.0] == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "exponential"])
def test_warm_up_of_a_schedule_that_has_none(schedule):
    with pytest.raises(ValueError, match=f"Received: {schedule}$"):
        optimizer("sgd", 0.1, schedule, 100, warm_up=0.1)


def test_every_schedule_is_tested():
    assert {"constant", "cosine", "exponential"} == set(SCHEDULES)


@pytest.mark.parametrize("name", ["adam", "AdamW", "SGD", "rmsprop", "lion", "Adafactor"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_optimizers_by_name(name, schedule):
    assert name.lower() == type(optimizer(name, 0.1, schedule, 10)).__name__.lower()


def test_further_arguments_reach_the_optimizer():
    made = optimizer("sgd", 0.1, "constant", 10, momentum=0.9, nesterov=True)
    assert (0.9, True) == (made.momentum, made.nesterov)


def test_unknown_schedule():
    with pytest.raises(ValueError, match=r"expected one of constant, cosine, exponential\. Received: cosin$"):
        optimizer("adam", 0.1, "cosin", 10)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="adm"):
        optimizer("adm", 0.1, "constant", 10)
