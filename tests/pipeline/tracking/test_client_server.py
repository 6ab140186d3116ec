"""A real tracking server that is there, goes away and comes back."""

import os
import socket
import time

import pytest
from mlflow.tracking import MlflowClient

from pipeline.errors import PipelineError
from pipeline.store.layout import Workspace
from pipeline.store.recording import RecordingState
from pipeline.tracking import alias_sync, recorder
from pipeline.tracking.client import TrackingStore, Unreachable

pytestmark = pytest.mark.process


@pytest.fixture
def log(tmp_path):
    return tmp_path / "recorder.log"


@pytest.fixture
def offline(another, tmp_path):
    """A run in a workspace without a database, as where a server keeps the records."""
    return another(tmp_path / "workspace", "offline")


@pytest.fixture
def offline_model(offline):
    folder = offline.folder.workspace.root / "artifacts" / "model"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(bytes(range(256)))
    return folder


def test_a_server_that_is_away_gets_the_run_when_it_is_back(server, offline, offline_model, log):
    server.down()
    workspace = offline.folder.workspace.root
    recording = recorder.start_recording(Workspace(workspace), "offline", server.uri, log)
    offline.whole(offline_model)
    outcome = recording.finish(30)
    assert recording.process.returncode == 4
    assert (outcome.complete, outcome.mlflow_run_id) == (False, "")
    assert "ConnectionRefused" in outcome.error
    assert "ConnectionRefused" in log.read_text()
    assert not (workspace / "mlflow.db").exists()
    assert recorder.pending_runs(Workspace(workspace)) == ["offline"]
    server.up()
    outcome = recorder.replay_pending(Workspace(workspace), server.uri, log)["offline"]
    assert (outcome.complete, outcome.error, outcome.model_version) == (True, "", "1"), log.read_text()
    client = MlflowClient(server.uri)
    found = client.get_run(outcome.mlflow_run_id)
    assert found.data.metrics["test/accuracy"] == 0.9
    assert found.data.metrics["step/gradient_norm"] == 0.5
    assert found.data.tags["uv_lock"] == "10c4"
    steps = client.search_runs([found.info.experiment_id], f"tags.`mlflow.parentRunId` = '{found.info.run_id}'")
    assert {step.info.run_name: step.data.tags["keraspipe.seconds"] for step in steps} == {
        "ingest": "1.5",
        "transform": "1.5",
    }
    assert "version 4" in client.get_model_version("digits", "1").description
    assert "gate.md" in [one.path for one in client.list_artifacts(outcome.mlflow_run_id)]
    # On the server and not in the workspace.
    assert list((server.folder / "artifacts").rglob("saved_model.pb"))
    assert not (workspace / "mlartifacts").exists()
    assert alias_sync.read_aliases(TrackingStore(server.uri), "digits") == {"champion": 4}
    assert alias_sync.read_aliases(TrackingStore(server.uri), "unheard of") == {}


def test_an_outage_during_the_run_is_outlived(server, offline, log, wait):
    recording = recorder.start_recording(offline.folder.workspace, "offline", server.uri, log)
    offline.start("outage")
    offline.epochs(1, 2)
    wait(lambda: RecordingState.load(offline.folder).offset == offline.folder.journal.stat().st_size)
    server.down()
    offline.epochs(3, 4)
    wait(lambda: RecordingState.load(offline.folder).unreachable)
    server.up()
    wait(lambda: RecordingState.load(offline.folder).offset == offline.folder.journal.stat().st_size)
    offline.write("end", status="finished", message="", seconds=2.0)
    outcome = recording.finish(30)
    assert (outcome.complete, outcome.error) == (True, "")
    history = MlflowClient(server.uri).get_metric_history(outcome.mlflow_run_id, "loss")
    assert [one.step for one in history] == [1, 2, 3, 4]


def test_no_champion_yet(server):
    assert alias_sync.read_aliases(TrackingStore(server.uri), "nothing") == {}
    MlflowClient(server.uri).create_registered_model("bare")
    assert alias_sync.read_aliases(TrackingStore(server.uri), "bare") == {}


def test_asking_a_server_that_is_away_fails_soon_and_is_ours():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="refused") as caught:
        alias_sync.read_aliases(TrackingStore(f"http://127.0.0.1:{port}"), "digits")
    assert time.monotonic() - begin < 5
    assert isinstance(caught.value, PipelineError)


def test_asking_a_server_that_is_silent_fails_soon(monkeypatch):
    # What conftest sets for recorders counts as the user's own wish here.
    for name in alias_sync.SHORT_TIMEOUTS:
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begin = time.monotonic()
        with pytest.raises(Unreachable):
            alias_sync.read_aliases(TrackingStore(f"http://127.0.0.1:{listener.getsockname()[1]}"), "digits")
    assert time.monotonic() - begin < 8


def test_asking_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    before = dict(os.environ)
    with pytest.raises(Unreachable):
        alias_sync.read_aliases(TrackingStore("http://127.0.0.1:9"), "digits")
    assert before == dict(os.environ)
