import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from pipeline import subprocesses
from pipeline.dashboard import server
from pipeline.dashboard.server import serve_dashboard
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.store.layout import Workspace


def test_nothing_to_show_yet(tmp_path):
    with pytest.raises(PipelineError, match="run a pipeline first"):
        serve_dashboard(Settings(workspace=Workspace(tmp_path)))


@pytest.mark.heavy
def test_a_port_that_is_taken(workspace):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PipelineError, match=f"--port {port + 1}"):
            serve_dashboard(Settings(workspace=Workspace(workspace)), port=port)


def test_a_server_has_its_own_pages(tmp_path, capsys):
    assert serve_dashboard(Settings(workspace=Workspace(tmp_path), tracking_uri="https://mlflow.example")) == 0
    assert capsys.readouterr().out == "https://mlflow.example/#/experiments?workflowType=machine_learning\n"


@pytest.mark.process
def test_a_server_that_does_not_start_is_reported(workspace, monkeypatch):
    code = "import sys; sys.exit('the database is of a newer version')"
    monkeypatch.setattr("pipeline.subprocesses._command", lambda *_: [sys.executable, "-c", code])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PipelineError, match=r"did not start(.|\n)*of a newer version"):
        serve_dashboard(Settings(workspace=Workspace(workspace)), port=port)


SHOW = """
import sys
from pathlib import Path
from pipeline.settings import Settings
from pipeline.dashboard.server import serve_dashboard
from pipeline.store.layout import Workspace
sys.exit(serve_dashboard(Settings(workspace=Workspace(Path(sys.argv[1]))), port=int(sys.argv[2])))
"""


@pytest.mark.process
def test_shows_the_runs_until_it_is_stopped(workspace):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shown = subprocess.Popen(
        [sys.executable, "-c", SHOW, str(workspace), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=subprocesses.mlflow_environment(),
    )
    with shown:
        assert shown.stdout.readline().startswith(f"http://127.0.0.1:{port}/#/experiments")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"chooseCharts" in page.read()
        os.kill(shown.pid, signal.SIGTERM)
        assert shown.wait(15) == 0
        assert shown.stderr.read() == ""
    until = time.monotonic() + 60
    while listening(port):
        assert time.monotonic() < until, "the port is not free"
        time.sleep(0.05)


def test_what_can_only_be_read_is_shown_from_a_copy(workspace, monkeypatch, capsys):
    before = {path.name: path.read_bytes() for path in workspace.iterdir()}
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to any folder but a read-only mount
    with server._open_files(Settings(workspace=Workspace(workspace))) as files:
        assert files.uri == f"sqlite:///{files.log.with_name('mlflow.db')}"
        assert files.log.with_name("mlflow.db").read_bytes()[:6] == b"SQLite"
    assert f"{workspace} cannot be written; this shows it as it is now" in capsys.readouterr().err
    assert not files.log.parent.exists()
    assert before == {path.name: path.read_bytes() for path in workspace.iterdir()}


def listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
