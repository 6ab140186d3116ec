"""A workspace that is moved or copied: the paths in its databases follow it, and only those of its own files."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.store import fileio, relocation
from pipeline.store.layout import Workspace

RUN = "0123456789abcdef" * 2
FOLDER_NAMES = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs", "Cc"]), min_size=1).filter(
        lambda name: name not in {".", ".."}
    ),
    min_size=1,
    max_size=3,
)
OWN = (
    "artifacts/digits/train/model/7",
    "artifacts/digits/register/registration/12/value",
)
OWN_OF_MLFLOW = ("mlartifacts/digits", f"mlartifacts/digits/{RUN}/artifacts", f"mlartifacts/d/models/m-{RUN}/artifacts")


@pytest.fixture
def old(tmp_path):
    return make_workspace(tmp_path / "old 50%")


def make_workspace(root: Path) -> Workspace:
    """A workspace whose databases name its files, as TFX and MLflow do."""
    workspace = Workspace(root)
    root.mkdir()
    write(workspace.metadata_db, {"Artifact": ("uri",), "ArtifactProperty": ("string_value",)})
    fill(workspace.metadata_db, "Artifact", [f"{root}/{rest}" for rest in OWN])
    fill(workspace.metadata_db, "ArtifactProperty", [f"{root}/{OWN[0]}", "a text", None])
    write(
        workspace.mlflow_db,
        {"experiments": ("artifact_location",), "runs": ("artifact_uri",), "model_versions": ("source",)},
    )
    fill(workspace.mlflow_db, "experiments", [f"{root}/mlruns/0", uri(root, OWN_OF_MLFLOW[0])])
    fill(workspace.mlflow_db, "runs", [uri(root, OWN_OF_MLFLOW[1]), "s3://bucket/mlartifacts/digits"])
    fill(workspace.mlflow_db, "model_versions", [f"models:/m-{RUN}"])
    return workspace


def uri(root: Path, rest: str) -> str:
    return f"file://{quote(str(root))}/{rest}"


def hold(workspace: Workspace) -> None:
    with relocation.hold_location(workspace):
        pass


def write(database: Path, tables: dict[str, tuple[str, ...]]) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in tables.items():
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")


def fill(database: Path, table: str, values: list) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(f"INSERT INTO {table} VALUES (?)", [(value,) for value in values])


def values(database: Path, table: str) -> list:
    with closing(sqlite3.connect(database)) as connection:
        return [value for (value,) in connection.execute(f"SELECT * FROM {table}")]


@given(before=FOLDER_NAMES, after=FOLDER_NAMES, rest=st.sampled_from(OWN))
def test_a_path_of_ml_metadata_follows_the_workspace(before, after, rest):
    workspace = Workspace(Path("/", *after))
    assert f"{workspace.root}/{rest}" == relocation.locate(workspace, f"{Path('/', *before)}/{rest}")


@given(before=FOLDER_NAMES, after=FOLDER_NAMES, rest=st.sampled_from(OWN_OF_MLFLOW))
def test_a_uri_of_mlflow_follows_the_workspace(before, after, rest):
    workspace = Workspace(Path("/", *after))
    assert uri(workspace.root, rest) == relocation.locate(workspace, uri(Path("/", *before), rest))


@pytest.mark.parametrize(
    "value",
    ["", "text", "s3://bucket/artifacts/a/b/c/1", "/data/artifacts/photo.png", "/x/artifacts/digits/train/model/new"],
)
def test_other_files_stay_where_they_are(value, tmp_path):
    assert value == relocation.locate(Workspace(tmp_path), value)


def test_a_moved_workspace_is_rewritten_when_it_is_used(old, tmp_path):
    new = Workspace(tmp_path / "new place")
    shutil.move(old.root, new.root)
    assert relocation.former_locations(new)
    with relocation.hold_location(new):
        assert [] == relocation.former_locations(new)
        assert [f"{new.root}/{rest}" for rest in OWN] == values(new.metadata_db, "Artifact")
        assert [f"{new.root}/{OWN[0]}", "a text", None] == values(new.metadata_db, "ArtifactProperty")
        expected = [f"{new.root}/mlruns/0", uri(new.root, OWN_OF_MLFLOW[0])]
        assert expected == values(new.mlflow_db, "experiments")
        expected = [uri(new.root, OWN_OF_MLFLOW[1]), "s3://bucket/mlartifacts/digits"]
        assert expected == values(new.mlflow_db, "runs")
        assert [f"models:/m-{RUN}"] == values(new.mlflow_db, "model_versions")


def test_a_copy_leaves_the_original_alone(old, tmp_path):
    before = old.metadata_db.read_bytes(), old.mlflow_db.read_bytes()
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(old.root, copy.root)
    with relocation.hold_location(copy), relocation.hold_location(old):
        assert [f"{copy.root}/{rest}" for rest in OWN] == values(copy.metadata_db, "Artifact")
        assert before == (old.metadata_db.read_bytes(), old.mlflow_db.read_bytes())


def test_a_workspace_inside_its_former_folder(old, tmp_path):
    inner = Workspace(old.root / "artifacts")
    shutil.copytree(old.root, tmp_path / "copy")
    shutil.move(tmp_path / "copy", inner.root)
    for _ in range(2):
        with relocation.hold_location(inner):
            assert [f"{inner.root}/{rest}" for rest in OWN] == values(inner.metadata_db, "Artifact")


def test_a_link_to_the_workspace_is_the_same_place(old, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(old.root)
    assert [] == relocation.former_locations(Workspace(link))


def test_a_new_or_empty_workspace_is_valid(tmp_path):
    workspace = Workspace(tmp_path / "new")
    with relocation.hold_location(workspace):
        workspace.mlflow_db.touch()
    hold(workspace)


def test_a_process_elsewhere_keeps_its_paths(old, tmp_path, monkeypatch):
    monkeypatch.setattr(relocation, "WAIT_S", 0.2)
    new = Workspace(tmp_path / "new")
    with relocation.hold_location(old):
        shutil.move(old.root, new.root)
        with pytest.raises(PipelineError, match=r"in use under another path(.|\n)*old 50%"):
            hold(new)
        assert [f"{old.root}/{rest}" for rest in OWN] == values(new.metadata_db, "Artifact")
    with relocation.hold_location(new):
        assert [f"{new.root}/{rest}" for rest in OWN] == values(new.metadata_db, "Artifact")


def test_processes_that_start_together_all_come_in(old, tmp_path):
    new = Workspace(tmp_path / "new")
    shutil.move(old.root, new.root)
    inside = threading.Barrier(4, timeout=10)

    def use() -> None:
        with relocation.hold_location(new):
            inside.wait()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    inside.wait()
    for thread in threads:
        thread.join(10)
    assert not fileio.is_locked(new.location_lock)


def test_a_damaged_database_is_named_with_the_way_out(old):
    old.mlflow_db.write_bytes(b"no database at all" * 100)
    with pytest.raises(PipelineError, match=r"mlflow.db is damaged(.|\n)*keraspipe doctor"):
        hold(old)
