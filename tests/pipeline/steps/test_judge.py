"""Judge: raw features of a split as arrays, and the verdict over the numbers of TFMA and of the recipe."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline import atomic
from pipeline.errors import PipelineError
from pipeline.recipe import Gate, Metric
from pipeline.steps import ingest, judge
from pipeline.verdict import Verdict

KINDS = {"x": "float", "n": "int", "word": "bytes", "v": "float[2,2]"}


def test_columns_are_read_with_their_shapes_and_gaps(tmp_path):
    full = {"x": 1.5, "n": 3, "word": b"a\0", "v": (1.0, 2.0, 3.0, float("nan")), "y": (5.0, 6.0)}
    bare = {"v": (4.0, 5.0, 6.0, 7.0), "y": (7.0, 8.0)}
    ingest.write([("test", 0.1, full), ("test", 0.2, bare)], tmp_path)
    found = judge.Splits(tmp_path, KINDS).test
    np.testing.assert_array_equal([1.5, np.nan], found["x"])
    np.testing.assert_array_equal([[[1, 2], [3, np.nan]], [[4, 5], [6, 7]]], found["v"])
    np.testing.assert_array_equal([[5, 6], [7, 8]], found["y"])
    assert ([3, 0], [b"a\0", b""]) == (found["n"].tolist(), found["word"].tolist())
    assert {} == judge.Splits(tmp_path, KINDS).train


def recipe(gate, **changes):
    metrics = (Metric("accuracy", "SparseCategoricalAccuracy"), Metric("skill"))
    return SimpleNamespace(metrics=metrics, gate=gate, needs=(), judge=None, **changes)


@pytest.mark.parametrize(
    ("skill", "live", "reasons"),
    [
        (0.2, None, []),
        (0.05, None, ["skill on the test split is 0.0500, at least 0.1 is required"]),
        (float("nan"), None, ["skill on the test split is nan, at least 0.1 is required"]),
        (0.2, 0.3, ["skill on the test split is 0.2000, the live model has 0.3000; at most 0.01 worse is allowed"]),
    ],
)
def test_verdict_is_over_both_kinds_of_numbers(tmp_path, skill, live, reasons):
    baseline = None if live is None else {"skill": live}
    atomic.write_json(tmp_path / judge.FILE, {"candidate": {"skill": skill}, "baseline": baseline})
    measured = Verdict({"accuracy": 0.9}, None, [], [], ["something of TFMA"])
    asked = recipe(Gate(at_least={"skill": 0.1}, no_worse={"skill": 0.01}))
    found = judge.merged(measured, tmp_path, asked, quick=False)
    assert ["something of TFMA", *reasons] == found.reasons
    assert {"accuracy", "skill"} == found.metrics.keys()
    assert baseline == found.baseline


def test_missing_model_of_another_recipe_is_said_with_the_command(tmp_path):
    with pytest.raises(PipelineError, match=r"needs the live model of mnist") as caught:
        judge.needed(SimpleNamespace(needs=("mnist",)), tmp_path)
    assert "run first: keraspipe run mnist" in str(caught.value)
