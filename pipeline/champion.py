"""The live model of each recipe: which version serves under alias `champion`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline import atomic

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Champion:
    """A published version.

    Attributes:
        version: Its serving directory's number.
        digest: Digest of the SavedModel's files.
        run_id: The run that made it.
    """

    version: int
    digest: str
    run_id: str


def path(workspace: Path, name: str) -> Path:
    """The record of a recipe's champion."""
    return workspace / "champions" / f"{name}.json"


def model_path(workspace: Path, name: str, version: int) -> Path:
    """The serving directory of a version."""
    return workspace / "serving" / name / str(version)


def read(workspace: Path, name: str) -> Champion | None:
    """The champion, or None if nothing is live or its directory is gone."""
    record = atomic.read_json(path(workspace, name))
    if record is None or not model_path(workspace, name, record["version"]).is_dir():
        return None
    return Champion(**record)


def write(workspace: Path, name: str, champion: Champion) -> None:
    """Makes a version the champion."""
    atomic.write_json(path(workspace, name), asdict(champion))


def versions(workspace: Path, name: str) -> list[int]:
    """Published versions, ascending."""
    folder = workspace / "serving" / name
    return sorted(int(child.name) for child in folder.glob("*") if child.name.isdigit() and child.is_dir())
