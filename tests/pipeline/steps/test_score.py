"""Score: raw features of a split as arrays, the numbers of TFMA and of the recipe, what a model costs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.evaluation.measurements import Measurements
from pipeline.recipe import Metric
from pipeline.steps import ingest, score
from pipeline.store.layout import Workspace

KINDS = {"x": "float", "n": "int", "word": "bytes", "v": "float[2,2]"}


def test_column_without_any_value_has_the_kind_that_is_declared():
    assert [b"", b""] == score._to_column([None, None], "bytes").tolist()
    assert [0, 0] == score._to_column([None, None], "int").tolist()


def test_columns_are_read_with_their_shapes_and_gaps(tmp_path):
    full = {"x": 1.5, "n": 3, "word": b"a\0", "v": (1.0, 2.0, 3.0, float("nan")), "y": (5.0, 6.0)}
    bare = {"v": (4.0, 5.0, 6.0, 7.0), "y": (7.0, 8.0)}
    ingest.write_splits([ingest.Row("test", 0.1, full), ingest.Row("test", 0.2, bare)], tmp_path)
    found = score.Splits(tmp_path, KINDS).test
    np.testing.assert_array_equal([1.5, np.nan], found["x"])
    np.testing.assert_array_equal([[[1, 2], [3, np.nan]], [[4, 5], [6, 7]]], found["v"])
    np.testing.assert_array_equal([[5, 6], [7, 8]], found["y"])
    assert ([3, 0], [b"a\0", b""]) == (found["n"].tolist(), found["word"].tolist())
    assert {} == score.Splits(tmp_path, KINDS).train


@pytest.mark.parametrize("live", [None, {"skill": 0.3}])
def test_numbers_of_tfma_and_of_the_recipe_come_together(live):
    metrics, baseline = score.merge_metrics(
        Measurements({"accuracy": 0.9}, live and {"accuracy": 0.8}), {"skill": 0.2}, live or {}
    )
    assert {"accuracy": 0.9, "skill": 0.2} == metrics
    assert (live and {"accuracy": 0.8, "skill": 0.3}) == baseline


def test_missing_model_of_another_recipe_is_said_with_the_command(tmp_path):
    with pytest.raises(PipelineError, match=r"needs the live model of mnist") as caught:
        score.needed_models(SimpleNamespace(needs=("mnist",)), Workspace(tmp_path))
    assert "run first: keraspipe run mnist" in str(caught.value)


def recipe_scoring(answer):
    return SimpleNamespace(metrics=(Metric("skill"), Metric("auc", "AUC")), score=lambda *_: answer())


def test_the_recipes_own_score_gives_the_metrics_that_tfma_lacks():
    assert {"skill": 0.5} == score.recipe_scores(recipe_scoring(lambda: {"skill": np.float32(0.5)}), None, None, {})
    assert {} == score.recipe_scores(SimpleNamespace(metrics=(), score=None), None, None, {})


WRONG = {
    "fails": (lambda: {}["rows"], "Received: KeyError: 'rows'"),
    "gives another metric": (lambda: {"skil": 0.5}, "Expected: skill\nReceived: skil"),
    "gives none": (dict, "Expected: skill\nReceived: none"),
}


@pytest.mark.parametrize(("answer", "expected"), WRONG.values(), ids=WRONG)
def test_a_score_that_is_wrong_is_said(answer, expected):
    with pytest.raises(PipelineError, match=r"score\(\) of the recipe") as caught:
        score.recipe_scores(recipe_scoring(answer), None, None, {})
    assert expected in str(caught.value)
    assert "score()" in str(caught.value).partition("Next: ")[2]
