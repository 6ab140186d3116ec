"""A search in MLflow: a child run per trial."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.tracking import recorder
from pipeline.tracking.__main__ import main

PARAMS = {"learning_rate": 0.01, "filters": [16, 32]}


@pytest.fixture
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def record(workspace, uri):
    return lambda: main([str(workspace), "run-1", "--uri", uri])


def began(run, number):
    run.write("trial", number=number, state="started", params=PARAMS)
    for epoch in (1, 2):
        run.write("trial_epoch", number=number, epoch=epoch, metrics={"loss": 1 / epoch, "val_loss": 2 / epoch})


def ended(run, number, state, value=None, best=None, reason=""):
    event = {"objective": "val_loss", "value": value, "best": best, "epochs": 2, "seconds": 3.5, "reason": reason}
    run.write("trial", number=number, state=state, params=PARAMS, **event)


def children(client, parent):
    found = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent}'")
    return {child.info.run_name: child for child in found}


@pytest.fixture(scope="module")
def search(tmp_path_factory, database, another):
    """A search of four trials, recorded twice: the address of its MLflow and the id of its run there."""
    folder = tmp_path_factory.mktemp("search")
    uri = f"sqlite:///{shutil.copy(database, folder)}"
    run = another(folder)
    run.start()
    for number, state in enumerate(("complete", "pruned", "failed", "interrupted")):
        began(run, number)
        value = 0.5 if state == "complete" else None
        ended(run, number, state, value, 0.5, "OutOfMemory: no room" if state == "failed" else "")
    run.write("tuned", number=0, objective="val_loss", value=0.5, params=PARAMS)
    run.write("end", status="finished", message="", seconds=1.0)
    assert 0 == main([str(folder), "run-1", "--uri", uri])
    run.folder.recorded.unlink()
    assert 0 == main([str(folder), "run-1", "--uri", uri])
    outcome = recorder.read_outcome(run.folder)
    assert "" == outcome.error
    return uri, outcome.mlflow_run_id


@pytest.fixture
def recorded(search):
    """What MLflow shows of the search: its run and the children."""
    uri, run_id = search
    client = MlflowClient(uri)
    return client.get_run(run_id), children(client, run_id)


def test_each_trial_is_a_child_with_its_state(recorded):
    _, found = recorded
    states = {name: (child.info.status, child.data.tags["keraspipe.state"]) for name, child in found.items()}
    assert {
        "trial 0": ("FINISHED", "complete"),
        "trial 1": ("FINISHED", "pruned"),
        "trial 2": ("FAILED", "failed"),
        "trial 3": ("KILLED", "interrupted"),
    } == states
    assert "OutOfMemory: no room" == found["trial 2"].data.tags["keraspipe.message"]


def test_a_child_has_its_hyperparameters_and_its_objective_by_epoch(recorded, search):
    _, found = recorded
    first = found["trial 0"]
    assert {"learning_rate": "0.01", "filters": "[16, 32]"} == first.data.params
    history = MlflowClient(search[0]).get_metric_history(first.info.run_id, "val_loss")
    assert [(1, 2.0), (2, 1.0)] == [(point.step, point.value) for point in history]
    assert 0.5 == first.data.metrics["best/val_loss"]
    assert "best/val_loss" not in found["trial 1"].data.metrics


def test_the_parent_has_the_best(recorded):
    parent, _ = recorded
    assert 0.5 == parent.data.metrics["best/val_loss"]
    assert ("0", "0.01") == (parent.data.tags["keraspipe.best_trial"], parent.data.tags["best.learning_rate"])


def test_a_trial_of_a_search_that_was_killed_is_not_left_running(run, record, client):
    run.start()
    began(run, 0)
    record()
    assert "KILLED" == children(client, recorder.read_outcome(run.folder).mlflow_run_id)["trial 0"].info.status


FRONT_VALUES = {0: {"accuracy": 0.9, "parameters": 1234567.0}, 1: {"accuracy": 0.8, "parameters": 10.0}}


def wrote_front(run, picked=None):
    """A search for two objectives with two trials, both on the front."""
    run.start()
    for number, values in FRONT_VALUES.items():
        began(run, number)
        event = {"objective": "accuracy,parameters", "value": None, "best": None, "values": values, "reason": ""}
        run.write("trial", number=number, state="complete", params=PARAMS, epochs=2, seconds=3.5, **event)
    objectives = [
        {"name": "accuracy", "direction": "max", "unit": "", "is_count": False, "axis": "accuracy"},
        {"name": "parameters", "direction": "min", "unit": "number", "is_count": True, "axis": "parameters"},
    ]
    trials = [{"number": number, "values": values, "params": PARAMS} for number, values in FRONT_VALUES.items()]
    run.folder.front_picture.write_bytes(b"a picture")
    picture = run.folder.workspace.relative(run.folder.front_picture)
    marks = {"front": [0, 1], "balanced": 1, "picked": picked, "own": 0}
    run.write("front", objectives=objectives, trials=trials, picture=picture, **marks)
    run.write("end", status="finished", message="", seconds=1.0)


def test_a_front_is_a_picture_a_table_tags_and_a_description(run, record, client, tmp_path):
    wrote_front(run, picked=1)
    assert 0 == record()
    parent = client.get_run(recorder.read_outcome(run.folder).mlflow_run_id)
    run_id, tags = parent.info.run_id, parent.data.tags
    assert ("0, 1", "1", "1") == tuple(
        tags[f"keraspipe.{name}"] for name in ("front", "balanced_trial", "picked_trial")
    )
    picture, table = (
        Path(client.download_artifacts(run_id, path, tmp_path)) for path in ("pictures/pareto.png", "pareto.json")
    )
    assert b"a picture" == picture.read_bytes()
    table = json.loads(table.read_text())
    assert ["trial", "accuracy", "parameters", "learning_rate", "filters"] == table["columns"]
    assert [0, 0.9, 1234567.0, "0.01", "[16, 32]"] == table["data"][0]
    words = tags["mlflow.note.content"].replace("&nbsp; ", "")
    assert "2 of 2 trials; balanced: trial 1, picked: trial 1." in words
    assert "| 0 | 0.9000 | 1,234,567 |" in words
    assert "| 1 balanced picked | 0.8000 | 10 |" in words
    assert "pictures%2Fpareto.png" in words


def test_a_trial_of_a_front_has_its_values_and_no_best(run, record, client):
    wrote_front(run)
    assert 0 == record()
    parent = recorder.read_outcome(run.folder).mlflow_run_id
    child = children(client, parent)["trial 0"]
    assert FRONT_VALUES[0] == {
        name.removeprefix("objective/"): value
        for name, value in child.data.metrics.items()
        if name.startswith("objective/")
    }
    assert not [name for name in (*child.data.metrics, *client.get_run(parent).data.metrics) if "best/" in name]
    assert "keraspipe.picked_trial" not in client.get_run(parent).data.tags
