"""What a journal becomes in MLflow, without a process of its own: the code is the same."""

import hashlib
import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.store.layout import Workspace
from pipeline.store.recording import RecordingState
from pipeline.tracking import recorder
from pipeline.tracking.__main__ import main
from pipeline.tracking.client import metric_name


@pytest.fixture
def record(workspace, uri):
    return lambda *run_ids: main([str(workspace), *(run_ids or ["run-1"]), "--uri", uri])


@pytest.fixture
def client(uri):
    return MlflowClient(uri)


WHOLE = "tags.`keraspipe.run_id` LIKE '%'"  # not the steps, which are child runs


def only_run(client, name: str = "digits"):
    (found,) = client.search_runs([client.get_experiment_by_name(name).experiment_id], WHOLE)
    return found


def artifacts(client, run_id: str, path: str | None = None) -> list[str]:
    found = client.list_artifacts(run_id, path)
    return sorted(name for one in found for name in (artifacts(client, run_id, one.path) if one.is_dir else [one.path]))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.heavy
def test_the_whole_run(run, model, record, client):
    run.whole(model)
    assert record() == 0
    found = only_run(client)
    data = found.data
    assert (found.info.run_name, found.info.status) == ("run-1", "FINISHED")
    assert data.params == {"learning_rate": "0.001", "layers": "[16, 32]"}
    expected = {
        "code_digest": "c0de",
        "gate": "blessed",
        "diagnosis": "underfitting",
        "keraspipe.run_id": "run-1",
    }
    assert expected.items() <= data.tags.items()
    assert data.tags["mlflow.note.content"].startswith(
        "**Blessed: version 4, published as champion** — A small network."
    )
    once = {name: value for name, value in data.metrics.items() if "/" in name and not name.startswith("step/")}
    assert {"test/accuracy": 0.9, "test/loss": 0.3} == once
    loss = client.get_metric_history(found.info.run_id, "loss")
    assert [(1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3))] == [(one.step, one.value) for one in loss]
    assert artifacts(client, found.info.run_id) == [
        "card/card.html",
        "card/card.md",
        "data/schema.json",
        "environment/environment.json",
        "environment/requirements.txt",
        "evaluation/evaluation.json",
        "gate.md",
        "models.json",
        "pictures/confusion_matrix.png",
        "pictures/learning_curves.png",
        "pictures/samples.png",
        "slices.json",
        "steps.json",
    ]
    outcome = recorder.read_outcome(run.folder)
    assert (found.info.run_id, "1", True, "") == (
        outcome.mlflow_run_id,
        outcome.model_version,
        outcome.complete,
        outcome.error,
    )


def test_tables_and_verdict_can_be_read(run, record, client, tmp_path):
    run.whole()
    record()
    run_id = only_run(client).info.run_id
    steps = json.loads(Path(client.download_artifacts(run_id, "steps.json", str(tmp_path))).read_text())
    assert steps["data"] == [[0, "ingest", "done", 1.5], [1, "transform", "done", 1.5]]
    gate = Path(client.download_artifacts(run_id, "gate.md", str(tmp_path))).read_text()
    assert "# Blessed" in gate
    assert "| accuracy | 0.9000 | - | 0.8000 |" in gate


def test_the_models_are_compared_in_a_table(run, record, client, tmp_path):
    run.whole()
    record()
    path = client.download_artifacts(only_run(client).info.run_id, "models.json", str(tmp_path))
    assert json.loads(Path(path).read_text()) == {
        "columns": ["on the test split", "accuracy", "loss"],
        "data": [["this network", 0.9, 0.3], ["the champion before", 0.8, 0.4]],
    }


def test_a_number_that_is_not_defined_is_absent(run, result, record, client, tmp_path):
    run.start()
    result["metrics"]["auc"] = float("nan")
    result["slices"] = [{"slice": "sex=f", "examples": 3, "metrics": {"auc": float("nan"), "accuracy": 1.0}}]
    run.write("epoch", epoch=1, metrics={"loss": float("inf"), "val_loss": 0.5}, seconds=1.0)
    run.write("evaluation", path=run.file("evaluation.json", result))
    record()
    found = only_run(client)
    assert {"test/accuracy", "test/loss", "val_loss", "epoch_seconds"} == set(found.data.metrics)
    assert "auc **-**" in found.data.tags["mlflow.note.content"]
    slices = client.download_artifacts(found.info.run_id, "slices.json", str(tmp_path))
    assert [["sex=f", 3, 1.0, None, None, None]] == json.loads(Path(slices).read_text())["data"]


