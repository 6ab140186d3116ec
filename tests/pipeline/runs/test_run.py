"""A request, the record of its result, and when that record still holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.runs import run
from pipeline.store import champions, fileio
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace


@pytest.fixture
def request_for(recipe, settings):
    def make(*edits, **changes):
        return run.RunRequest(recipe(*edits), replace(settings, **changes.pop("settings", {})), {"units": 4}, **changes)

    return make


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a\n")
    return path


@pytest.fixture
def published(settings):
    """A finished run whose model lies in the workspace."""
    path = settings.workspace.model("plain", 1)
    path.mkdir(parents=True)
    return run.RunResult(
        "plain-1", "plain", blessed=True, metrics={"accuracy": 0.9}, model_version=1, model_path=str(path)
    )


def test_key_depends_on_everything_but_the_cache_switch_and_the_workspace(request_for, tmp_path):
    key = request_for().key
    assert key == request_for(cache=False).key
    other = {"workspace": Workspace(tmp_path / "other"), "tracking_uri": "http://mlflow"}
    assert request_for(settings=other).key == request_for(settings={"tracking_uri": "http://mlflow"}).key
    others = [
        request_for(("return p.units", "return p.units + 1")).key,
        request_for(quick=True).key,
        request_for(seed=2).key,
        request_for(until="train").key,
        request_for(settings={"data": tmp_path / "other"}).key,
        request_for(settings={"distribution": "none"}).key,
        request_for(settings={"mixed_precision": "mixed_bfloat16"}).key,
        request_for(settings={"deterministic": True}).key,
        request_for(settings={"tracking_uri": "http://mlflow"}).key,
        replace(request_for(), params={"units": 5}).key,
    ]
    assert len(others) + 1 == len({key, *others})


def test_nothing_is_remembered_at_first(request_for):
    assert run.find_result(request_for()) is None


def test_finished_run_is_remembered_on_the_same_data(request_for, published, data):
    request = request_for()
    run.save_result(request, published, [data], "")
    assert published == run.find_result(request)
    assert run.find_result(replace(request, cache=False)) is None
    data.write_text("b\n")
    assert run.find_result(request) is None


def test_a_record_holds_after_the_workspace_was_moved(request_for, published, data, tmp_path):
    run.save_result(request_for(), published, [data], "")
    new = Workspace(tmp_path / "elsewhere")
    request_for().settings.workspace.root.rename(new.root)
    moved = request_for(settings={"workspace": new})
    assert request_for().key == moved.key
    assert replace(published, model_path=str(new.model("plain", 1))) == run.find_result(moved)


@pytest.mark.parametrize("gone", ["data", "model", "folder"])
def test_record_falls_with_what_it_speaks_of(request_for, published, data, gone, tmp_path):
    request = request_for()
    if gone == "folder":
        data = data.rename(tmp_path / "data-folder")
        data.unlink()
        data.mkdir()
        data = data / "rows.csv"
        data.write_text("a\n")
    run.save_result(request, published, [data], "")
    if gone == "data":
        data.unlink()
    elif gone == "model":
        request.settings.workspace.model("plain", 1).rmdir()
    else:
        data.unlink()
        data.parent.rmdir()
        data.parent.write_text("a file where the folder was")
    assert run.find_result(request) is None


def test_refusal_holds_while_the_same_model_is_live(request_for, published, data):
    request, home = request_for(), request_for().settings.workspace
    refused = replace(published, blessed=False, model_version=None, model_path=None)
    run.save_result(request, refused, [data], "")
    assert refused == run.find_result(request)
    champions.set_champion(home, "plain", ModelVersion(1, "digest-1", "plain-1"))
    assert run.find_result(request) is None
    run.save_result(request, refused, [data], "digest-1")
    assert refused == run.find_result(request)


def test_run_up_to_a_step_publishes_nothing_and_holds(request_for, data):
    request = request_for(until="train")
    result = run.RunResult("plain-1", "plain")
    run.save_result(request, result, [data], "")
    assert result == run.find_result(request)


def test_killed_run_goes_on_under_its_id(request_for):
    request = request_for()
    first = run.begin_run(request)
    assert request.settings.workspace.run(first).root.is_dir()
    assert first == run.begin_run(request)
    assert first.startswith("plain-")


def test_failed_run_is_forgotten(request_for):
    request = request_for()
    first = run.begin_run(request)
    run.forget_request(request)
    run.forget_request(request)
    assert first != run.begin_run(request)


def test_unfinished_run_without_its_folder_is_none(request_for):
    request = request_for()
    first = run.begin_run(request)
    request.settings.workspace.run(first).root.rmdir()
    assert first != run.begin_run(request)


def test_finished_run_is_not_taken_for_a_killed_one(request_for, published, data):
    request = request_for()
    first = run.begin_run(request)
    assert run.find_result(request) is None
    run.save_result(request, replace(published, run_id=first), [data], "")
    assert first != run.begin_run(request)


def test_amended_result_replaces_the_record(request_for, published, data):
    request = request_for()
    run.save_result(request, published, [data], "")
    run.update_result(request, replace(published, mlflow_run_id="m1"))
    assert "m1" == run.find_result(request).mlflow_run_id


def test_ids_sort_by_time_and_differ():
    ids = [run.new_run_id("plain") for _ in range(20)]
    assert 20 == len(set(ids))
    assert [one[:-4] for one in ids] == sorted(one[:-4] for one in ids)


def test_run_is_alive_while_its_lock_is_held(tmp_path):

    assert not run.is_running(Workspace(tmp_path), "plain-1")
    with fileio.lock(Workspace(tmp_path).run("plain-1").lock):
        assert run.is_running(Workspace(tmp_path), "plain-1")
    assert not run.is_running(Workspace(tmp_path), "plain-1")
