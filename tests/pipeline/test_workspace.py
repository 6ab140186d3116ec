"""The workspace: usable or a clear error."""

from __future__ import annotations

import shutil
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
