"""A verdict as ModelBlessing: stock TFX understands it, and nothing that is not blessed goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tfx.components.evaluator import constants
from tfx.components.pusher.executor import Executor as Pusher
from tfx.components.util.model_utils import is_model_blessed
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.types.standard_artifacts import Model, ModelBlessing

from pipeline.errors import PipelineError
from pipeline.evaluation import blessing

GOOD = {"blessed": True, "reasons": [], "conditions": [{"words": "accuracy is 0.9, at least 0.8 is required"}]}
BAD = {"blessed": False, "reasons": ["loss is 3"], "conditions": [{"words": "loss is 3"}, {"words": "a number"}]}


def artifact(kind, number, folder):
    found = kind()
    found.id, found.uri = number, str(folder / f"{kind.TYPE_NAME}-{number}")
    return found


@pytest.fixture
def blessed(tmp_path):
    """Gives the blessing of a model by a verdict, against a live model of a version or against none."""

    def make(gate, number=1, live=None):
        baseline = artifact(Model, 100, tmp_path)
        baseline.set_string_custom_property("champion_digest", "d1" if live else "")
        baseline.set_int_custom_property("champion_version", live or 0)
        found = artifact(ModelBlessing, 1000 + number, tmp_path)
        blessing.bless(found, gate, artifact(Model, number, tmp_path), baseline)
        return found

    return make


@pytest.mark.parametrize(("gate", "file", "value"), [(GOOD, "BLESSED", 1), (BAD, "NOT_BLESSED", 0)])
def test_a_verdict_is_written_as_evaluator_writes_it(blessed, gate, file, value):
    found = blessed(gate)
    assert [file] == [path.name for path in Path(found.uri).iterdir()]
    assert value == found.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
    assert found.get_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY).endswith("Model-1")
    assert 1 == found.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY)
    assert not found.has_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY)
    assert gate["reasons"] == json.loads(found.get_string_custom_property("reasons"))
    assert len(gate["conditions"]) == len(json.loads(found.get_string_custom_property("conditions")))


def test_files_and_properties_have_the_names_of_evaluator():
    assert (constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME) == (
        blessing.BLESSING_FILES[True],
        blessing.BLESSING_FILES[False],
    )
    names = (blessing.BLESSED, blessing.MODEL, blessing.MODEL_ID, blessing.BASELINE, blessing.BASELINE_ID)
    assert names == (
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY,
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY,
        constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY,
        constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY,
    )
    assert ModelBlessing.TYPE_NAME == blessing.BLESSING_TYPE


def test_the_live_model_is_named(blessed):
    found = blessed(GOOD, live=7)
    assert 100 == found.get_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY)
    assert found.get_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY).endswith("Model-100")
    assert (7, "d1") == (
        found.get_int_custom_property("baseline_version"),
        found.get_string_custom_property("baseline_digest"),
    )


def test_pusher_pushes_what_is_blessed(blessed):
    assert [True, False] == [Pusher().CheckBlessing({"model_blessing": [blessed(gate)]}) for gate in (GOOD, BAD)]
    assert [True, False] == [is_model_blessed(blessed(gate)) for gate in (GOOD, BAD)]


def test_the_latest_blessed_model_is_found(blessed, tmp_path):
    models = [artifact(Model, number, tmp_path) for number in (1, 2, 3)]
    blessings = [blessed(GOOD, 1), blessed(GOOD, 2), blessed(BAD, 3)]
    found = LatestBlessedModelStrategy().resolve_artifacts(None, {"model": models, "blessing": blessings})
    assert ([2], [1002]) == ([one.id for one in found["model"]], [one.id for one in found["blessing"]])


def test_a_model_that_is_not_blessed_is_refused_with_the_reasons(blessed):
    blessing.require_blessing(blessed(GOOD))
    with pytest.raises(PipelineError, match="neither registered nor published") as caught:
        blessing.require_blessing(blessed(BAD))
    assert "Received: loss is 3" in str(caught.value)
    with pytest.raises(PipelineError, match="no verdict"):
        blessing.require_blessing(ModelBlessing())
