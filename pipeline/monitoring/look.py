"""A look at a recipe: which version is live, and whether its requests still look like its training data."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pipeline import champion
from pipeline.errors import PipelineError
from pipeline.monitoring import report as reports
from pipeline.monitoring import traffic
from pipeline.monitoring.requests import monitored

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.monitoring.report import Report
    from pipeline.workspace import Workspace

LOGGING = "tensorflow/serving logs none; keraspipe serve does with --request-log DIR"


@dataclass(frozen=True)
class Look:
    """What is known of a recipe at a moment.

    Attributes:
        name: The recipe.
        version: The champion's; 0 where no version is live.
        logged: Whether there is a log of its requests. TensorFlow Serving writes none, the embedded server does.
        report: The requests beside the training data; None where they were not compared.
        error: Why they could not be compared, although they should have been; else empty.
        made: Unix time.
    """

    name: str
    version: int = 0
    logged: bool = False
    report: Report | None = None
    error: str = ""
    made: float = field(default_factory=time.time)

    @classmethod
    def of(cls, report: Report) -> Self:
        """The look that gave a report."""
        return cls(report.name, report.version, logged=True, report=report, made=report.made)

    @property
    def drifts(self) -> bool:
        """Whether requests have moved away from the training data."""
        return self.report is not None and self.report.status == reports.ALERT

    @property
    def outcome(self) -> tuple[object, ...]:
        """What is worth telling in full when it is another than before."""
        found = (self.report.status, *reports.features(self.report)) if self.report else ()
        return (self.version, self.logged, self.error, *found)

    @property
    def headline(self) -> str:
        """One line."""
        if self.report:
            return reports.headline(self.report)
        if self.error:
            return f"{self.name}: version {self.version}, drift is not known: {self.error}"
        if not self.version:
            return f"{self.name}: no version is live"
        return f"{self.name}: version {self.version}, drift is not known: no requests are logged ({LOGGING})"

    def as_json(self) -> dict[str, Any]:
        """The look as `--all --json` tells it."""
        found = {"name": self.name, "version": self.version, "request_log": self.logged, "error": self.error}
        return {**found, "made": self.made, "report": self.report.as_json() if self.report else None}


def recipes(workspace: Workspace) -> list[str]:
    """The recipes that have a published version, live or not."""
    published = {folder.name for folder in workspace.models.glob("*") if champion.versions(workspace, folder.name)}
    return sorted(published.union(champion.names(workspace)))


def champions(workspace: Workspace) -> list[Look]:
    """Which version of each recipe is live; no requests are read."""
    return [_look(workspace, name) for name in recipes(workspace)]


def look(
    workspace: Workspace, name: str, log: Path, since: float = 0.0, allowed: Mapping[str, float] | None = None
) -> Look:
    """Looks at a recipe; the arguments are those of `monitored`.

    What goes wrong is a part of what is seen: whoever watches many recipes must not be blinded by one.
    """
    found = _look(workspace, name)
    if not found.version:
        return found
    logged = False
    try:
        logged = _logged(log, name)
        report = monitored(workspace, name, log, since, allowed) if logged else None
    except Exception as error:  # noqa: BLE001  (see above)
        return Look(name, found.version, logged=logged, error=_reason(error))
    return Look.of(report) if report else found


def _look(workspace: Workspace, name: str) -> Look:
    try:
        live = champion.read(workspace, name)
    except (PipelineError, OSError) as error:
        return Look(name, error=_reason(error))
    return Look(name, live.version if live else 0)


def _logged(log: Path, name: str) -> bool:
    return log.exists() and bool(traffic.files(log, name))


def _reason(error: Exception) -> str:
    """An error in one line."""
    kind = "" if isinstance(error, PipelineError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())
