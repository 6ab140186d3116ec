"""MLflow's aliases and where versions stand: told, changed by hand, both at once, and away."""

import json
import shutil
import socket

import pytest
from mlflow.tracking import MlflowClient

from pipeline import cli
from pipeline.commands import serve
from pipeline.registry import promotion
from pipeline.settings import Settings
from pipeline.store import champions, fileio
from pipeline.store.layout import Workspace
from pipeline.tracking import alias_sync
from pipeline.tracking.__main__ import main as record
from pipeline.tracking.client import TrackingStore

NAME = "digits"


@pytest.fixture(scope="module")
def original(tmp_path_factory, database, another):
    """Versions 1 and 2 as two runs leave them, recorded; the second is champion."""
    workspace = tmp_path_factory.mktemp("registered")
    uri = f"sqlite:///{shutil.copy(database, workspace)}"
    model = workspace / "artifacts" / "saved_model"
    model.mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(bytes(range(256)))
    for version in (1, 2):
        run = another(workspace, f"{NAME}-{version}")
        run.time += 1000 * version
        run.start()
        Workspace(workspace).model(NAME, version).mkdir(parents=True)
        run.register(model, f"d{version}")
        parent = f"{NAME}@{version - 1}" if version > 1 else ""
        where = {"parent": parent, "commit": "c0ffee"}
        run.write("publish", version=version, digest=f"d{version}", alias="champion", **where)
        run.write("end", status="finished", message="", seconds=1.0)
        result = {"run_id": run.folder.run_id, "recipe": NAME, "model_version": version, "metrics": {}}
        fileio.write_json(run.folder.root / "result.json", {**result, "steps": [{"name": "publish"}]})
    assert 0 == record([str(workspace), f"{NAME}-1", f"{NAME}-2", "--uri", uri])
    return workspace, uri


@pytest.fixture
def registered(original, workspace, uri):
    """A copy of it, and of its MLflow, which has another address."""
    home, was = original
    shutil.copytree(home, workspace, dirs_exist_ok=True)
    alias_sync.write_last_synced(
        Workspace(workspace), NAME, uri, alias_sync.read_last_synced(Workspace(home), NAME, was)
    )
    return workspace


@pytest.fixture
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def reconcile(registered, uri):
    return lambda: alias_sync.reconcile(TrackingStore(uri, Workspace(registered)), Workspace(registered), NAME)


def named(client):
    """Serving versions by alias, as MLflow has them."""
    found = client.get_registered_model(NAME).aliases
    return {alias: int(client.get_model_version(NAME, v).tags["serving_version"]) for alias, v in found.items()}


def call_it(client, alias, version):
    """What somebody does in MLflow's page."""
    (found,) = client.search_model_versions(f"name = '{NAME}' and tags.serving_version = '{version}'")
    client.set_registered_model_alias(NAME, alias, found.version)


def test_a_version_carries_its_lineage(registered, client):
    assert {"champion": 2} == named(client)
    tags = client.get_model_version_by_alias(NAME, "champion").tags
    expected = {
        "serving_version": "2",
        "keraspipe.run_id": "digits-2",
        "data_digest": "da7a",
        "code_digest": "c0de",
        "git_commit": "c0ffee",
        "parent_champion": "digits@1",
    }
    assert expected.items() <= tags.items()


@pytest.mark.process
def test_mlflow_is_updated_by_a_process_of_its_own(registered, uri, client):
    assert [] == alias_sync.out_of_sync(Workspace(registered), uri)
    promotion.rollback(Workspace(registered), NAME)
    promotion.challenge(Workspace(registered), f"{NAME}@2")
    assert [NAME] == alias_sync.out_of_sync(Workspace(registered), uri)
    assert 0 == alias_sync.spawn_alias_sync(Workspace(registered), uri).wait(240)
    assert [] == alias_sync.out_of_sync(Workspace(registered), uri)
    assert {"champion": 1, "challenger": 2} == named(client)


