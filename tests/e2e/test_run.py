"""One run of `digits`, and all that it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipeline.runs.run import STEPS
from pipeline.store import fileio

pytestmark = pytest.mark.xdist_group("digits")

REPEAT = """
import sys
from pipeline.cli import main
code = main(["run", "digits", "--json"])
heavy = [name for name in ("tensorflow", "keras", "tfx", "mlflow", "apache_beam") if name in sys.modules]
print(code, heavy, file=sys.stderr)
"""


def test_the_model_is_blessed_and_published(digits):
    result = digits.result
    assert 0 == digits.answer.code, digits.answer.err
    assert result["blessed"] is True
    assert result["metrics"]["accuracy"] >= 0.97
    assert 1 == result["model_version"]
    assert str(digits.workspace / "serving" / "digits" / "1") == result["model_path"]


def test_the_steps_are_listed_in_their_order(digits):
    steps = digits.result["steps"]
    assert list(STEPS) == [step["name"] for step in steps]
    assert all(step["seconds"] >= 0 for step in steps)
    assert not any(step["cached"] for step in steps if step["name"] != "resolve")


def test_the_terminal_shows_steps_and_learning_and_nothing_else(digits):
    lines = digits.answer.err.splitlines()
    assert any("train" in line and line.startswith("✓") for line in lines)
    assert any("epoch 1/" in line and "val_loss" in line for line in lines)
    chatter = [line for line in lines if "WARNING" in line or "I0000" in line or "Traceback" in line]
    assert [] == chatter


def test_a_version_is_complete(digits):
    version = digits.workspace / "serving" / "digits" / "1"
    inside = {str(path.relative_to(version)) for path in version.rglob("*")}
    assert {"saved_model.pb", "variables/variables.index", "assets.extra/tf_serving_warmup_requests"} <= inside
    assert [child.name for child in version.parent.iterdir()] == ["1"]


def test_the_signatures_are_those_of_the_design(digits):
    import tensorflow as tf

    signatures = tf.saved_model.load(digits.result["model_path"]).signatures
    expected = {"serving_default", "serving_examples", "transform_features", "transform_labels", "explain"}
    assert expected == set(signatures)
    default = signatures["serving_default"]
    assert {"image_bytes"} == set(default.structured_input_signature[1])
    assert {"label", "probabilities"} == set(default.structured_outputs)


def test_mlflow_tells_the_run(digits):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{digits.workspace / 'mlflow.db'}")
    run = client.get_run(digits.result["mlflow_run_id"])
    assert "FINISHED" == run.info.status
    assert "64" == run.data.params["batch_size"]
    assert digits.result["metrics"]["accuracy"] == pytest.approx(run.data.metrics["test/accuracy"])
    assert {"code_digest", "data_digest"} <= {tag.rpartition(".")[2] for tag in run.data.tags}
    epochs = client.get_metric_history(run.info.run_id, "val_loss")
    assert len(epochs) > 3
    assert any(name.startswith("system/") for name in run.data.metrics)
    assert "steps.json" in {item.path for item in client.list_artifacts(run.info.run_id)}


def artifacts(client, run_id, folder=None):
    for item in client.list_artifacts(run_id, folder):
        yield item.path
        if item.is_dir:
            yield from artifacts(client, run_id, item.path)


def test_mlflow_holds_pictures_schema_and_anomalies(digits):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{digits.workspace / 'mlflow.db'}")
    found = list(artifacts(client, digits.result["mlflow_run_id"]))
    names = {path.rpartition("/")[2] for path in found}
    assert {"schema.pbtxt", "anomalies.json", "report.json", "steps.json"} <= names
    assert len([name for name in names if name.endswith(".png")]) >= 3


def test_the_registered_version_is_the_published_model(digits):
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    uri = f"sqlite:///{digits.workspace / 'mlflow.db'}"
    version = MlflowClient(uri).get_model_version_by_alias("digits", "champion")
    assert "1" == version.tags["serving_version"]
    folder = Path(download_artifacts(MlflowClient(uri).get_model_version_download_uri("digits", version.version)))
    (model,) = (path.parent for path in folder.rglob("saved_model.pb"))
    assert fileio.digest_folder(Path(digits.result["model_path"])) == fileio.digest_folder(model)


def test_unchanged_it_is_answered_from_the_record_without_tensorflow(digits):
    answer = subprocess.run(
        [sys.executable, "-c", REPEAT],
        capture_output=True,
        text=True,
        env=digits.keraspipe.environment,
        cwd=digits.workspace.parent,
        check=True,
    )
    assert "0 []" == answer.stderr.splitlines()[-1]
    assert digits.result["run_id"] == json.loads(answer.stdout)["run_id"]
    assert digits.result["mlflow_run_id"] == json.loads(answer.stdout)["mlflow_run_id"]


def test_a_changed_hyperparameter_reruns_from_training_on_and_a_bad_model_is_not_published(digits):
    answer = digits.keraspipe("run", "digits", "--set", "epochs=1", "--set", "optimizer=sgd", "--json")
    assert 3 == answer.code, answer.err
    result = answer.json
    cached = [step["name"] for step in result["steps"] if step["cached"]]
    assert cached == ["ingest", "statistics", "infer_schema", "schema", "validate", "transform", "baseline"]
    assert result["blessed"] is False
    assert any("at least 0.97 is required" in reason for reason in result["reasons"])
    assert any("the live model has" in reason for reason in result["reasons"])
    assert [child.name for child in (digits.workspace / "serving" / "digits").iterdir()] == ["1"]


def test_a_refusal_is_remembered_with_its_exit_code(digits):
    answer = digits.keraspipe("run", "digits", "--set", "epochs=1", "--set", "optimizer=sgd")
    assert 3 == answer.code
    assert "Nothing changed" in answer.err
    assert "Not blessed, nothing was published:" in answer.out
