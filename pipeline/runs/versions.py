"""A published version, written NAME@VERSION, and the run that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import errors
from pipeline.errors import UsageError
from pipeline.store import champions, fileio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store.layout import Workspace


@dataclass(frozen=True)
class Version:
    """A published version.

    Attributes:
        name: Its recipe.
        number: The number of its serving directory.
        run_id: The run that made it; empty if that run's record was deleted.
    """

    name: str
    number: int
    run_id: str

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    def require_run_id(self, workspace: Workspace) -> str:
        """Returns the id of the run that made it.

        Raises:
            UsageError: That run's record was deleted.
        """
        if self.run_id and workspace.run(self.run_id).journal.exists():
            return self.run_id
        raise UsageError(
            f"The run that made {self} is no longer recorded in {workspace}.",
            expected="a version whose run is kept",
            received=str(self),
            action="list the kept runs with: keraspipe runs",
        )


def find_version(workspace: Workspace, text: str) -> Version:
    """Returns the version that `NAME@VERSION` names, or the champion for `NAME` alone.

    Raises:
        UsageError: There is none; the message lists the existing ones.
    """
    name, _, number = text.partition("@")
    numbers = champions.versions(workspace, name)
    live = champions.read_champion(workspace, name)
    if not number and live:
        return Version(name, live.version, live.run_id)
    if not number.isdecimal() or int(number) not in numbers:
        raise _unknown_version(workspace, text, name, numbers)
    return Version(name, int(number), find_run_id(workspace, name, int(number)))


def find_run_id(workspace: Workspace, name: str, number: int) -> str:
    """Returns the id of the run that published a version last; empty if its record was deleted."""
    matches = [result for result in run_results(workspace, name) if result.get("model_version") == number]
    return next((str(result["run_id"]) for result in reversed(matches) if _has_published(result)), "")


def published_numbers(workspace: Workspace, name: str) -> set[int]:
    """Returns the numbers of all versions that kept runs of a recipe have published, also of removed ones."""
    return {result["model_version"] for result in run_results(workspace, name) if result.get("model_version")}


def run_results(workspace: Workspace, name: str = "") -> Iterator[dict[str, Any]]:
    """Yields the results of finished runs, the oldest first, of one recipe or of all."""
    for folder in workspace.run_folders(name):
        result = fileio.read_json(folder.result)
        if result and name in ("", result["recipe"]):
            yield result


def _has_published(result: dict[str, Any]) -> bool:
    # A run whose model was live already also names that version, but has skipped this step.
    return any(step["name"] == "publish" and not step.get("skipped") for step in result["steps"])


def _unknown_version(workspace: Workspace, text: str, name: str, versions: list[int]) -> UsageError:
    quick = champions.current_entry(workspace, name).quick if text == name else None
    published = [folder.name for folder in workspace.models.glob("*") if folder.is_dir()]
    numbers = ", ".join(f"{name}@{number}" for number in versions)
    listing = "list them with: keraspipe runs"
    hint = listing if name in published else errors.did_you_mean(name, published) or listing
    if quick:
        hint = f"name the version of the --quick run: {name}@{quick.version}; or run: keraspipe run {name}"
    return UsageError(
        f"There is no published version {text} in {workspace}.",
        expected=numbers or "NAME@VERSION of a published model, or NAME for the champion",
        received=text,
        action=hint,
    )