def test_a_change_by_hand_is_applied(registered, reconcile, client):
    call_it(client, "champion", 1)
    call_it(client, "challenger", 2)
    found = reconcile()
    expected = ("champion 2 -> 1, as set in MLflow", "challenger none -> 2, as set in MLflow")
    assert (expected, ()) == (found.applied, found.problems)
    assert {"champion": 1, "challenger": 2} == champions.current_entry(Workspace(registered), NAME).aliases
    assert ((), ()) == (reconcile().applied, reconcile().told)
    client.delete_registered_model_alias(NAME, "challenger")
    assert ("challenger 2 -> none, as set in MLflow",) == reconcile().applied
    assert {"champion": 1} == champions.current_entry(Workspace(registered), NAME).aliases


def test_a_challenger_promoted_by_hand_is_the_challenger_no_more(registered, reconcile, client):
    promotion.rollback(Workspace(registered), NAME)
    promotion.challenge(Workspace(registered), f"{NAME}@2")
    assert ("champion 1", "challenger 2") == reconcile().told
    call_it(client, "champion", 2)
    assert ("champion 1 -> 2, as set in MLflow",) == reconcile().applied
    assert {"champion": 2} == champions.current_entry(Workspace(registered), NAME).aliases == named(client)


def test_what_mlflow_has_missed_is_sent_again(registered, reconcile, client):
    promotion.rollback(Workspace(registered), NAME)
    assert (("champion 1",), ()) == (reconcile().told, ())
    assert {"champion": 1} == named(client)
    client.delete_registered_model_alias(NAME, "champion")  # a recipe is never left without its champion
    assert ("champion 1",) == reconcile().told
    assert {"champion": 1} == named(client)


def test_a_change_by_hand_that_cannot_be_applied_changes_nothing(registered, reconcile, client):
    Workspace(registered).model(NAME, 1).rmdir()
    call_it(client, "champion", 1)
    found = reconcile()
    assert "There is no published version digits@1" in found.problems[0]
    assert {"champion": 2} == champions.current_entry(Workspace(registered), NAME).aliases
    assert {"champion": 1} == named(client)


def test_changed_on_both_sides_somebody_has_to_say(registered, reconcile, uri, client):
    promotion.rollback(Workspace(registered), NAME)
    promotion.promote(Workspace(registered), f"{NAME}@2")
    promotion.rollback(Workspace(registered), NAME)
    call_it(client, "challenger", 1)
    promotion.challenge(Workspace(registered), f"{NAME}@2")
    found = reconcile()
    assert "The challenger of digits was changed here and in MLflow." in found.problems[0]
    assert "Received: 2 here, 1 in MLflow" in found.problems[0]
    assert {"champion": 1, "challenger": 2} == champions.current_entry(Workspace(registered), NAME).aliases
    home = Workspace(registered)
    assert [] == alias_sync.push_aliases(TrackingStore(uri, home), home, NAME)  # as promote and the like do
    assert ((), ()) == (reconcile().problems, reconcile().told)


def test_the_command_says_what_it_did_and_what_is_wrong(registered, uri, client, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert 0 == cli.main(["sync", "--workspace", str(registered)])
    assert "digits: champion 2; MLflow agrees\n" == capsys.readouterr().out
    call_it(client, "champion", 1)
    assert 0 == cli.main(["sync", NAME, "--json", "--workspace", str(registered)])
    (found,) = json.loads(capsys.readouterr().out)
    assert ({"champion": 1}, ["champion 2 -> 1, as set in MLflow"]) == (found["aliases"], found["applied"])
    assert 2 == cli.main(["sync", "digit", "--workspace", str(registered)])
    assert "did you mean digits?" in capsys.readouterr().err


def test_a_server_that_is_away_changes_nothing(registered, uri, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("pipeline.tracking.recorder.pending_runs", lambda _: [])
    assert 4 == cli.main(["sync", "--workspace", str(registered)])
    assert "MLflow cannot be reached." in capsys.readouterr().err
    assert (
        {"champion": 2}
        == champions.current_entry(Workspace(registered), NAME).aliases
        == alias_sync.read_last_synced(Workspace(registered), NAME, uri)
    )


@pytest.mark.process
def test_a_server_is_accompanied_by_a_process_that_syncs(registered, uri, client, wait, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with serve.sync_in_background(Settings(Workspace(registered), tracking_uri=uri), 0.1):
        call_it(client, "champion", 1)
        wait(lambda: champions.current_entry(Workspace(registered), NAME).aliases == {"champion": 1}, 240)
