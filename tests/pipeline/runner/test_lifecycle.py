"""The life cycle of a run: who holds it, what its journal says of its start and end, and who waits for MLflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from pipeline.runner import lifecycle
from pipeline.runs.run import RunResult
from pipeline.store import fileio, journal
from pipeline.store.layout import Workspace
from pipeline.tracking import recorder
from pipeline.tracking.recorder import Outcome

URI = "sqlite:///nowhere"


@dataclass
class Recorded:
    """Stands where MLflow's process stands."""

    waits: list[float] = field(default_factory=list)
    process: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(terminate=lambda: None))

    def finish(self, timeout_s):
        self.waits.append(timeout_s)
        return Outcome("m", "", complete=True, error="")


@pytest.fixture
def recording(monkeypatch):
    found = Recorded()
    monkeypatch.setattr(recorder, "start_recording", lambda *_: found)
    return found


@pytest.fixture
def folder(tmp_path):
    return Workspace(tmp_path).run("digits-1")


def events(folder):
    return [event for event, _ in journal.iter_events(folder.journal)]


def test_a_run_is_held_from_its_start_to_its_end(folder, recording):
    with lifecycle.run_session(folder, URI, timeout_s=7.0) as session:
        assert fileio.is_locked(folder.lock)
        session.start("digits", "Digits", {"rate": 0.1}, {"host": "here"})
        journal.report("epoch", epoch=1)
        outcome = session.end_run(RunResult("digits-1", "digits", blessed=False, reasons=["a", "b"], seconds=2.5))
    assert not fileio.is_locked(folder.lock)
    assert ("m", [7.0]) == (outcome.mlflow_run_id, recording.waits)
    start, epoch, end = events(folder)
    assert ("start", "digits-1", {"rate": 0.1}) == (start["event"], start["run_id"], start["params"])
    assert "epoch" == epoch["event"]
    assert ("end", "not_blessed", "a; b", 2.5) == tuple(end[key] for key in ("event", "status", "message", "seconds"))


def test_an_error_ends_it_as_failed(folder, recording):
    failed = []
    with (
        pytest.raises(ValueError, match="torn"),
        lifecycle.run_session(folder, URI, timeout_s=7.0, on_failure=lambda: failed.append(events(folder)[-1])),
    ):
        raise ValueError("torn")
    (end,) = events(folder)
    assert ("end", "failed", "torn") == (end["event"], end["status"], end["message"])
    assert [end] == failed
    assert [7.0] == recording.waits


def test_an_error_behind_the_end_is_no_second_end(folder, recording):
    def end_and_fail():
        with lifecycle.run_session(folder, URI, timeout_s=7.0) as session:
            session.end("finished")
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        end_and_fail()
    assert ["finished"] == [event["status"] for event in events(folder)]


def test_an_interruption_leaves_no_end(folder, recording):
    def interrupt():
        with lifecycle.run_session(folder, URI, timeout_s=7.0) as session:
            session.start("digits", "Digits", {}, {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert ["start"] == [event["event"] for event in events(folder)]
    assert [] == recording.waits
    assert not fileio.is_locked(folder.lock)


def test_a_suspended_run_has_no_end_but_its_record_is_waited_for(folder, recording):
    with lifecycle.run_session(folder, URI, timeout_s=7.0) as session:
        session.suspend()
    assert [] == events(folder)
    assert [7.0] == recording.waits


def test_a_journal_that_cannot_be_written_hides_no_error(folder, recording, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "report", full)
    with pytest.raises(ValueError, match="torn"), lifecycle.run_session(folder, URI, timeout_s=7.0):
        raise ValueError("torn")
    assert [7.0] == recording.waits


def test_who_waits_for_a_run_gets_a_message(folder, recording):
    def refuse():
        raise TimeoutError("held")

    with (
        fileio.lock(folder.lock),
        pytest.raises(TimeoutError, match="held"),
        lifecycle.run_session(folder, URI, timeout_s=7.0, on_wait=refuse),
    ):
        pass
