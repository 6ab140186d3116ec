"""The workspace: usable or a clear error, and locks that no dead process holds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipeline import workspace
from pipeline.errors import PipelineError


def test_new_workspace_carries_its_format(tmp_path):
    home = tmp_path / "deep" / "workspace"
    workspace.prepare(home)
    workspace.prepare(home)
    assert '{\n "format": 1\n}\n' == (home / "workspace.json").read_text()
    assert ["workspace.json"] == [path.name for path in home.iterdir()]


@pytest.mark.parametrize(("content", "received"), [('{"format": 99}', "format 99"), ("[7]", "format [7]")])
def test_newer_workspace(tmp_path, content, received):
    (tmp_path / "workspace.json").write_text(content)
    with pytest.raises(PipelineError, match="written by a newer keraspipe") as caught:
        workspace.prepare(tmp_path)
    assert f"Received: {received}" in str(caught.value)


@pytest.mark.parametrize("inside", ["", "below"])
def test_file_where_the_folder_should_be(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="cannot be written") as caught:
        workspace.prepare(tmp_path / "file" / inside)
    assert "Next: mend that, or choose another folder" in str(caught.value)


def test_too_little_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    with pytest.raises(PipelineError, match="too little room") as caught:
        workspace.prepare(tmp_path)
    assert "Received: 5 MiB free" in str(caught.value)


def test_full_disk(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(workspace, "_probe", full)
    with pytest.raises(PipelineError) as caught:
        workspace.prepare(tmp_path)
    assert f"Received: No space left on device ({tmp_path})" in str(caught.value)


def test_lock_is_held_within_the_block(tmp_path):
    path = tmp_path / "locks" / "a"
    assert not workspace.is_locked(path)
    with workspace.lock(path):
        assert workspace.is_locked(path)
    assert not workspace.is_locked(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_lock_that_may_only_be_read(tmp_path):
    path = tmp_path / "a"
    path.touch(0o444)
    assert not workspace.is_locked(path)


HOLDER = """
import pathlib, sys, time
from pipeline import workspace
with workspace.lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_killed_process_releases_its_lock(tmp_path):
    path, asked = tmp_path / "a", []
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert "held\n" == holder.stdout.readline()
        assert workspace.is_locked(path)
        with workspace.lock(path, lambda: (asked.append(1), holder.send_signal(signal.SIGKILL))):
            assert [1] == asked
            assert workspace.is_locked(path)
    assert -signal.SIGKILL == holder.returncode


def test_nobody_is_asked_to_wait_for_a_free_lock(tmp_path):
    with workspace.lock(tmp_path / "a", lambda: pytest.fail("waited")):
        pass
