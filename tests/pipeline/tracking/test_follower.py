"""When a run is over, and what happens at its end; without processes."""

import os
import signal

import pytest
from mlflow.tracking import MlflowClient

from pipeline.store.layout import Workspace
from pipeline.store.recording import RecordingState
from pipeline.tracking.client import TrackingStore, Unreachable
from pipeline.tracking.follower import JournalReplayer, RunEnd, follow


@pytest.fixture
def ending(run):
    return lambda since=0, parent=0: RunEnd(run.folder.journal, since, parent)


def test_over_when_the_journal_says_so(run, ending):
    over = ending()
    assert not over.has_ended()
    run.start()
    assert not over.has_ended()
    run.write("end", status="finished", message="", seconds=1.0)
    assert over.has_ended()


def test_an_older_end_does_not_end_a_run_that_goes_on(run, ending):
    run.start()
    run.write("end", status="failed", message="", seconds=1.0)
    over = ending(since=run.folder.journal.stat().st_size)
    assert not over.has_ended()
    run.start()
    assert not over.has_ended()
    run.write("end", status="finished", message="", seconds=1.0)
    assert over.has_ended()


def test_over_when_the_parent_is_gone(ending):
    assert not ending(parent=os.getppid()).has_ended()
    assert ending(parent=os.getpid()).has_ended()


def test_over_when_asked_to_stop(ending):
    over = ending()
    before = signal.getsignal(signal.SIGTERM)
    try:
        over.listen()
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert over.has_ended()


def test_a_run_killed_and_taken_up_again_is_one_run(run, uri, workspace, ending):
    run.start()
    run.epochs(1, 1)
    run.write("end", status="failed", message="", seconds=1.0)
    since = run.folder.journal.stat().st_size
    run.start()
    run.epochs(2, 2)
    run.write("end", status="finished", message="", seconds=1.0)
    drain = JournalReplayer(TrackingStore(uri, Workspace(workspace)), run.folder)
    follow(drain, ending(since))
    client = MlflowClient(uri)
    (found,) = client.search_runs([drain.state.experiment_id])
    assert (found.info.status, len(client.get_metric_history(found.info.run_id, "loss"))) == ("FINISHED", 2)


def test_a_server_that_is_away_at_the_end_is_reported(run, ending, tmp_path):
    run.start()
    run.write("end", status="finished", message="", seconds=1.0)
    destination = TrackingStore("http://127.0.0.1:9", Workspace(tmp_path))
    with pytest.raises(Unreachable):
        follow(JournalReplayer(destination, run.folder), ending())
    state = RecordingState.load(run.folder)
    assert state.offset == 0
    assert "refused" in state.unreachable


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_a_run_that_somebody_deletes_meanwhile_is_recorded_again(run, uri, workspace, what):
    run.start()
    run.epochs(1, 1)
    replayer = JournalReplayer(TrackingStore(uri, Workspace(workspace)), run.folder)
    replayer.all()
    first, client = replayer.state.mlflow_run_id, MlflowClient(uri)
    client.delete_run(first) if what == "run" else client.delete_experiment(replayer.state.experiment_id)
    run.epochs(2, 2)
    run.write("end", status="finished", message="", seconds=1.0)
    replayer.all()
    second = replayer.state.mlflow_run_id
    assert 2 == len(client.get_metric_history(second, "loss"))
    assert ("active", "") == (client.get_run(second).info.lifecycle_stage, replayer.state.error)