@pytest.mark.heavy
def test_the_registered_model_is_the_published_one(run, model, record, client):
    run.whole(model)
    record()
    version = client.get_model_version_by_alias("digits", "champion")
    assert version.tags["serving_version"] == "4"
    assert version.tags["keraspipe.digest"] == "d1"
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    (kept,) = Path(logged.artifact_location.removeprefix("file://")).rglob("saved_model.pb")
    assert digests(model) == digests(kept.parent)
    assert not list(Path(logged.artifact_location.removeprefix("file://")).rglob("*.pkl"))


@pytest.mark.heavy
def test_recording_again_changes_nothing(run, model, record, client):
    run.whole(model)
    record()
    before = only_run(client)
    run.folder.recorded.unlink()
    assert record() == 0
    after = only_run(client)
    assert before.data.to_dictionary() == after.data.to_dictionary()
    assert len(client.get_metric_history(after.info.run_id, "loss")) == 3
    assert len(client.search_model_versions("name = 'digits'")) == 1
    assert len(client.search_logged_models([after.info.experiment_id])) == 1
    assert recorder.read_outcome(run.folder).model_version == "1"


def test_a_model_half_logged_by_a_killed_recorder_is_replaced(run, model, record, client):
    run.start()
    record()
    found = only_run(client).info
    tags = {"keraspipe.digest": "d1"}
    half = client.create_logged_model(found.experiment_id, "digits", found.run_id, tags)
    run.register(model)
    record()
    (version,) = client.search_model_versions("name = 'digits'")
    (whole,) = client.search_logged_models([found.experiment_id])
    assert f"models:/{whole.model_id}" == version.source
    assert whole.model_id != half.model_id


@pytest.mark.heavy
def test_every_prefix_can_be_recorded_first(run, record, client):
    run.whole()
    lines = run.folder.journal.read_bytes().splitlines(keepends=True)
    for count in range(0, len(lines) + 1, 3):
        run.folder.journal.write_bytes(b"".join(lines[:count]))
        assert record() == 0
    run.folder.journal.write_bytes(b"".join(lines))
    assert record() == 0
    assert only_run(client).info.status == "FINISHED"
    assert len(client.get_metric_history(only_run(client).info.run_id, "val_loss")) == 3
    assert recorder.read_outcome(run.folder).complete


def test_bad_events_do_not_take_the_others_with_them(run, record, client, capsys):
    run.start()
    with run.folder.journal.open("a") as file:
        file.write('garbage\n{"event": "epoch"}\n{"event": 3}\n{"time": 1}\n{"event": "unheard of"}\n')
    run.write("file", path="runs/run-1/gone.json", folder="data")
    run.write("history", path="runs/run-1/gone.json")
    run.write("publish", version=1, digest="unknown", alias="champion")
    run.epochs(1, 1)
    run.write("end", status="finished", message="", seconds=1.0)
    assert record() == 0
    assert only_run(client).info.status == "FINISHED"
    assert only_run(client).data.metrics["loss"] == 2.0
    outcome = recorder.read_outcome(run.folder)
    assert outcome.complete
    for part in ("unreadable", "gone.json is gone", "epoch: KeyError", "no version of digits"):
        assert part in outcome.error
    assert "gone.json is gone" in capsys.readouterr().err


def test_a_broken_part_of_an_evaluation_leaves_the_rest(run, result, record, client):
    run.start()
    result["samples"][0]["image_bytes"] = "bm8gaW1hZ2U="
    run.write("evaluation", path=run.file("evaluation.json", result))
    record()
    found = only_run(client)
    assert found.data.metrics["test/accuracy"] == 0.9
    assert "evaluation/evaluation.json" in artifacts(client, found.info.run_id)
    assert "samples: ValueError: 0 pixels by its header" in recorder.read_outcome(run.folder).error


