"""The recorder as a process: beside the run, killed, orphaned, twice."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline import subprocesses
from pipeline.store.layout import Workspace
from pipeline.store.recording import RecordingState
from pipeline.tracking import process, recorder

pytestmark = pytest.mark.process

NO_TABLES = "sqlite:///{}/fresh.db"


@pytest.fixture
def log(workspace):
    return workspace / "recorder.log"


def runs(uri: str, name: str = "digits"):
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    whole = "tags.`keraspipe.run_id` LIKE '%'"  # not the steps, which are child runs
    return client.search_runs([experiment.experiment_id], whole) if experiment else []


def test_curves_arrive_while_the_run_goes_on(run, uri, log, wait):
    recording = recorder.start_recording(run.folder.workspace, "run-1", uri, log)
    run.start()
    run.epochs(1, 2)
    wait(lambda: runs(uri) and "loss" in runs(uri)[0].data.metrics)
    assert runs(uri)[0].info.status == "RUNNING"
    assert not recorder.read_outcome(run.folder).complete
    wait(lambda: "system/cpu_utilization_percentage" in runs(uri)[0].data.metrics)
    run.epochs(3, 3)
    run.write("end", status="finished", message="", seconds=2.0)
    outcome = recording.finish(30)
    assert (outcome.complete, outcome.error) == (True, ""), log.read_text()
    (found,) = runs(uri)
    assert (outcome.mlflow_run_id, "FINISHED") == (found.info.run_id, found.info.status)
    assert len(MlflowClient(uri).get_metric_history(found.info.run_id, "loss")) == 3
    assert recorder.pending_runs(run.folder.workspace) == []


def test_killed_half_way_and_replayed(run, model, uri, log, wait):
    recording = recorder.start_recording(run.folder.workspace, "run-1", uri, log)
    run.start()
    run.epochs(1, 60)
    run.register(model)
    run.write("publish", version=4, digest="d1", alias="champion")
    run.write("end", status="finished", message="", seconds=2.0)
    wait(lambda: RecordingState.load(run.folder).offset > 1000)
    recording.process.kill()
    outcome = recording.finish(10)
    assert not outcome.complete
    assert "ended with -9" in outcome.error
    assert recorder.pending_runs(run.folder.workspace) == ["run-1"]
    outcomes = recorder.replay_pending(run.folder.workspace, uri, log)
    assert outcomes["run-1"].complete, log.read_text()
    (found,) = runs(uri)
    history = MlflowClient(uri).get_metric_history(found.info.run_id, "loss")
    assert list(range(1, 61)) == [one.step for one in history]
    assert len(MlflowClient(uri).search_model_versions("name = 'digits'")) == 1


PARENT = """
import signal, sys, time
from pathlib import Path
from pipeline.tracking import recorder
from pipeline.store.layout import Workspace
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores Ctrl-C
workspace = Path(sys.argv[1])
recording = recorder.start_recording(Workspace(workspace), "run-1", sys.argv[2], workspace / "recorder.log")
print(recording.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_outlives_the_run_and_records_what_is_there(run, uri, wait, number):
    command = [sys.executable, "-c", PARENT, str(run.folder.workspace), uri]
    parent = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=subprocesses.mlflow_environment(),
    )
    with parent:
        recorder_pid = int(parent.stdout.readline())
        run.start()
        run.epochs(1, 3)
        # To the whole group, as the terminal does.
        os.killpg(parent.pid, number)
        parent.wait()
    wait(lambda: not alive(recorder_pid))
    (found,) = runs(uri)
    assert found.info.status == "KILLED"
    assert len(MlflowClient(uri).get_metric_history(found.info.run_id, "loss")) == 3
    assert recorder.pending_runs(run.folder.workspace) == []


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_two_runs_at_once_on_a_database_without_tables(tmp_path, another, log):
    uri = NO_TABLES.format(tmp_path)
    names = ("left", "right")
    recordings = [recorder.start_recording(Workspace(tmp_path), name, uri, tmp_path / f"{name}.log") for name in names]
    for name in names:
        another(tmp_path, name).whole()
    for recording in recordings:
        outcome = recording.finish(60)
        assert (outcome.complete, outcome.error) == (True, ""), recording.log.read_text()
    assert sorted(names) == sorted(found.info.run_name for found in runs(uri))


def test_two_recorders_of_one_run_exclude_each_other(run, uri, log):
    live = recorder.start_recording(run.folder.workspace, "run-1", uri, log)
    replay = process.start("pipeline.tracking", run.folder.workspace, uri, log, ["run-1"])
    run.whole()
    second = recorder.start_recording(run.folder.workspace, "run-1", uri, log)
    second.process.send_signal(signal.SIGTERM)
    assert live.finish(30).complete, log.read_text()
    assert replay.wait(30) == 0
    second.finish(30)
    (found,) = runs(uri)
    assert len(MlflowClient(uri).get_metric_history(found.info.run_id, "loss")) == 3


def test_a_recorder_that_takes_long_is_not_waited_for(run, uri, log):
    recording = recorder.start_recording(run.folder.workspace, "run-1", uri, log)
    try:
        assert "still being recorded" in recording.finish(0.1).error
    finally:
        recording.process.send_signal(signal.SIGTERM)
        recording.finish(30)


def test_the_pipelines_side_imports_nothing_heavy():
    code = (
        "import sys\n"
        "import pipeline.tracking.recorder, pipeline.tracking.recorder\n"
        "import pipeline.tracking.alias_sync, pipeline.dashboard.server\n"
        "print(sorted({'mlflow', 'matplotlib', 'numpy', 'pandas', 'requests'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=subprocesses.mlflow_environment())
    assert done.stdout.strip() == "[]"


def test_outcome_of_a_run_that_nobody_recorded(tmp_path):
    assert recorder.Outcome("", "", False, "") == recorder.read_outcome(Workspace(tmp_path).run("nobody"))


@pytest.mark.parametrize(
    ("complete", "error", "words"),
    [
        (True, "", ""),
        (True, "card: OSError: no space\nend: OSError: no space", "card: OSError: no space; end: OSError: no space\n"),
        (False, "refused", "URI: refused\n"),
        (False, "", "URI: the recorder has ended too early\n"),
    ],
)
def test_what_is_missing_is_described(complete, error, words):
    described = recorder.Outcome("m", "", complete, error).describe("URI")
    assert described.startswith(words)
    assert bool(described) == bool(words)
