"""Child processes: whose modules they run, what they find in their environment, and what ours is left with."""

from __future__ import annotations

import os
import sys

import pytest

from pipeline import subprocesses
from pipeline.settings import ROOT


def test_a_child_finds_the_project_first_and_keras_3(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    environment = subprocesses.environment()
    assert (f"{ROOT}{os.pathsep}/mine", "0") == (environment["PYTHONPATH"], environment["TF_USE_LEGACY_KERAS"])
    assert "1" == os.environ["TF_USE_LEGACY_KERAS"]


def test_mlflow_forgets_the_caller_and_keeps_what_he_has_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    environment = subprocesses.mlflow_environment()
    assert "MLFLOW_TRACKING_URI" not in environment
    assert ("5", "true") == (environment["MLFLOW_HTTP_REQUEST_TIMEOUT"], environment["MLFLOW_DISABLE_TELEMETRY"])


def test_keras_3_is_taken_whatever_was_set(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    subprocesses.configure_tensorflow()
    assert "0" == os.environ["TF_USE_LEGACY_KERAS"]


def test_variables_last_for_the_block_and_yield_to_the_user(monkeypatch):
    monkeypatch.setenv("KERASPIPE_A", "user")
    monkeypatch.delenv("KERASPIPE_B", raising=False)
    with subprocesses.set_variables(KERASPIPE_A="ours", KERASPIPE_B="ours"):
        assert ("user", "ours") == (os.environ["KERASPIPE_A"], os.environ["KERASPIPE_B"])
    assert ("user", None) == (os.environ["KERASPIPE_A"], os.environ.get("KERASPIPE_B"))


@pytest.mark.process
def test_a_process_works_in_its_folder_but_takes_no_module_from_it(tmp_path):
    (tmp_path / "calendar.py").write_text("raise SystemExit(7)")
    with (tmp_path / "log").open("wb") as log:
        process = subprocesses.start_module(
            "calendar", ["2026", "11"], cwd=tmp_path, env=subprocesses.environment(), output=log
        )
        session = os.getsid(process.pid)
        assert 0 == process.wait(60)
    assert process.pid == session
    assert "November 2026" in (tmp_path / "log").read_text()


@pytest.mark.process
def test_a_worker_answers_on_its_stdout(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        worker = subprocesses.start_worker("json.tool", cwd=tmp_path, log=log)
    out, _ = worker.communicate('{"a": 1}')
    assert ('{\n    "a": 1\n}\n', 0) == (out, worker.returncode)


@pytest.mark.process
def test_what_is_run_is_waited_for(capfd):
    assert 0 == subprocesses.run_module("calendar", ["2026", "11"])
    assert "November 2026" in capfd.readouterr().out
    assert 0 != subprocesses.run_module("calendar", ["--absent"], sys.__stderr__)
    assert "" == capfd.readouterr().out
