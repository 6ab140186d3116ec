"""A model that has hardly learnt is not blessed, and the page says why, in words and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("digits")


@pytest.fixture(scope="module")
def refused(digits):
    """The command line, and what a run of one epoch gave."""
    answer = digits.keraspipe("run", "digits", "--set", "epochs=1", "--set", "optimizer=sgd", "--json")
    return digits.keraspipe, answer


def test_what_has_hardly_learnt_is_not_blessed(refused):
    _, answer = refused
    assert 3 == answer.code, answer.err
    result = answer.json
    assert (False, None) == (result["blessed"], result["model_version"])
    accuracy = result["metrics"]["accuracy"]
    assert accuracy < 0.9
    assert ["register", "publish"] == [step["name"] for step in result["steps"] if step.get("skipped")]
    missed = [condition for condition in result["gate"] if not condition["passed"]]
    assert len(missed) == len(result["reasons"])
    assert f"accuracy on the test split is {accuracy:.4f}, at least 0.97 is required" == result["reasons"][0]
    assert ("at_least", "accuracy", pytest.approx(accuracy), pytest.approx(accuracy - 0.97)) == tuple(
        missed[0][name] for name in ("kind", "name", "reached", "margin")
    )


def test_ml_metadata_has_the_verdict_as_a_blessing(refused):
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    command, answer = refused
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(command.workspace / "metadata.db")
    store = MetadataStore(config)
    blessing = max(store.get_artifacts_by_type("ModelBlessing"), key=lambda artifact: artifact.id)
    properties = blessing.custom_properties
    assert 0 == properties["blessed"].int_value
    assert answer.json["reasons"] == json.loads(properties["reasons"].string_value)
    assert [condition["words"] for condition in answer.json["gate"]] == json.loads(
        properties["conditions"].string_value
    )
    (model,) = store.get_artifacts_by_id([properties["current_model_id"].int_value])
    assert ("Model", model.uri) == (model.type, properties["current_model"].string_value)
    assert ["NOT_BLESSED"] == [path.name for path in Path(blessing.uri).iterdir()]


def test_the_page_says_why(refused):
    command, answer = refused
    result = answer.json
    page = (command.workspace / "runs" / result["run_id"] / "gate.md").read_text()
    assert page.startswith(f"# Not blessed: digits ({result['run_id']})\n\n- {result['reasons'][0]}\n")
    assert f"| **missed** | accuracy | at least 0.97 | {result['metrics']['accuracy']:.4f} |" in page
    assert "| met | same answers | at most 1e-05 |" in page
    shown = command("runs", result["run_id"]).out
    assert page.strip() in shown
    assert "not_blessed" in shown.splitlines()[0]


def test_mlflow_has_the_page_and_the_pictures(refused):
    from mlflow import MlflowClient

    command, answer = refused
    client = MlflowClient(f"sqlite:///{command.workspace / 'mlflow.db'}")
    run = client.get_run(answer.json["mlflow_run_id"])
    assert "not blessed" == run.data.tags["gate"]
    assert "test/accuracy" in run.data.metrics
    assert "calibration error" in Path(client.download_artifacts(run.info.run_id, "gate.md")).read_text()
    pictures = {item.path for item in client.list_artifacts(run.info.run_id, "pictures")}
    names = ("calibration", "confusion_matrix", "mistakes", "precision_recall", "roc", "samples")
    assert {f"pictures/{name}.png" for name in names} <= pictures
    assert {"gate.md", "cost.json"} <= {item.path for item in client.list_artifacts(run.info.run_id)}
