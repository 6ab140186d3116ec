"""Publishing: whole or not at all, by one at a time, and only over the model that it was evaluated against."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from pipeline.steps.publish import ChampionChangedError, publish
from pipeline.store import champions, fileio
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace

CRASH = """
import os, signal, sys
from pathlib import Path
from pipeline.store import champions
from pipeline.steps import publish
from pipeline.store.layout import Workspace

champions.set_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # dies between the rename and the record
publish.publish(Path(sys.argv[1]), Workspace(Path(sys.argv[2])), "m", "run", "")
"""


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


def names(workspace):
    return sorted(child.name for child in (workspace / "serving" / "m").iterdir())


def test_versions_count_up_and_the_newest_is_champion(model, tmp_path):
    assert 1 == publish(model, Workspace(tmp_path), "m", "run-1", "")
    live = champions.read_champion(Workspace(tmp_path), "m")
    assert ModelVersion(1, fileio.digest_folder(model), "run-1") == live
    (model / "saved_model.pb").write_bytes(b"another graph")
    assert 2 == publish(model, Workspace(tmp_path), "m", "run-2", live.digest)
    assert ["1", "2"] == names(tmp_path)
    (link,) = (tmp_path / "serving" / ".live" / "m").iterdir()
    assert Workspace(tmp_path).model("m", 2) == link.resolve()


def test_a_model_evaluated_against_another_champion_is_evaluated_again(model, tmp_path):
    publish(model, Workspace(tmp_path), "m", "run-1", "")
    with pytest.raises(ChampionChangedError):
        publish(model, Workspace(tmp_path), "m", "run-2", "")
    assert ["1"] == names(tmp_path)


def test_killed_between_rename_and_record_the_same_model_keeps_its_version(model, tmp_path):
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", CRASH, str(model), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert -signal.SIGKILL == ended.returncode, ended.stderr
    assert ["1"] == names(tmp_path)
    assert champions.read_champion(Workspace(tmp_path), "m") is None
    assert 1 == publish(model, Workspace(tmp_path), "m", "run", "")
    assert ["1"] == names(tmp_path)
    assert 1 == champions.read_champion(Workspace(tmp_path), "m").version


def test_the_number_of_a_removed_version_is_not_given_again(model, tmp_path):
    workspace = Workspace(tmp_path)
    for number in (1, 2):
        (model / "saved_model.pb").write_bytes(b"graph %d" % number)
        live = champions.read_champion(workspace, "m")
        publish(model, workspace, "m", f"m-{number}", live.digest if live else "")
        steps = [{"name": "publish", "seconds": 0.0}]
        result = {"run_id": f"m-{number}", "recipe": "m", "model_version": number, "steps": steps}
        fileio.write_json(workspace.run(f"m-{number}").result, result)
    shutil.rmtree(workspace.model("m", 2))
    (model / "saved_model.pb").write_bytes(b"another graph")
    assert 3 == publish(model, workspace, "m", "m-3", "", "quick")


def test_a_challenger_leaves_the_champion_as_it_is(model, tmp_path):
    publish(model, Workspace(tmp_path), "m", "run-1", "")
    live = champions.read_champion(Workspace(tmp_path), "m")
    (model / "saved_model.pb").write_bytes(b"another graph")
    assert 2 == publish(model, Workspace(tmp_path), "m", "run-2", live.digest, "challenger")
    assert {"champion": 1, "challenger": 2} == champions.current_entry(Workspace(tmp_path), "m").aliases
    assert 2 == publish(model, Workspace(tmp_path), "m", "run-3", live.digest)  # the same model, now for all
    assert {"champion": 2} == champions.current_entry(Workspace(tmp_path), "m").aliases


def test_a_quick_version_leaves_champion_and_challenger_as_they_are(model, tmp_path):
    workspace = Workspace(tmp_path)
    publish(model, workspace, "m", "run-1", "")
    live = champions.read_champion(workspace, "m")
    (model / "saved_model.pb").write_bytes(b"another graph")
    publish(model, workspace, "m", "run-2", live.digest, "challenger")
    (model / "saved_model.pb").write_bytes(b"a small sample")
    assert 3 == publish(model, workspace, "m", "run-3", "judged against none", "quick")
    entry = champions.current_entry(workspace, "m")
    assert ({"champion": 1, "challenger": 2}, 3) == (entry.aliases, entry.quick.version)
    served = {link.name for folder in workspace.live_links.iterdir() for link in folder.iterdir()}
    assert {"1", "2"} == served


def test_a_copy_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.steps.publish.shutil.copytree", fail)
    with pytest.raises(OSError, match="No space left"):
        publish(model, Workspace(tmp_path), "m", "run", "")
    assert [] == names(tmp_path)


def test_publishers_at_once_never_share_a_version(model, tmp_path):
    outcomes = []

    def one(number):
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"%d" % number)
        judged_against = ""
        while True:
            try:
                outcomes.append(publish(folder, Workspace(tmp_path), "m", f"run-{number}", judged_against))
                return  # noqa: TRY300
            except ChampionChangedError:
                judged_against = champions.read_champion(Workspace(tmp_path), "m").digest

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [1, 2, 3, 4, 5, 6] == sorted(outcomes)
    assert 6 == champions.read_champion(Workspace(tmp_path), "m").version
