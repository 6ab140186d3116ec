"""What float32 makes of the numbers of a run: a label that it cannot say ends it, an input is named."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.formats.base import Example
from pipeline.steps.precision import ROWS, NumberSample

DRAWN = random.Random(2)
NEAR = [DRAWN.gauss(0, 3) for _ in range(500)]
KINDS = {"x": "float", "v": "float[2]", "n": "int", "s": "bytes"}


def check(classes=(), **columns):
    """The warnings about rows, and the rows as they pass."""
    rows = [Example("", dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    watched = NumberSample(SimpleNamespace(inputs=KINDS, label="y", classes=classes))
    assert rows == list(watched.watch(iter(rows)))
    return watched.require_fine()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", [0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e12])
def test_a_label_far_from_zero_ends_the_run(offset, sign):
    label = [sign * offset + value for value in NEAR]
    if offset > 1e6:
        step = np.spacing(np.float32(offset))
        with pytest.raises(
            PipelineError, match=rf"y are too near .*\n.*\n.*steps of {step:.4g} there".replace("+", ".")
        ):
            check(y=label)
        return
    warnings = check(y=label)
    assert (offset > 1e5) is any("y: half of the values are within" in words for words in warnings)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset", [0, 1e3, 1e6, 1e7, 1e9])
def test_an_input_is_named(offset, sign):
    shifted = [sign * offset + value for value in NEAR]
    vectors = [np.array([value, value]) for value in shifted]
    warnings = check(x=shifted, v=vectors, y=NEAR)
    assert (["x", "v"] if offset > 1e6 else []) == [words.partition(":")[0] for words in warnings]


def test_keys_texts_and_gaps_are_no_numbers():
    keys = [1_700_000_000 + DRAWN.randint(0, 9) for _ in NEAR]
    assert [] == check(n=keys, s=[b"1000000001"] * 500, x=[None, *NEAR[1:]], y=NEAR)
    assert [] == check(x=[float("nan"), *NEAR[1:]], y=NEAR)


def test_names_of_classes_are_no_numbers():
    assert [] == check(("a", "b"), y=[b"a", b"b"] * 250)


@pytest.mark.parametrize("values", [[1e9] * 500, [DRAWN.gauss(1e9, 1e8) for _ in range(500)], list(range(500))])
def test_usual_labels_pass(values):
    assert [] == check(y=values)


def test_of_many_rows_there_is_a_sample_of_all():
    values = [1e9 + number / 1e5 for number in range(30 * ROWS)]
    with pytest.raises(PipelineError, match=r"within 0\.3"):
        check(y=values)
