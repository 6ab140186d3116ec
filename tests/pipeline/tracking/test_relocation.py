"""A workspace that is moved or copied after a run: MLflow has the old run's files, and writes new ones there only."""

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.store import relocation
from pipeline.store.layout import Workspace
from pipeline.tracking import recorder
from pipeline.tracking.__main__ import main


def record(workspace: Path, run_id: str) -> None:
    assert main([str(workspace), run_id, "--uri", f"sqlite:///{workspace}/mlflow.db"]) == 0


def text(workspace: Path, run_id: str, path: str) -> str:
    """An artifact of a run, as MLflow's client gives it."""
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    run = recorder.read_outcome(Workspace(workspace).run(run_id)).mlflow_run_id
    return Path(client.download_artifacts(run, path)).read_text()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.heavy
def test_a_copy_and_a_moved_workspace_are_independent(run, another, workspace, model, tmp_path_factory):
    run.whole(model)
    record(workspace, "run-1")
    folder = tmp_path_factory.mktemp("elsewhere")
    moved, copy = folder / "moved", folder / "copy 50%"
    shutil.copytree(workspace, copy)
    shutil.move(workspace, moved)
    for number, place in enumerate((moved, copy), start=2):
        second = another(place, f"run-{number}")
        second.whole()
        record(place, f"run-{number}")
        assert recorder.read_outcome(second.folder).error == ""
        assert text(place, f"run-{number}", "data/schema.json") == '{"x": 1}'
        assert text(place, "run-1", "data/schema.json") == '{"x": 1}'
    assert not workspace.exists()
    assert recorder.pending_runs(Workspace(moved)) == recorder.pending_runs(Workspace(copy)) == []
    assert not any("run-3" in name for name in files(moved))


@pytest.mark.heavy
def test_a_run_that_was_recorded_is_not_recorded_again(run, workspace, tmp_path_factory):
    run.whole()
    record(workspace, "run-1")
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(workspace, moved)
    before = recorder.read_outcome(Workspace(moved).run("run-1"))
    record(moved, "run-1")
    assert before == recorder.read_outcome(Workspace(moved).run("run-1"))
    client = MlflowClient(f"sqlite:///{moved}/mlflow.db")
    assert client.get_run(before.mlflow_run_id).info.artifact_uri.startswith(moved.as_uri())


@pytest.mark.heavy
def test_a_copy_of_the_database_leads_to_where_the_workspace_is(run, workspace, tmp_path_factory):
    run.whole()
    record(workspace, "run-1")
    moved = tmp_path_factory.mktemp("else where") / "moved"
    shutil.move(workspace, moved)
    before = (moved / "mlflow.db").read_bytes()
    copy = tmp_path_factory.mktemp("copy") / "mlflow.db"
    relocation.copy_mlflow_db(Workspace(moved), copy)
    client = MlflowClient(f"sqlite:///{copy}")
    run_id = recorder.read_outcome(Workspace(moved).run("run-1")).mlflow_run_id
    assert '{"x": 1}' == Path(client.download_artifacts(run_id, "data/schema.json")).read_text()
    assert before == (moved / "mlflow.db").read_bytes()
