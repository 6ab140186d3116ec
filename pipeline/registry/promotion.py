"""Promote, roll back, challenge: changes which version of a recipe is its champion (live) or its challenger.

Each change is one rename of the recipe's record, under the same lock as publishing. The configuration of model servers
is written after it; if the process is killed in between, the next change or server repairs it. A separate process
updates MLflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import PipelineError, UsageError
from pipeline.registry import serving_config
from pipeline.runs import versions
from pipeline.store import champions, fileio, journal
from pipeline.store.champions import ModelVersion, RegistryEntry
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.store.layout import Workspace


@dataclass(frozen=True)
class AliasChange:
    """A change of aliases.

    Attributes:
        name: The recipe.
        before: The aliases before the change.
        after: The aliases after it.
    """

    name: str
    before: RegistryEntry
    after: RegistryEntry

    def as_json(self) -> dict[str, Any]:
        """Returns the object of `--json`: versions by alias, those for a rollback, and whether anything changed."""
        aliases = {alias: self.after.aliases.get(alias) for alias in ("champion", "challenger")}
        earlier = [model.version for model in self.after.before]
        return {"recipe": self.name, **aliases, "before": earlier, "changed": self.before.aliases != self.after.aliases}


def promote(workspace: Workspace, text: str) -> AliasChange:
    """Makes `NAME@VERSION` the champion; the challenger for `NAME` alone.

    Raises:
        PipelineError: There is no such version, it was never blessed, or there is no challenger.
    """
    name, _, number = text.partition("@")

    def choose(entry: RegistryEntry) -> RegistryEntry:
        return entry.with_champion(
            find_published(workspace, text) if number else _require_challenger(workspace, name, entry)
        )

    return change_aliases(workspace, name, choose)


def challenge(workspace: Workspace, text: str) -> AliasChange:
    """Makes `NAME@VERSION` the challenger.

    Raises:
        PipelineError: There is no such version, it was never blessed, or it is the champion.
    """
    name = text.partition("@")[0]

    def choose(entry: RegistryEntry) -> RegistryEntry:
        model = find_published(workspace, text)
        if entry.champion and entry.champion.version == model.version:
            raise PipelineError(
                f"{text} is the champion of {name}.",
                expected="another version",
                received=text,
                action=_listing_hint(name),
            )
        return entry.with_challenger(model)

    return change_aliases(workspace, name, choose)


def withdraw(workspace: Workspace, name: str) -> AliasChange:
    """Leaves a recipe without a challenger.

    Raises:
        PipelineError: There is none.
    """
    return change_aliases(workspace, name, lambda entry: entry.without(_require_challenger(workspace, name, entry)))


def rollback(workspace: Workspace, name: str) -> AliasChange:
    """Makes the previous champion the champion again.

    Raises:
        PipelineError: There was none, or its directory is gone.
    """

    def choose(entry: RegistryEntry) -> RegistryEntry:
        previous = entry.with_previous(set(champions.versions(workspace, name)))
        if previous is None:
            raise _no_earlier_error(workspace, name, entry)
        return previous

    return change_aliases(workspace, name, choose)


def change_aliases(workspace: Workspace, name: str, act: Callable[[RegistryEntry], RegistryEntry]) -> AliasChange:
    """Replaces a recipe's record by the result of `act`, under the lock, and updates the servers' configuration.

    Raises:
        UsageError: No version of the recipe is published.
    """
    _require_published(workspace, name)
    with lock(workspace.publish_lock(name)):
        before = champions.read_entry(workspace, name)
        after = act(before)
        if after != before:
            champions.save_entry(workspace, name, after)
    serving_config.write_config(workspace)  # outside of the lock: it takes another one
    return AliasChange(name, before, after)


def find_published(workspace: Workspace, text: str) -> ModelVersion:
    """Returns the version `NAME@VERSION`, with the run that made it.

    Raises:
        UsageError: There is no such version.
        PipelineError: No record of a run shows that it was blessed, or it is of a --quick run.
    """
    target = versions.find_version(workspace, text)
    entry = champions.read_entry(workspace, target.name)
    for model in (entry.champion, entry.challenger, *entry.before):
        if model and model.version == target.number:
            return model
    if not target.run_id:
        raise _never_blessed_error(workspace, target)
    if fileio.read_json(workspace.run(target.run_id).result, {}).get("quick"):
        raise _quick_error(target)
    return ModelVersion(target.number, _model_digest(workspace, target), target.run_id)


def _model_digest(workspace: Workspace, target: versions.Version) -> str:
    """Returns the digest that the run has recorded; computing it from the model takes longer."""
    events = (event for event, _ in journal.iter_events(workspace.run(target.run_id).journal))
    digests = [event["digest"] for event in events if event["event"] == "publish" and event["version"] == target.number]
    return str(digests[-1]) if digests else fileio.digest_folder(workspace.model(target.name, target.number))


def _require_challenger(workspace: Workspace, name: str, entry: RegistryEntry) -> ModelVersion:
    if entry.challenger and workspace.model(name, entry.challenger.version).is_dir():
        return entry.challenger
    raise PipelineError(
        f"{name} has no challenger.",
        expected=f"a challenger, or one of {_format_versions(workspace, name)}",
        received=name,
        action=f"name the version: keraspipe promote {name}@VERSION",
    )


def _require_published(workspace: Workspace, name: str) -> None:
    if champions.versions(workspace, name):
        return
    names = champions.recipe_names(workspace)
    raise UsageError(
        f"No model {name!r} is published in {workspace}.",
        expected=f"one of {', '.join(names)}" if names else "a published model",
        received=name,
        action=errors.did_you_mean(name, names) or "list them with: keraspipe models",
    )


def _never_blessed_error(workspace: Workspace, target: versions.Version) -> PipelineError:
    return PipelineError(
        f"No run in {workspace} shows that {target} was blessed.",
        expected="a version that a run has evaluated and published",
        received=f"a directory without a run's record, {workspace.model(target.name, target.number)}",
        action=_listing_hint(target.name),
    )


def _quick_error(target: versions.Version) -> PipelineError:
    return PipelineError(
        f"{target} was made by a --quick run, on a small sample and few epochs: it is not for use.",
        expected="a version of a full run",
        received=str(target),
        action=f"make one: keraspipe run {target.name}; {target} itself answers: keraspipe predict {target} …",
    )


def _no_earlier_error(workspace: Workspace, name: str, entry: RegistryEntry) -> PipelineError:
    gone = ", ".join(str(model.version) for model in entry.before)
    return PipelineError(
        f"{name} cannot be rolled back: there is no previous champion"
        + (f" whose directory still exists (gone: {gone})." if gone else "."),
        expected="an earlier champion",
        received=f"champion {entry.aliases.get('champion', 'none')}, published {_format_versions(workspace, name)}",
        action=f"name the version: keraspipe promote {name}@VERSION",
    )


def _format_versions(workspace: Workspace, name: str) -> str:
    """Returns the versions that can be promoted: not those of --quick runs."""
    quick = {result["model_version"] for result in versions.run_results(workspace, name) if result.get("quick")}
    numbers = [number for number in champions.versions(workspace, name) if number not in quick]
    return ", ".join(f"{name}@{number}" for number in numbers) or "a version of a full run"


def _listing_hint(name: str) -> str:
    return f"list the runs with their versions: keraspipe runs; or make a new version: keraspipe run {name}"
