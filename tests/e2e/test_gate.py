"""A model that is deliberately spoiled is not blessed, and the page says why, in words and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("spoiled")

ROOT = Path(__file__).resolve().parents[2]
SPOILED = '''
@dataclass(frozen=True)
class Shuffled(Digits):
    """Every scan under the label of another one."""

    def examples(self, data):
        import random
        from dataclasses import replace

        rows = list(super().examples(data))
        labels = [row.features["label"] for row in rows]
        random.Random(1).shuffle(labels)
        for row, label in zip(rows, labels, strict=True):
            yield replace(row, features={**row.features, "label": label})


DATA = Shuffled()
'''


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory, keraspipe_in):
    """The command line that knows digits with shuffled labels, and what running them gave."""
    folder = tmp_path_factory.mktemp("spoiled")
    text = (ROOT / "models" / "digits.py").read_text()
    assert "\nDATA = Digits()\n" in text
    (folder / "recipes").mkdir()
    (folder / "recipes" / "spoiled.py").write_text(text.replace("\nDATA = Digits()\n", SPOILED))
    command = keraspipe_in(folder, KERASPIPE_RECIPES=str(folder / "recipes"))
    return command, command("run", "spoiled", "--quick", "--json")


def test_shuffled_labels_are_not_blessed(spoiled):
    _, answer = spoiled
    assert 3 == answer.code, answer.err
    result = answer.json
    assert (False, None) == (result["blessed"], result["model_version"])
    accuracy = result["metrics"]["accuracy"]
    assert accuracy < 0.3
    assert ["register", "publish"] == [step["name"] for step in result["steps"] if step.get("skipped")]
    missed = [condition for condition in result["gate"] if not condition["passed"]]
    assert [f"accuracy on the test split is {accuracy:.4f}, at least 0.6 is required"] == result["reasons"]
    assert [("at_least", "accuracy", pytest.approx(accuracy), pytest.approx(accuracy - 0.6))] == [
        (condition["kind"], condition["name"], condition["reached"], condition["margin"]) for condition in missed
    ]


def test_ml_metadata_has_the_verdict_as_the_only_blessing(spoiled):
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    command, answer = spoiled
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(command.workspace / "metadata.db")
    store = MetadataStore(config)
    (blessing,) = store.get_artifacts_by_type("ModelBlessing")
    properties = blessing.custom_properties
    assert 0 == properties["blessed"].int_value
    assert answer.json["reasons"] == json.loads(properties["reasons"].string_value)
    assert [condition["words"] for condition in answer.json["gate"]] == json.loads(
        properties["conditions"].string_value
    )
    (model,) = store.get_artifacts_by_id([properties["current_model_id"].int_value])
    assert ("Model", model.uri) == (model.type, properties["current_model"].string_value)
    assert ["NOT_BLESSED"] == [path.name for path in Path(blessing.uri).iterdir()]


def test_the_page_says_why(spoiled):
    command, answer = spoiled
    result = answer.json
    page = (command.workspace / "runs" / result["run_id"] / "gate.md").read_text()
    assert page.startswith(f"# Not blessed: spoiled ({result['run_id']})\n\n- {result['reasons'][0]}\n")
    assert f"| **missed** | accuracy | at least 0.6 | {result['metrics']['accuracy']:.4f} |" in page
    assert "| met | same answers | at most 1e-05 |" in page
    shown = command("runs", result["run_id"]).out
    assert page.strip() in shown
    assert "not_blessed" in shown.splitlines()[0]


def test_mlflow_has_the_page_and_the_pictures(spoiled):
    from mlflow import MlflowClient

    command, answer = spoiled
    client = MlflowClient(f"sqlite:///{command.workspace / 'mlflow.db'}")
    run = client.get_run(answer.json["mlflow_run_id"])
    assert "not blessed" == run.data.tags["gate"]
    assert "test/accuracy" in run.data.metrics
    assert "calibration error" in Path(client.download_artifacts(run.info.run_id, "gate.md")).read_text()
    pictures = {item.path for item in client.list_artifacts(run.info.run_id, "pictures")}
    names = ("calibration", "confusion_matrix", "mistakes", "precision_recall", "roc", "samples")
    assert {f"pictures/{name}.png" for name in names} <= pictures
    assert {"gate.md", "cost.json"} <= {item.path for item in client.list_artifacts(run.info.run_id)}
