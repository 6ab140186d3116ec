"""Publishing is the last word of a run: what fails after it is reported, and the version stays a finished run's."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from pipeline.errors import PipelineError
from pipeline.runner import execution, lifecycle, local
from pipeline.runs.run import RunResult
from pipeline.store import champions, journal
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace
from pipeline.tracking.recorder import Outcome


@pytest.fixture
def state(tmp_path):
    Workspace(tmp_path).model("plain", 3).mkdir(parents=True)
    request = SimpleNamespace(name="plain", alias="champion")
    result = RunResult("plain-1", "plain", blessed=True)
    return SimpleNamespace(request=request, result=result, workspace=Workspace(tmp_path))


@pytest.fixture
def session(tmp_path):
    folder = Workspace(tmp_path).run("plain-1")
    folder.root.mkdir(parents=True)
    return SimpleNamespace(folder=folder, is_published=False)


def fail_after(publish):
    def run_steps(state):
        publish(state)
        raise OSError(28, "No space left on device")

    return run_steps


@pytest.mark.parametrize("alias", ["champion", "challenger", "quick"])
def test_an_error_after_publishing_is_a_warning(state, session, monkeypatch, alias):
    state.request.alias = alias
    model = ModelVersion(3, "digest", "plain-1")
    publish = lambda state: champions.set_alias(state.workspace, "plain", alias, model)  # noqa: E731
    monkeypatch.setattr(local, "run_steps", fail_after(publish))
    execution._run_steps(state, session)
    assert (3, True) == (state.result.model_version, session.is_published)
    assert "OSError: [Errno 28] No space left on device" == state.result.late_error
    assert "No space left" in session.folder.log.read_text()


def test_an_error_before_publishing_fails_the_run_also_when_another_run_is_live(state, session, monkeypatch):
    champions.set_champion(state.workspace, "plain", ModelVersion(3, "digest", "plain-0"))
    monkeypatch.setattr(local, "run_steps", fail_after(lambda _: None))
    with pytest.raises(OSError, match="No space left"):
        execution._run_steps(state, session)
    assert not session.is_published


def test_a_recipe_that_ends_the_process_fails_the_run(state, session, monkeypatch):
    monkeypatch.setattr(local, "run_steps", lambda _: sys.exit(0))
    with pytest.raises(PipelineError, match="The recipe plain ends the process") as caught:
        execution._run_steps(state, session)
    assert "Next: replace sys.exit()" in str(caught.value)


@pytest.mark.parametrize(("is_published", "status"), [(True, "finished"), (False, "failed")])
def test_an_error_outside_the_steps_ends_a_published_run_as_finished(session, is_published, status):
    recording = SimpleNamespace(finish=lambda _: Outcome("", "", complete=True, error=""))
    forgotten = []
    running = lifecycle.RunSession(session.folder, "sqlite:///nowhere", recording, 1.0, is_published=is_published)
    with journal.use_journal(session.folder.journal):
        lifecycle._fail(running, ValueError("the card cannot be written"), lambda: forgotten.append("request"))
    (end,) = (event for event, _ in journal.iter_events(session.folder.journal))
    assert (status, "the card cannot be written") == (end["status"], end["message"])
    assert ([] if is_published else ["request"]) == forgotten


def test_a_disk_that_is_full_at_the_end_leaves_the_result(state, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(execution.run, "update_result", fail)
    request = SimpleNamespace(settings=SimpleNamespace(mlflow_uri="sqlite:///nowhere", notify=""))
    execution._complete(request, state.result, Outcome("m", "1", complete=True, error=""))
    assert ("m", True) == (state.result.mlflow_run_id, "No space left" in state.result.late_error)


def test_a_journal_that_is_full_does_not_fail_a_published_run(session, state, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    recording = SimpleNamespace(finish=lambda _: Outcome("", "", complete=False, error="no space"))
    monkeypatch.setattr(lifecycle.journal, "report", fail)
    running = lifecycle.RunSession(session.folder, "sqlite:///nowhere", recording, 1.0)
    with pytest.raises(OSError, match="No space left"):
        running.end_run(state.result)
    running.is_published = True
    assert "no space" == running.end_run(state.result).error
    assert "OSError: [Errno 28] No space left on device" == state.result.late_error


class InternalError(Exception):
    """As ML Metadata raises it."""


@pytest.mark.parametrize("cause", [None, OSError(28, "No space left on device")])
def test_a_disk_that_was_full_is_named_also_where_a_failed_step_made_room(tmp_path, cause):
    error = InternalError("the step failed" if cause else "Error when executing query: database or disk is full")
    error.__cause__ = cause
    workspace = Workspace(tmp_path)
    request = SimpleNamespace(name="squares", settings=SimpleNamespace(workspace=workspace, debug=False))
    said = str(execution._user_error(error, request, tmp_path / "log.txt"))
    assert f"The workspace {tmp_path} cannot be written." in said
    assert "Received: No space left on device" in said
