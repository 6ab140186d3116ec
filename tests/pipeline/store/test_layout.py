"""The workspace: its layout, and usable or a clear error."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import PipelineError
from pipeline.store import layout as store_layout
from pipeline.store.layout import Workspace


def test_new_workspace_carries_its_format(tmp_path):
    home = tmp_path / "deep" / "workspace"
    store_layout.prepare(Workspace(home))
    store_layout.prepare(Workspace(home))
    assert '{\n "format": 1\n}\n' == (home / "workspace.json").read_text()
    assert ["workspace.json"] == [path.name for path in home.iterdir()]


@pytest.mark.parametrize(("content", "received"), [('{"format": 99}', "format 99"), ("[7]", "format [7]")])
def test_newer_workspace(tmp_path, content, received):
    (tmp_path / "workspace.json").write_text(content)
    with pytest.raises(PipelineError, match="written by a newer keraspipe") as caught:
        store_layout.prepare(Workspace(tmp_path))
    assert f"Received: {received}" in str(caught.value)


@pytest.mark.parametrize("inside", ["", "below"])
def test_file_where_the_folder_should_be(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="cannot be written") as caught:
        store_layout.prepare(Workspace(tmp_path / "file" / inside))
    assert "Next: correct that, or choose another folder" in str(caught.value)


def test_too_little_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    with pytest.raises(PipelineError, match="too little free space") as caught:
        store_layout.prepare(Workspace(tmp_path))
    assert "Received: 5 MiB free" in str(caught.value)


def test_full_disk(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(store_layout, "_probe", full)
    with pytest.raises(PipelineError) as caught:
        store_layout.prepare(Workspace(tmp_path))
    assert f"Received: No space left on device ({tmp_path})" in str(caught.value)


NOT_ALONE = {"data", "recipe", "report.json"}  # other folders and the artifact of ingest have such names too


def test_paths_keep_their_places(tmp_path):
    home, run = Workspace(tmp_path), Workspace(tmp_path).run("digits-1")
    places = {
        home.model("digits", 2): "serving/digits/2",
        home.live_links: "serving/.live",
        home.models_config: "serving/models.config",
        home.champion("digits"): "champions/digits.json",
        home.request("k"): "requests/k.json",
        home.checkpoint("0123456789abcdef0"): "checkpoints/0123456789abcdef",
        home.schema("digits"): "schemas/digits/schema.pbtxt",
        home.card("digits", 2): "cards/digits/2.md",
        home.card_request("digits", 2): "cards/digits/2.request.json",
        home.answers("digits", "0123456789abcdef0"): "profiles/digits/answers-0123456789abcdef.json",
        home.baseline("digits", "7"): "profiles/digits/7.json",
        home.publish_lock("digits"): "locks/publish-digits",
        home.runs_lock: "locks/runs",
        home.metadata_db: "metadata.db",
        home.mlflow_db: "mlflow.db",
        run.journal: "runs/digits-1/journal.jsonl",
        run.lock: "runs/digits-1/lock",
        run.trial_checkpoints(3): "runs/digits-1/trials/3/checkpoints",
    }
    assert list(places.values()) == [home.relative(path) for path in places]


def test_runs_are_listed_in_their_order(tmp_path):
    home = Workspace(tmp_path)
    assert [] == home.run_folders()
    for run_id in ("xor-2", "digits-1", "xor-1"):
        home.run(run_id).root.mkdir(parents=True)
    (home.runs / "xor-file").touch()
    assert ["digits-1", "xor-1", "xor-2"] == [run.run_id for run in home.run_folders()]
    assert ["xor-1", "xor-2"] == [run.run_id for run in home.run_folders("xor")]


def test_what_the_journal_names_may_be_gone(tmp_path):
    home = Workspace(tmp_path)
    (tmp_path / "there").touch()
    assert tmp_path / "there" == home.require_path(home.relative(tmp_path / "there"))
    with pytest.raises(FileNotFoundError, match="absent is gone"):
        home.require_path("absent")


def joined(tree):
    """The strings of a module that are joined to a path, save to the project's own folder."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(name))):
                if "ROOT" != getattr(left, "id", ""):
                    yield name


def test_no_other_module_names_a_path_of_the_workspace():
    layout = Path(store_layout.__file__)
    tree = ast.parse(layout.read_text())
    calls = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and "PathBelow" == getattr(node.func, "id", "")
    )
    names = {part.value for call in calls for part in call.args} | set(joined(tree))
    assert {"journal.jsonl", "serving", "locks", "metadata.db", "trials"} <= names
    others = (path for path in layout.parents[1].rglob("*.py") if path != layout)
    found = {f"{path}: {name}" for path in others for name in joined(ast.parse(path.read_text())) if name in names}
    assert set() == {text for text in found if text.partition(": ")[2] not in NOT_ALONE}
