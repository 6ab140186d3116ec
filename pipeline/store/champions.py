"""Which versions of each recipe stand where: the champion, the challenger, and the champions before.

`WORKSPACE/champions/NAME.json` is the one truth. Servers, `models.config` and MLflow's aliases follow it; whoever is
killed before they do leaves that to the next one who looks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import unreadable
from pipeline.store import fileio

if TYPE_CHECKING:
    from pipeline.store.layout import Workspace

REMEMBERED = 100  # earlier champions


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


@dataclass(frozen=True)
class Standing:
    """Where the versions of a recipe stand.

    Attributes:
        champion: The version that is live.
        challenger: The version that is served beside it, under `NAME-challenger`.
        before: The champions that `rollback` walks back to, the oldest first.
    """

    champion: Champion | None = None
    challenger: Champion | None = None
    before: tuple[Champion, ...] = ()

    def crowned(self, one: Champion) -> Self:
        """With another champion, from which the present one can be come back to."""
        if self.champion and self.champion.version == one.version:
            return replace(self, champion=one)
        before = (*self.before, self.champion) if self.champion else self.before
        return replace(self.without(one), champion=one, before=before[-REMEMBERED:])

    def challenged(self, one: Champion) -> Self:
        """With another challenger."""
        return replace(self, challenger=one)

    def rolled_back(self, there: set[int]) -> Self | None:
        """With the champion before, of those whose directories are there; None where none is.

        What was the champion is forgotten, so that a second step goes further back and not to and fro.
        """
        left = [one for one in self.before if one.version in there]
        return replace(self.without(left[-1]), champion=left[-1], before=tuple(left[:-1])) if left else None

    def without(self, one: Champion) -> Self:
        """Without a challenger of that version."""
        return replace(self, challenger=None) if self.challenger and self.challenger.version == one.version else self

    @property
    def aliases(self) -> dict[str, int]:
        """Versions by alias."""
        found = {"champion": self.champion, "challenger": self.challenger}
        return {alias: one.version for alias, one in found.items() if one}


def names(workspace: Workspace) -> list[str]:
    """The recipes that have a record."""
    return sorted(file.stem for file in workspace.champions.glob("*.json"))


def standing(workspace: Workspace, name: str) -> Standing:
    """Where a recipe's versions stand; a version whose directory is gone stands nowhere.

    Raises:
        PipelineError: The record cannot be read.
    """
    kept = recorded(workspace, name)
    champion, challenger = (_there(workspace, name, one) for one in (kept.champion, kept.challenger))
    return replace(kept, champion=champion, challenger=challenger)


def recorded(workspace: Workspace, name: str) -> Standing:
    """The record as it is written, whether the directories are there or not.

    Raises:
        PipelineError: It cannot be read.
    """
    file = workspace.champion(name)
    try:
        record = fileio.read_json(file, {})
        live, before = _champion(record), record.get("before", [])
        return Standing(live, _champion(record.get("challenger") or {}), tuple(Champion(**one) for one in before))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise unreadable(file, "the record of a recipe's champion", error) from error


def _champion(record: dict[str, Any]) -> Champion | None:
    """A record may say more of it, and an older one says nothing of anything else."""
    if record.get("version") is None:
        return None
    return Champion(record["version"], record["digest"], record["run_id"])


def _there(workspace: Workspace, name: str, one: Champion | None) -> Champion | None:
    return one if one and workspace.model(name, one.version).is_dir() else None


def read(workspace: Workspace, name: str) -> Champion | None:
    """The champion, or None if nothing is live or its directory is gone."""
    return standing(workspace, name).champion


def write(workspace: Workspace, name: str, champion: Champion) -> None:
    """Makes a version the champion."""
    save(workspace, name, recorded(workspace, name).crowned(champion))


def save(workspace: Workspace, name: str, found: Standing) -> None:
    """Replaces the record: one rename, which is the moment at which everything changes."""
    live = asdict(found.champion) if found.champion else {"version": None}
    challenger = asdict(found.challenger) if found.challenger else None
    before = [asdict(one) for one in found.before]
    fileio.write_json(workspace.champion(name), {**live, "challenger": challenger, "before": before})


def versions(workspace: Workspace, name: str) -> list[int]:
    """Published versions, ascending."""
    folder = workspace.model_versions(name)
    return sorted(int(child.name) for child in folder.glob("*") if child.name.isdigit() and child.is_dir())
