"""A whole split is asked for in parts, and answered as if it had been one request."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.predictions import BATCH_FILES, BATCH_ROWS, BatchedModel


@dataclass
class Doubling:
    """A model that notes how many rows it is asked for."""

    signatures: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def predict(self, signature_name, inputs):
        first = next(iter(inputs.values()))
        self.asked.append(np.size(first))
        return {"twice": np.array([value + value for value in np.atleast_1d(first)])}


@given(st.integers(0, 1200), st.booleans())
def test_parts_give_what_the_whole_gives(rows, files):
    served, name, most = Doubling(), "image_bytes" if files else "x", BATCH_FILES if files else BATCH_ROWS
    values = np.array([b"%d" % row for row in range(rows)], object) if files else np.arange(rows)
    answer = BatchedModel(served).predict("serving_default", {name: values})
    assert Doubling().predict("", {name: values})["twice"].tolist() == answer["twice"].tolist()
    assert rows == sum(served.asked)
    assert max(served.asked) <= most


@pytest.mark.parametrize("inputs", [{"tokens": np.arange(1000), "slot": np.int32(0)}, {"slot": 3}, {"x": [1, 2]}])
def test_what_is_no_row_is_asked_for_at_once(inputs):
    served = Doubling()
    BatchedModel(served).predict("prefill", inputs)
    assert 1 == len(served.asked)
