"""Damaged files of a workspace are found, set aside and made again from what the runs know."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.store import champions, fileio, integrity, layout, repair
from pipeline.store.champions import ModelVersion, RegistryEntry
from pipeline.store.integrity import json_problem
from pipeline.store.layout import Workspace

VALUES = st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)


@pytest.fixture
def workspace(tmp_path):
    layout.prepare(Workspace(tmp_path))
    return Workspace(tmp_path)


def publish(workspace: Workspace, version: int, alias: str = "champion", name: str = "plain") -> ModelVersion:
    """What a run leaves when it has published a version."""
    folder = workspace.run(f"{name}-2026010{version}-000000-aaaa")
    folder.root.mkdir(parents=True)
    about = {"run_id": folder.run_id, "recipe": name, "description": "", "params": {}, "tags": {}}
    events = [
        {"event": "start", **about},
        {"event": "step", "name": "ingest", "state": "started", "seconds": None},
        {"event": "step", "name": "ingest", "state": "done", "seconds": 1.5},
        {"event": "publish", "version": version, "digest": f"d{version}", "alias": alias},
        {"event": "end", "status": "finished"},
    ]
    lines = [json.dumps({"time": float(version), **event}) for event in events]
    folder.journal.write_text("\n".join(lines) + "\n")
    workspace.model(name, version).mkdir(parents=True)
    model = ModelVersion(version, f"d{version}", folder.run_id)
    champions.set_alias(workspace, name, alias, model)
    return model


def link(workspace: Workspace, served: str, version: int) -> None:
    folder = workspace.live_links / served
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(version)).symlink_to(workspace.model("plain", version))


def damaged(workspace: Workspace) -> list[Path]:
    return [damage.path for damage in integrity.find_damage(workspace)]


def mend(workspace: Workspace) -> None:
    repair.repair_damage(workspace, integrity.find_damage(workspace))
    assert [] == damaged(workspace)


def test_a_sound_or_missing_workspace_has_no_damage(workspace, tmp_path):
    publish(workspace, 1)
    with closing(sqlite3.connect(workspace.metadata_db)) as connection:
        connection.execute("CREATE TABLE Artifact (uri)")
    assert [] == damaged(workspace) == damaged(Workspace(tmp_path / "none"))


@given(value=VALUES, cut=st.integers(0, 40))
def test_a_json_file_is_sound_exactly_when_it_can_be_read(value, cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps({"value": value})
    path.write_text(text[: len(text) - cut])
    assert bool(json_problem(path)) == bool(cut)


@pytest.mark.parametrize(("text", "sound"), [("[" + "1, " * 40_000 + "1]\n", True), ("[" + "1, " * 40_000, False)])
def test_a_large_json_file_that_is_cut_off(tmp_path, text, sound):
    (tmp_path / "a.json").write_text(text)
    assert sound == (not json_problem(tmp_path / "a.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 40, b"\xff\xfe"])
def test_the_format_is_written_again(workspace, content):
    workspace.format_file.write_bytes(content)
    with pytest.raises(PipelineError, match=r"workspace.json is damaged(.|\n)*keraspipe doctor"):
        layout.prepare(workspace)
    assert [workspace.format_file] == damaged(workspace)
    mend(workspace)
    layout.prepare(workspace)
    (kept,) = workspace.root.glob("workspace.json.damaged-*")
    assert content == kept.read_bytes()


@pytest.mark.parametrize("name", ["metadata_db", "mlflow_db"])
@pytest.mark.parametrize("content", [b"no database " * 1000, None])
def test_a_damaged_database_begins_anew(workspace, name, content):
    path = getattr(workspace, name)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 200)
    whole = path.read_bytes()
    path.write_bytes(content or whole[: len(whole) // 2])
    publish(workspace, 1)
    recorded = workspace.run("plain-20260101-000000-aaaa").recorded
    fileio.write_json(recorded, {"offset": 1})
    assert [path] == damaged(workspace)
    mend(workspace)
    assert not path.exists()
    assert recorded.exists() == (name == "metadata_db")  # without it, the journal is sent to MLflow again


def test_a_database_that_is_locked_is_not_damaged(workspace):
    with closing(sqlite3.connect(workspace.mlflow_db, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("BEGIN IMMEDIATE")
        assert [] == damaged(workspace)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"version": 3}', b'{"version": 3, "digest'])
def test_a_record_is_made_again_from_the_journals(workspace, content):
    first, second = publish(workspace, 1), publish(workspace, 2)
    challenger, quick = publish(workspace, 3, "challenger"), publish(workspace, 4, "quick")
    before = champions.read_entry(workspace, "plain")
    assert RegistryEntry(second, challenger, (first,), quick) == before
    workspace.champion("plain").write_bytes(content)
    assert [workspace.champion("plain")] == damaged(workspace)
    mend(workspace)
    assert before == champions.read_entry(workspace, "plain")


def test_a_rollback_is_known_from_the_links_of_the_servers(workspace):
    first, second = publish(workspace, 1), publish(workspace, 2)
    link(workspace, "plain", 1)
    workspace.champion("plain").write_text("{")
    mend(workspace)
    entry = champions.read_entry(workspace, "plain")
    assert (first, second) == (entry.champion, entry.before[-1])


def test_versions_that_were_deleted_do_not_come_back(workspace):
    publish(workspace, 1), publish(workspace, 2)
    workspace.model("plain", 2).rmdir()
    workspace.champion("plain").write_text("{")
    mend(workspace)
    assert {"champion": 1} == champions.read_entry(workspace, "plain").aliases


def test_a_result_is_made_again(workspace):
    model = publish(workspace, 1)
    folder = workspace.run(model.run_id)
    folder.result.write_text("")
    fileio.write_json(folder.evaluation, {"metrics": {"mae": 2.5}, "gate": {"blessed": True, "reasons": []}})
    assert [folder.result] == damaged(workspace)
    mend(workspace)
    result = fileio.read_json(folder.result)
    assert (True, 1, {"mae": 2.5}) == (result["blessed"], result["model_version"], result["metrics"])
    assert ["ingest"] == [step["name"] for step in result["steps"]]
    fileio.write_json(workspace.request("key"), {"result": {**result, "seconds": 7.0}})
    folder.result.write_text("{")
    mend(workspace)
    assert {**result, "seconds": 7.0} == fileio.read_json(folder.result)


def test_what_is_made_again_by_itself_is_set_aside(workspace):
    paths = [workspace.request("a"), workspace.data_digest("plain"), workspace.synced_aliases("plain")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"cut')
    assert sorted(paths) == sorted(damaged(workspace))
    mend(workspace)
    assert [] == [path for path in paths if path.exists()]


def test_a_workspace_in_use_is_not_repaired(workspace):
    workspace.format_file.write_text("{")
    with fileio.lock(workspace.runs_lock, shared=True), pytest.raises(PipelineError, match="is in use"):
        mend(workspace)
    assert "{" == workspace.format_file.read_text()


def test_the_digest_of_a_version_without_a_run_is_computed(workspace):
    model = publish(workspace, 1)
    workspace.run(model.run_id).journal.unlink()
    link(workspace, "plain", 1)
    workspace.champion("plain").write_text("{")
    mend(workspace)
    digest = fileio.digest_folder(workspace.model("plain", 1))
    assert replace(model, digest=digest, run_id="") == champions.read_entry(workspace, "plain").champion
