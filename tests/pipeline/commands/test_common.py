"""`keraspipe promote`, `rollback` and `challenger`: what they print, and that they import nothing heavy."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from pipeline import cli
from pipeline.commands import _common
from pipeline.registry import promotion
from pipeline.settings import ROOT
from pipeline.store import fileio
from pipeline.store.layout import Workspace
from pipeline.tracking import alias_sync

HEAVY = {"tensorflow", "keras", "mlflow", "tfx", "numpy", "pandas", "grpc", "google.protobuf"}
CODE = """
import sys
from pipeline import cli
from pipeline.commands import _common
from pipeline.tracking import alias_sync
alias_sync.spawn_alias_sync = lambda *_: print("synced")  # another process
code = cli.main(sys.argv[1:])
print("\\nMODULES", code, *sorted(sys.modules))
"""


@pytest.fixture
def keraspipe(tmp_path, monkeypatch, capsys):
    """The command line in this process, on three blessed versions of which the first is live, without MLflow."""
    for version in (1, 2, 3):
        Workspace(tmp_path).model("plain", version).mkdir(parents=True)
        result = {"run_id": f"plain-{version}", "recipe": "plain", "model_version": version, "metrics": {}}
        folder = Workspace(tmp_path).run(result["run_id"]).root
        folder.mkdir(parents=True)
        fileio.write_json(folder / "result.json", {**result, "steps": [{"name": "publish"}]})
    promotion.promote(Workspace(tmp_path), "plain@1")
    monkeypatch.setattr(alias_sync, "spawn_alias_sync", lambda *_: call.synced.append(1))
    monkeypatch.delenv("KERASPIPE_DEBUG", raising=False)

    def call(*arguments):
        try:
            code = cli.main([*arguments, "--workspace", str(tmp_path)])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err

    call.home, call.synced = tmp_path, []
    return call


def test_a_challenger_is_promoted_and_rolled_back(keraspipe):
    expected = "plain: champion version 1, challenger version 2 (was none)\n"
    assert (0, expected, "") == keraspipe("challenger", "plain@2")
    expected = "plain: champion version 2 (was 1), challenger none (was 2), a rollback leads to version 1\n"
    assert (0, expected, "") == keraspipe("promote", "plain")
    assert (0, "plain: champion version 1 (was 2), challenger none\n", "") == keraspipe("rollback", "plain")
    assert 3 == len(keraspipe.synced)


def test_the_same_as_json(keraspipe):
    expected = {"recipe": "plain", "champion": 3, "challenger": None, "before": [1], "changed": True}
    assert expected == json.loads(keraspipe("promote", "plain@3", "--json")[1])
    assert {**expected, "changed": False} == json.loads(keraspipe("promote", "plain@3", "--json")[1])
    assert {**expected, "challenger": 2} == json.loads(keraspipe("challenger", "plain@2", "--json")[1])
    assert expected == json.loads(keraspipe("challenger", "plain", "--none", "--json")[1])
    assert {**expected, "champion": 1, "before": []} == json.loads(keraspipe("rollback", "plain", "--json")[1])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["promote", "plain"], 1, "plain has no challenger.\nExpected: a challenger, or one of plain@1, plain@2"),
        (["promote", "plain@7"], 2, "Expected: plain@1, plain@2, plain@3\nReceived: plain@7"),
        (["promote", "plian@1"], 2, "did you mean plain?"),
        (["rollback", "plain"], 1, "plain cannot be rolled back: there is no previous champion.\n"),
        (["rollback", "plian"], 2, "did you mean plain?"),
        (["challenger", "plain"], 2, "A challenger needs a version."),
        (["challenger", "plain@1"], 1, "plain@1 is the champion of plain."),
        (["challenger", "plain", "--none"], 1, "plain has no challenger."),
    ],
)
def test_what_cannot_be_changes_nothing(keraspipe, arguments, code, words):
    before = Workspace(keraspipe.home).champion("plain").read_text()
    ended, out, err = keraspipe(*arguments)
    assert (code, "") == (ended, out)
    assert words in err
    assert "\nNext: " in err
    assert (before, []) == (Workspace(keraspipe.home).champion("plain").read_text(), keraspipe.synced)


def test_models_and_runs_show_the_challenger(keraspipe):
    keraspipe("challenger", "plain@3")
    rows = {row["run_id"]: row["alias"] for row in json.loads(keraspipe("runs", "--json")[1])}
    assert {"plain-1": "champion", "plain-2": None, "plain-3": "challenger"} == rows
    assert ["plain-3", "interrupted", "v3", "challenger"] in [
        line.split() for line in keraspipe("runs")[1].splitlines()
    ]


@pytest.mark.parametrize("arguments", [("promote", "plain@2"), ("challenger", "plain@2"), ("rollback", "plain")])
def test_nothing_heavy_is_imported(keraspipe, arguments):
    if arguments[0] == "rollback":
        promotion.promote(Workspace(keraspipe.home), "plain@3")
    command = [sys.executable, "-c", CODE, *arguments, "--workspace", str(keraspipe.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("synced\nplain: champion version ")
    code, *modules = done.stdout.rpartition("\nMODULES ")[2].split()
    assert "0" == code
    assert set() == HEAVY & set(modules)


@pytest.mark.parametrize(
    ("number", "action"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EROFS, "correct that")],
)
def test_a_full_or_read_only_disk_is_an_error_in_words(tmp_path, monkeypatch, capsys, number, action):
    def fail(*_):
        raise OSError(number, os.strerror(number), str(tmp_path / "a.json"))

    monkeypatch.setattr(cli, "_run_command", fail)
    assert 1 == cli.main(["runs", "--workspace", str(tmp_path)])
    words = capsys.readouterr().err
    assert f"Received: {os.strerror(number)} ({tmp_path / 'a.json'})\nNext: {action}" in words


def test_a_recipe_without_a_live_model_says_what_its_last_run_was(tmp_path):
    workspace = Workspace(tmp_path)
    assert ("", "") == _common.describe_unpublished(workspace, "plain")
    folder = workspace.run("plain-20260101-000000-abcd")
    folder.root.mkdir(parents=True)
    received, action = _common.describe_unpublished(workspace, "plain")
    assert "has not ended" in received
    assert "keraspipe run plain" in action
    fileio.write_json(folder.evaluation, {"gate": {"reasons": ["accuracy is 0.3, at least 0.5 is required"]}})
    received, action = _common.describe_unpublished(workspace, "plain")
    assert "did not pass the gate: accuracy is 0.3" in received
    assert "keraspipe runs plain-20260101-000000-abcd" in action
