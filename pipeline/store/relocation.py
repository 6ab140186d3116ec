"""A workspace that was moved, copied or mounted elsewhere: its databases follow it.

ML Metadata and MLflow store absolute paths of their files. Whoever works with them holds the location: paths that lead
to another place are first rewritten, in one transaction for each database. A copy of a workspace so becomes
independent of the original. Readers, who may not be allowed to write, translate each path with `locate` instead.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from pipeline.errors import DamagedFileError, PipelineError
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.layout import Workspace

WAIT_S = 10.0  # for another process that rewrites the paths
POLL_S = 0.1
BUSY_S = 60.0  # for another process that writes to a database

# What TFX, and MLflow, append to the folder of the workspace; the whole form tells it from other files of the user.
TFX_PATH = r"artifacts/[^/]+/[^/]+/[^/]+/\d+(?:/value)?"
MLFLOW_PATH = r"mlartifacts/[^/]+(?:/[0-9a-f]{32}/artifacts|/models/m-[0-9a-f]{32}/artifacts)?|mlruns/0"
STORED = re.compile(rf"(?P<scheme>file://)?(?P<root>/.*)/(?P<rest>{TFX_PATH}|{MLFLOW_PATH})")

METADATA_COLUMNS = (("Artifact", "uri"), ("ArtifactProperty", "string_value"))
MLFLOW_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def locate(workspace: Workspace, uri: str) -> str:
    """Returns where a file of the workspace is now.

    Args:
        workspace: The workspace.
        uri: A path or `file://` URI, as ML Metadata or MLflow stored it, perhaps while the workspace was elsewhere.

    Returns:
        The path or URI in the workspace; `uri` itself if it is not of a workspace's file.
    """
    match = STORED.fullmatch(uri)
    if match is None or _is_same_folder(unquote(match["root"]) if match["scheme"] else match["root"], workspace):
        return uri
    root = str(workspace.root.absolute())
    return f"file://{quote(root)}/{match['rest']}" if match["scheme"] else f"{root}/{match['rest']}"


def _is_same_folder(root: str, workspace: Workspace) -> bool:
    """Whether a path leads to the workspace, perhaps by a link."""
    if root == str(workspace.root.absolute()):
        return True
    try:
        return Path(root).samefile(workspace.root)
    except OSError:
        return False


@contextmanager
def hold_location(workspace: Workspace) -> Iterator[None]:
    """Keeps the paths in the databases valid during the block; rewrites them before if the workspace was elsewhere.

    Raises:
        PipelineError: Another process uses the workspace under another path, or a database is damaged.
    """
    until = time.monotonic() + WAIT_S
    while True:
        with fileio.lock(workspace.location_lock, shared=True):
            elsewhere = former_locations(workspace)
            if not elsewhere:
                yield
                return
        with fileio.try_lock(workspace.location_lock) as free:
            if free:
                _rewrite(workspace)
            elif time.monotonic() > until:
                raise _in_use_error(workspace, elsewhere[0])
        time.sleep(0 if free else POLL_S)


def former_locations(workspace: Workspace) -> list[str]:
    """Returns the paths in the databases, one of each former folder, that lead out of the workspace.

    Raises:
        PipelineError: A database is damaged.
    """
    return [path for database in _databases(workspace) for path in _stale_paths(workspace, *database)]


def _databases(workspace: Workspace) -> list[tuple[Path, tuple[tuple[str, str], ...]]]:
    both = ((workspace.metadata_db, METADATA_COLUMNS), (workspace.mlflow_db, MLFLOW_COLUMNS))
    return [(path, columns) for path, columns in both if path.exists() and path.stat().st_size]


def _stale_paths(workspace: Workspace, database: Path, columns: tuple[tuple[str, str], ...]) -> list[str]:
    stale: dict[str, str] = {}
    with _open(database) as connection:
        for table, column in _present(connection, columns):
            for uri in _foreign(connection, workspace, table, column):
                match = STORED.fullmatch(uri)
                if match and match["root"] not in stale and locate(workspace, uri) != uri:
                    stale[match["root"]] = uri
    return list(stale.values())


def _foreign(connection: sqlite3.Connection, workspace: Workspace, table: str, column: str) -> Iterator[str]:
    """Yields the values that do not begin with the workspace's folder, which SQLite sorts out fast."""
    root = str(workspace.root.absolute())
    own = (f"{root}/", f"file://{quote(root)}/")
    condition = " AND ".join(f"substr({column}, 1, {len(prefix)}) <> ?" for prefix in own)
    query = f"SELECT {column} FROM {table} WHERE {column} LIKE '%/%' AND {condition}"  # noqa: S608  (our own names)
    yield from (uri for (uri,) in connection.execute(query, own))


def copy_mlflow_db(workspace: Workspace, path: Path) -> None:
    """Copies MLflow's database out of a workspace that can only be read; its paths lead to where the workspace is now.

    Raises:
        DamagedFileError: It is no database.
    """
    with _open(f"file:{quote(str(workspace.mlflow_db.absolute()))}?mode=ro") as source, _open(path) as target:
        source.backup(target)
    _rewrite_paths(workspace, path, MLFLOW_COLUMNS)


def _rewrite(workspace: Workspace) -> None:
    for database, columns in _databases(workspace):
        _rewrite_paths(workspace, database, columns)


def _rewrite_paths(workspace: Workspace, database: Path, columns: tuple[tuple[str, str], ...]) -> None:
    with _open(database) as connection:
        connection.create_function("locate", 1, lambda uri: uri and locate(workspace, uri), deterministic=True)
        connection.execute("BEGIN IMMEDIATE")
        for table, column in _present(connection, columns):
            change = f"UPDATE {table} SET {column} = locate({column}) WHERE {column} <> locate({column})"  # noqa: S608
            connection.execute(change)
        connection.execute("COMMIT")


@contextmanager
def _open(database: Path | str) -> Iterator[sqlite3.Connection]:
    """Opens a database, by its path or as a URI of SQLite."""
    by_uri = isinstance(database, str)
    try:
        with closing(sqlite3.connect(database, timeout=BUSY_S, isolation_level=None, uri=by_uri)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise DamagedFileError(Path(database), "an SQLite database", error) from error


def _present(connection: sqlite3.Connection, columns: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Returns the columns that the database has; an older one may lack some."""
    return [
        (table, column)
        for table, column in columns
        if column in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    ]


def _in_use_error(workspace: Workspace, path: str) -> PipelineError:
    return PipelineError(
        f"The workspace {workspace} is in use under another path.",
        expected="all processes that use a workspace at the same time see it under one path",
        received=f"a run or dashboard that writes to {path}",
        action="end that process, or name the same path with --workspace",
    )
