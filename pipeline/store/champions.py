"""The record of each recipe's aliases: champion, challenger, and earlier champions.

The champion is the version that is live; the challenger is served next to it for comparison. A version of a --quick run
is not served: it is used by its number.
`WORKSPACE/champions/NAME.json` is the only source of truth. Servers, `models.config` and MLflow's aliases follow it; if
a process is killed before it has updated them, the next one does so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import DamagedFileError
from pipeline.store import fileio

if TYPE_CHECKING:
    from pipeline.store.layout import Workspace

MAX_EARLIER = 100  # earlier champions


@dataclass(frozen=True)
class ModelVersion:
    """A published version.

    Attributes:
        version: The number of its serving directory.
        digest: Digest of the SavedModel's files.
        run_id: The run that made it.
    """

    version: int
    digest: str
    run_id: str


@dataclass(frozen=True)
class RegistryEntry:
    """The aliases of a recipe.

    Attributes:
        champion: The version that is live.
        challenger: The version that is served in addition, as `NAME-challenger`.
        before: The earlier champions, for `rollback`, the oldest first.
        quick: The newest version of a --quick run, which no server offers.
    """

    champion: ModelVersion | None = None
    challenger: ModelVersion | None = None
    before: tuple[ModelVersion, ...] = ()
    quick: ModelVersion | None = None

    def with_champion(self, model: ModelVersion) -> Self:
        """Returns an entry with a new champion; `rollback` restores the present one."""
        if self.champion and self.champion.version == model.version:
            return replace(self, champion=model)
        earlier = (*self.before, self.champion) if self.champion else self.before
        return replace(self.without(model), champion=model, before=earlier[-MAX_EARLIER:])

    def with_challenger(self, model: ModelVersion) -> Self:
        """Returns an entry with a new challenger."""
        return replace(self, challenger=model)

    def with_quick(self, model: ModelVersion) -> Self:
        """Returns an entry with a new version of a --quick run; what is served stays."""
        return replace(self, quick=model)

    def with_previous(self, present: set[int]) -> Self | None:
        """Returns an entry with the previous champion whose directory exists; None if there is none.

        The present champion is removed, so that a second rollback goes further back instead of forward again.
        """
        candidates = [model for model in self.before if model.version in present]
        return (
            replace(self.without(candidates[-1]), champion=candidates[-1], before=tuple(candidates[:-1]))
            if candidates
            else None
        )

    def without(self, model: ModelVersion) -> Self:
        """Returns an entry without that version as challenger."""
        return replace(self, challenger=None) if self.challenger and self.challenger.version == model.version else self

    @property
    def aliases(self) -> dict[str, int]:
        """The versions that are served, by alias."""
        models = {"champion": self.champion, "challenger": self.challenger}
        return {alias: model.version for alias, model in models.items() if model}


def recipe_names(workspace: Workspace) -> list[str]:
    """Returns the recipes that have a record."""
    return sorted(file.stem for file in workspace.champions.glob("*.json"))


def current_entry(workspace: Workspace, name: str) -> RegistryEntry:
    """Returns a recipe's aliases, without versions whose directories are gone.

    Raises:
        PipelineError: The record cannot be read.
    """
    entry = read_entry(workspace, name)
    champion, challenger, quick = (
        _if_present(workspace, name, model) for model in (entry.champion, entry.challenger, entry.quick)
    )
    return replace(entry, champion=champion, challenger=challenger, quick=quick)


def read_entry(workspace: Workspace, name: str) -> RegistryEntry:
    """Reads the record as it is stored, whether the directories exist or not.

    Raises:
        PipelineError: It cannot be read.
    """
    file = workspace.champion(name)
    try:
        record = fileio.read_json(file, {})
        challenger, quick = (_parse_version(record.get(alias) or {}) for alias in ("challenger", "quick"))
        before = tuple(ModelVersion(**fields) for fields in record.get("before", []))
        return RegistryEntry(_parse_version(record), challenger, before, quick)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        reason = error.__cause__ if isinstance(error, DamagedFileError) else error
        raise DamagedFileError(file, "the record of a recipe's champion", reason) from error


def _parse_version(record: dict[str, Any]) -> ModelVersion | None:
    """Parses a version; a record may have other fields, and an old one may lack some."""
    if record.get("version") is None:
        return None
    return ModelVersion(record["version"], record["digest"], record["run_id"])


def _if_present(workspace: Workspace, name: str, model: ModelVersion | None) -> ModelVersion | None:
    return model if model and workspace.model(name, model.version).is_dir() else None


def read_champion(workspace: Workspace, name: str) -> ModelVersion | None:
    """Returns the champion; None if there is none or its directory is gone."""
    return current_entry(workspace, name).champion


def set_champion(workspace: Workspace, name: str, champion: ModelVersion) -> None:
    """Makes a version the champion."""
    set_alias(workspace, name, "champion", champion)


def set_alias(workspace: Workspace, name: str, alias: str, model: ModelVersion) -> None:
    """Makes a version the champion, the challenger, or the newest one of a --quick run ("quick")."""
    entry = read_entry(workspace, name)
    change = {"champion": entry.with_champion, "challenger": entry.with_challenger, "quick": entry.with_quick}[alias]
    save_entry(workspace, name, change(model))


def save_entry(workspace: Workspace, name: str, entry: RegistryEntry) -> None:
    """Replaces the record by one rename, the moment at which the aliases change."""
    live = asdict(entry.champion) if entry.champion else {"version": None}
    challenger, quick = (asdict(model) if model else None for model in (entry.challenger, entry.quick))
    before = [asdict(model) for model in entry.before]
    fileio.write_json(workspace.champion(name), {**live, "challenger": challenger, "before": before, "quick": quick})


def versions(workspace: Workspace, name: str) -> list[int]:
    """Returns the published versions, ascending."""
    folder = workspace.model_versions(name)
    return sorted(int(child.name) for child in folder.glob("*") if child.name.isdigit() and child.is_dir())
