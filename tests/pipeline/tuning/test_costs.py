"""Costs of a small network whose numbers can be counted by hand; an export's costs are those of the tests of runs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.tuning import costs
from pipeline.tuning.objectives import UnknownObjectiveError

pytestmark = pytest.mark.heavy

ROWS = {"x": np.zeros((5, 3), np.float32)}


def make_served(model):
    return SimpleNamespace(model=model, features=lambda rows: rows)


def test_weights_and_operations_of_one_row_are_counted(tmp_path):
    import keras

    x = keras.Input((3,), name="x")
    served = make_served(keras.Model({"x": x}, keras.layers.Dense(2)(x)))
    values = costs.measure_costs(["flops", "parameters"], served, ROWS, tmp_path / "export")
    assert {"flops": 2 * 3 * 2 + 2, "parameters": 3 * 2 + 2} == values
    assert not (tmp_path / "export").exists(), "only what needs the export makes one"


def test_operations_that_cannot_be_counted_end_the_search_in_words(tmp_path):
    def never(features, training):
        raise ValueError("it cannot be traced")

    with pytest.raises(UnknownObjectiveError, match="leave flops out of --objectives"):
        costs.measure_costs(["flops"], make_served(never), ROWS, tmp_path)
