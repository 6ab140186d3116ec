"""True and false in whatever words."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.features import truth


@pytest.mark.parametrize(
    ("texts", "holds"),
    [
        (["true", "false"], True),
        (["TRUE", "False", "no", " Yes "], True),
        (["T", "F"], True),
        (["y", "N"], True),
        (["YES", "0", "1"], True),
        (["n", "t"], False),
        (["f", "m"], False),
        (["0", "1"], False),
        (["yes"], False),
        (["yes", "no", "maybe"], False),
        ([], False),
    ],
)
def test_columns_of_truth_values(texts, holds):
    assert holds == truth.are_truth_values(texts)


def test_numbers_in_the_graph():
    texts = [*truth.TRUE, " TRUE ", "Yes", *truth.FALSE, "NO", "", "maybe", "10", "truth"]
    expected = [1.0] * (len(truth.TRUE) + 2) + [0.0] * (len(truth.FALSE) + 1) + [np.nan] * 4
    np.testing.assert_array_equal(expected, truth.truth(np.array(texts)).numpy())
