"""The published version that a command's NAME or NAME@VERSION means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.commands import _common
from pipeline.errors import UsageError
from pipeline.recipes import catalog
from pipeline.runs import versions
from pipeline.store import champions

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings


def split_version(text: str) -> tuple[str, int | None]:
    """The name and the version of `NAME@VERSION`; no version where there is none."""
    name, _, number = text.rpartition("@")
    return (name, int(number)) if name and number.isdecimal() else (text, None)


def find_published(name: str, settings: Settings) -> tuple[Path, str]:
    """Returns the folder of NAME@VERSION, or of the champion of NAME with its digest.

    Raises:
        UsageError: There is no such version.
    """
    if split_version(name)[1]:
        version = versions.find_version(settings.workspace, name)
        return settings.workspace.model(version.name, version.number), ""
    live = champions.read_champion(settings.workspace, name)
    if live is None:
        received, action = _common.describe_unpublished(settings.workspace, name)
        raise UsageError(
            f"No model {name!r} is published in {settings.workspace}.",
            expected="a published model",
            received=received or name,
            action=action or f"run: keraspipe run {catalog.find_recipe(name, settings).name}",
        )
    return settings.workspace.model(name, live.version), live.digest
