"""Declarations of structured answers that contradict each other."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.errors import PipelineError
from pipeline.recipe import CLASSIFICATION, Metric
from pipeline.recipes.declaration import require_declaration


def recipe(data=None, **changes):
    inner = {"targets": {"boxes": "float[4,4]"}, "inputs": {"image_bytes": "bytes"}, "label": "", "classes": ()}
    plain = {
        "data": SimpleNamespace(**inner | (data or {})),
        "outputs": len,
        "preprocess_targets": None,
        "teacher": (),
        "metrics": (Metric("map50"),),
    }
    return SimpleNamespace(**plain | changes)


def test_what_fits_together_passes():
    require_declaration(recipe())
    require_declaration(recipe({"targets": {}, "label": "label", "classes": ("a", "b")}, metrics=CLASSIFICATION))
    require_declaration(recipe({"targets": {"text": "bytes"}}, preprocess_targets=len, teacher=("text",)))


@pytest.mark.parametrize(
    ("data", "changes", "words"),
    [
        ({"label": "label"}, {}, "beside targets"),
        ({"classes": ("a",)}, {}, "beside targets"),
        ({"targets": {"image_bytes": "bytes"}}, {"preprocess_targets": len}, "among inputs and targets"),
        ({"targets": {"boxes": "box[4]"}}, {}, "no kind"),
        ({"targets": {"text": "bytes"}}, {}, "no preprocess_targets= for the bytes text"),
        ({}, {"outputs": None}, "no outputs="),
        ({}, {"metrics": CLASSIFICATION}, "metrics that TFMA computes from a label: accuracy, loss"),
        ({"targets": {}, "label": "label"}, {"teacher": ("words",)}, "without targets"),
        ({"targets": {}, "label": "label"}, {"preprocess_targets": len}, "without targets"),
    ],
)
def test_contradictions_are_named(data, changes, words):
    with pytest.raises(PipelineError, match="contradict each other") as error:
        require_declaration(recipe(data, **changes))
    assert words in str(error.value)
