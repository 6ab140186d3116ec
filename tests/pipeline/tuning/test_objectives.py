"""Objectives as a user writes them: names, directions, and what is refused in words."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.tuning import objectives


def test_each_objective_has_its_direction_and_its_metric():
    parsed = objectives.parse_objectives("accuracy, loss,latency_ms,flops")
    assert [("accuracy", "max"), ("loss", "min"), ("latency_ms", "min"), ("flops", "min")] == [
        (each.name, each.direction) for each in parsed
    ]
    assert ["val_accuracy", "val_loss", "", ""] == [each.metric for each in parsed]
    assert "latency of one row, ms (less is better)" == parsed[2].axis
    assert "accuracy on the eval split (more is better)" == parsed[0].axis


def test_a_direction_can_be_said_where_the_name_does_not_say_it():
    psnr, mae = objectives.parse_objectives("psnr:max,mae")
    assert (True, False) == (psnr.maximize, mae.maximize)
    assert (-3.0, 3.0) == (psnr.loss(3.0), mae.loss(3.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy", "--objective val_accuracy"),
        ("size_mb", "--objective val_loss"),
        ("accuracy,val_accuracy", "accuracy is given twice"),
        ("size_mb,accuracy,size_mb", "size_mb is given twice"),
        ("accuracy:max,accuracy:min", "accuracy is given twice"),
        ("accuracy,latency", "did you mean latency_ms"),
        ("accuracy,params", "did you mean parameters"),
        ("accuracy,size", "did you mean size_mb"),
        ("accuracy,flop", "did you mean flops"),
        ("accuracy,val_size_mb", "write size_mb"),
        ("accuracy,size_mb:max", "less is better"),
        ("accuracy,", "A name is missing"),
        ("accuracy,:max", "A name is missing"),
        ("", "A name is missing"),
        ("accuracy:up,loss", "accuracy:max or accuracy:min"),
        ("accuracy:,loss", "accuracy:max or accuracy:min"),
        ("accuracy,loss,flops,size_mb,latency_ms", "leave some out"),
    ],
)
def test_what_is_no_set_of_objectives_is_refused_in_words(text, said):
    with pytest.raises(UsageError, match=said) as error:
        objectives.parse_objectives(text)
    assert "Expected: " in str(error.value)
    assert "Next: " in str(error.value)