def test_an_evaluation_without_labels_or_baseline(run, record, client):
    run.start()
    gate = {"blessed": False, "reasons": ["distance 9 > 5"]}
    result = {"metrics": {"distance": 9.0}, "baseline": None, "slices": [], "confusion": [], "samples": []}
    run.write("evaluation", path=run.file("evaluation.json", result | {"classes": [], "gate": gate}))
    run.write("end", status="not_blessed", message="distance 9 > 5", seconds=3.0)
    record()
    found = only_run(client)
    assert recorder.read_outcome(run.folder).error == ""
    assert (found.info.status, found.data.tags["gate"]) == ("FINISHED", "not blessed")
    assert found.data.tags["keraspipe.status"] == "not_blessed"


def test_a_run_whose_process_is_gone_does_not_look_alive_and_can_go_on(run, record, client):
    run.start()
    run.epochs(1, 2)
    record()
    assert only_run(client).info.status == "KILLED"
    assert not recorder.read_outcome(run.folder).complete
    run.start()
    run.epochs(2, 4)
    run.write("end", status="failed", message="no", seconds=1.0)
    record()
    found = only_run(client)
    assert found.info.status == "FAILED"
    history = client.get_metric_history(found.info.run_id, "loss")
    assert {1, 2, 3, 4} == {one.step for one in history}


def test_a_publication_recorded_late_does_not_take_the_alias_back(workspace, model, record, client, another):
    old, new = another(workspace, "old"), another(workspace, "new")
    for run, digest, version in ((old, "d1", 1), (new, "d2", 2)):
        run.time += 1000 * version
        run.start()
        run.register(model, digest)
        run.write("publish", version=version, digest=digest, alias="champion")
    record("new")
    record("old")
    assert client.get_model_version_by_alias("digits", "champion").tags["serving_version"] == "2"


def test_a_version_of_an_earlier_run_can_be_published(workspace, model, record, client, another):
    first, second = another(workspace, "first"), another(workspace, "second")
    first.start()
    first.register(model)
    second.start()
    second.write("publish", version=9, digest="d1", alias="champion")
    record("first", "second")
    assert client.get_model_version_by_alias("digits", "champion").tags["serving_version"] == "9"
    assert recorder.read_outcome(second.folder).error == ""


def test_another_mlflow_gets_the_whole_run(run, record, database, tmp_path, client):
    run.start()
    run.epochs(1, 1)
    record()
    run.epochs(2, 2)
    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.write_bytes(database.read_bytes())
    assert main([str(run.folder.workspace), "run-1", "--uri", f"sqlite:///{elsewhere}"]) == 0
    found = only_run(MlflowClient(f"sqlite:///{elsewhere}"))
    assert len(MlflowClient(f"sqlite:///{elsewhere}").get_metric_history(found.info.run_id, "loss")) == 2
    assert len(client.get_metric_history(only_run(client).info.run_id, "loss")) == 1


def test_a_deleted_experiment_comes_back(run, record, client, workspace, another):
    run.start()
    record()
    client.delete_experiment(only_run(client).info.experiment_id)
    another(workspace, "run-2").start()
    assert record("run-2") == 0
    assert client.get_experiment_by_name("digits").lifecycle_stage == "active"


def test_pending_names_what_is_behind_oldest_first(workspace, record, another):
    assert recorder.pending_runs(Workspace(workspace)) == []
    runs = [another(workspace, name) for name in ("b", "a", "c")]
    for delay, run in zip((10, 20, 30), runs, strict=True):
        run.time += delay
        run.start()
    assert recorder.pending_runs(Workspace(workspace)) == ["b", "a", "c"]
    record("a")
    assert recorder.pending_runs(Workspace(workspace)) == ["b", "c"]
    assert RecordingState.load(runs[1].folder).offset == runs[1].folder.journal.stat().st_size


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("label=3", "label:3"),
        ("a&b", "a_b"),
        ("price > 3 €", "price _ 3 _"),
        ("//x//y/", "x/y"),
        ("", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_names_that_mlflow_takes(name, expected):
    assert expected == metric_name(name)
