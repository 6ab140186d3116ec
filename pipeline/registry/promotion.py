"""Promote, roll back, challenge: the acts that change which version of a recipe stands where.

Each is one rename of the recipe's record, under the lock that publishing takes too; what servers read is made from it
at once, and by whoever comes next where a kill came between. MLflow is told by a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import PipelineError, UsageError
from pipeline.registry import serving_config
from pipeline.runs import versions
from pipeline.store import champions, fileio, journal
from pipeline.store.champions import Champion, Standing
from pipeline.store.fileio import lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.store.layout import Workspace


@dataclass(frozen=True)
class Change:
    """What an act has done.

    Attributes:
        name: The recipe.
        before: Where its versions stood.
        after: Where they stand.
    """

    name: str
    before: Standing
    after: Standing

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints: versions by alias, those that a rollback would find, and whether anything changed."""
        aliases = {alias: self.after.aliases.get(alias) for alias in ("champion", "challenger")}
        earlier = [one.version for one in self.after.before]
        return {"recipe": self.name, **aliases, "before": earlier, "changed": self.before.aliases != self.after.aliases}


def promote(workspace: Workspace, text: str) -> Change:
    """Makes `NAME@VERSION` the champion; the challenger for `NAME` alone.

    Raises:
        PipelineError: There is no such version, it was never blessed, or there is no challenger.
    """
    name, _, number = text.partition("@")

    def crowned(now: Standing) -> Standing:
        return now.crowned(published(workspace, text) if number else _challenger(workspace, name, now))

    return change(workspace, name, crowned)


def challenge(workspace: Workspace, text: str) -> Change:
    """Makes `NAME@VERSION` the challenger.

    Raises:
        PipelineError: There is no such version, it was never blessed, or it is the champion.
    """
    name = text.partition("@")[0]

    def challenged(now: Standing) -> Standing:
        one = published(workspace, text)
        if now.champion and now.champion.version == one.version:
            raise PipelineError(
                f"{text} is the champion of {name}.", expected="another version", received=text, action=_listing(name)
            )
        return now.challenged(one)

    return change(workspace, name, challenged)


def withdraw(workspace: Workspace, name: str) -> Change:
    """Leaves a recipe without a challenger.

    Raises:
        PipelineError: There is none.
    """
    return change(workspace, name, lambda now: now.without(_challenger(workspace, name, now)))


def rollback(workspace: Workspace, name: str) -> Change:
    """Makes the version that was champion before the champion again.

    Raises:
        PipelineError: Nothing was before, or nothing of it is left.
    """

    def rolled_back(now: Standing) -> Standing:
        found = now.rolled_back(set(champions.versions(workspace, name)))
        if found is None:
            raise _nothing_before(workspace, name, now)
        return found

    return change(workspace, name, rolled_back)


def change(workspace: Workspace, name: str, act: Callable[[Standing], Standing]) -> Change:
    """Replaces a recipe's record by what `act` makes of it, under the lock, and lets servers know.

    Raises:
        UsageError: Nothing of the recipe is published.
    """
    _require_published(workspace, name)
    with lock(workspace.publish_lock(name)):
        now = champions.recorded(workspace, name)
        found = act(now)
        if found != now:
            champions.save(workspace, name, found)
    serving_config.write(workspace)  # outside of the lock: it takes one of its own
    return Change(name, now, found)


def published(workspace: Workspace, text: str) -> Champion:
    """The version `NAME@VERSION`, with the run that made it.

    Raises:
        UsageError: There is no such version.
        PipelineError: No record of a run says that it was blessed.
    """
    found = versions.find(workspace, text)
    now = champions.recorded(workspace, found.name)
    for one in (now.champion, now.challenger, *now.before):
        if one and one.version == found.number:
            return one
    if not found.run_id:
        raise _never_blessed(workspace, found)
    return Champion(found.number, _digest(workspace, found), found.run_id)


def _digest(workspace: Workspace, found: versions.Version) -> str:
    """As the run told it; reading the whole model takes longer."""
    events = (event for event, _ in journal.read(workspace.run(found.run_id).journal))
    told = [event["digest"] for event in events if event["event"] == "publish" and event["version"] == found.number]
    return str(told[-1]) if told else fileio.digest(workspace.model(found.name, found.number))


def _challenger(workspace: Workspace, name: str, now: Standing) -> Champion:
    if now.challenger and workspace.model(name, now.challenger.version).is_dir():
        return now.challenger
    raise PipelineError(
        f"{name} has no challenger.",
        expected=f"a challenger, or one of {_versions(workspace, name)}",
        received=name,
        action=f"name the version: keraspipe promote {name}@VERSION",
    )


def _require_published(workspace: Workspace, name: str) -> None:
    if champions.versions(workspace, name):
        return
    known = champions.names(workspace)
    raise UsageError(
        f"No model {name!r} is published in {workspace}.",
        expected=f"one of {', '.join(known)}" if known else "a published model",
        received=name,
        action=errors.did_you_mean(name, known) or f"run: keraspipe run {name}",
    )


def _never_blessed(workspace: Workspace, found: versions.Version) -> PipelineError:
    return PipelineError(
        f"No run in {workspace} says that {found} was blessed.",
        expected="a version that a run has judged and published",
        received=f"a directory without a run's record, {workspace.model(found.name, found.number)}",
        action=_listing(found.name),
    )


def _nothing_before(workspace: Workspace, name: str, now: Standing) -> PipelineError:
    gone = ", ".join(str(one.version) for one in now.before)
    return PipelineError(
        f"{name} cannot be rolled back: no version was champion before"
        + (f" whose directory is left (gone: {gone})." if gone else "."),
        expected="an earlier champion",
        received=f"champion {now.aliases.get('champion', 'none')}, published {_versions(workspace, name)}",
        action=f"name the version: keraspipe promote {name}@VERSION",
    )


def _versions(workspace: Workspace, name: str) -> str:
    return ", ".join(f"{name}@{number}" for number in champions.versions(workspace, name))


def _listing(name: str) -> str:
    return f"list the runs with their versions: keraspipe runs; or make a new version: keraspipe run {name}"
