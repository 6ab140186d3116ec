"""The report on a model's logged requests.

A look at a recipe: which version is live, and whether its requests still look like its training data.

Before training: new data beside the last blessed data, which are those that the champion has learnt from.

The beginning of a period as people write it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import PipelineError, UsageError
from pipeline.monitoring import baseline, drift, predictions, traffic
from pipeline.monitoring import report as reports
from pipeline.monitoring.features import HEAVY
from pipeline.monitoring.report import Report
from pipeline.monitoring.traffic import Wanted
from pipeline.store import champions as store_champions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.monitoring.features import Feature
    from pipeline.monitoring.profile import Frame
    from pipeline.monitoring.traffic import Traffic
    from pipeline.store.layout import Workspace


HEAVY_BYTES = 256 << 20  # of images, recordings and texts that are looked at; of a larger log an even share is
LOGGING = "tensorflow/serving logs none; keraspipe serve does with --request-log DIR"
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def monitored(
    workspace: Workspace, name: str, log: Path, since: float = 0.0, allowed: Mapping[str, float] | None = None
) -> Report:
    """Compares a model's requests with what the champion has learnt from.

    Args:
        workspace: The workspace.
        name: The recipe.
        log: The request log, or a file of it.
        since: Unix time of the earliest request that counts.
        allowed: What may change without harm, by feature or axis (see `comparison.findings`).

    Raises:
        UsageError: Nothing is published under that name.
        PipelineError: There is no log, or the training data are gone.
    """
    champion, source = baseline.live(workspace, name)
    frame = baseline.frame(workspace, name, source)
    inputs = source.inputs or tuple(one.name for one in frame.features)
    features = tuple(one for one in frame.features if one.name in inputs)
    paths = traffic.files(log, name)
    rate = _rate(paths, features)
    known = predictions.load(workspace.answers(name, champion.digest))
    found = traffic.read(paths, Wanted(name, features, since, rate, known, champion.version))
    sides = drift.sides_of(frame, inputs, found.profile)
    if known:
        sides += drift.sides_of(known.frame, predictions.ROLES, found.answers)
    return Report(
        name=name,
        against=f"{frame.training.rows:,} of the {frame.total:,} training rows of version {champion.version}",
        what="requests" if found.requests == found.profile.rows else f"rows of {found.requests:,} requests",
        rows=found.profile.rows,
        findings=tuple(drift.findings(sides, allowed)),
        notes=tuple(_notes(frame, inputs, found, rate)),
        alerts=tuple(_never_sent(features, found)),
        version=champion.version,
        since=found.first if found.requests else 0.0,
        until=found.last,
    )


def _rate(paths: list[Path], features: tuple[Feature, ...]) -> float:
    heavy = any(one.role in HEAVY for one in features)
    total = sum(one.st_size for one in map(traffic.stat, paths) if one)
    return min(1.0, HEAVY_BYTES / total) if heavy and total else 1.0


def _never_sent(features: tuple[Feature, ...], found: Traffic) -> list[str]:
    names = [one.name for one in features]
    return [f"{name} is in no request" for name in names if found.requests and not found.profile.sent.get(name)]


def _notes(frame: Frame, inputs: tuple[str, ...], found: Traffic, rate: float) -> list[str]:
    known = {one.name for one in frame.features}
    notes = list(found.faults)
    notes += [f"{name} is no feature of the training data and is not compared" for name in inputs if name not in known]
    notes += [f"{name} is sent, but is no input of the model" for name in found.profile.sent if name not in inputs]
    if found.answers.rows:
        notes.append(f"{found.answers.rows:,} answers are beside the champion's answers to rows of the test split")
    if rate < 1:
        notes.append(f"the log is large; a share of {rate:.3f} of its requests was looked at")
    if len(found.versions) > 1:
        shares = ", ".join(f"{count:,} of version {version}" for version, count in sorted(found.versions.items()))
        notes.append(f"several versions answered: {shares}")
    return notes


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
    published = {
        folder.name for folder in workspace.models.glob("*") if store_champions.versions(workspace, folder.name)
    }
    return sorted(published.union(store_champions.recipe_names(workspace)))


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
        live = store_champions.read_champion(workspace, name)
    except (PipelineError, OSError) as error:
        return Look(name, error=_reason(error))
    return Look(name, live.version if live else 0)


def _logged(log: Path, name: str) -> bool:
    return log.exists() and bool(traffic.files(log, name))


def _reason(error: Exception) -> str:
    """An error in one line."""
    kind = "" if isinstance(error, PipelineError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


def compared(workspace: Workspace, name: str, examples: Path) -> Report | None:
    """The report on the training split of new data; None where there is nothing to compare, or nothing new.

    All features are compared, labels too. That it cannot be done is no reason to stop a run: the report says so.

    Args:
        workspace: The workspace.
        name: The recipe.
        examples: The ingest's artifact of this run.
    """
    live = store_champions.read_champion(workspace, name)
    source = baseline.of_run(workspace, live.run_id) if live else None
    if live is None or source is None or source.examples == examples:
        return None
    against = f"the data of version {live.version}"
    try:
        return _report(workspace, name, examples, source, against)
    except (PipelineError, OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        return Report(name, against, "rows of the new data", 0, (), (f"they could not be compared: {reason}",))


def _report(workspace: Workspace, name: str, examples: Path, source: baseline.Origin, against: str) -> Report:
    frame = baseline.frame(workspace, name, source)
    found = baseline.profile(examples, frame.features)
    names = tuple(one.name for one in frame.features)
    new = [f"{one} is new" for one in found.sent if one not in names]
    gone = [f"{one} is in no row" for one in names if not found.sent.get(one)]
    findings = tuple(drift.findings(drift.sides_of(frame, names, found)))
    return Report(name, against, "rows of the new data", found.rows, findings, tuple(new), tuple(gone))


def seconds(text: str, now: float | None = None) -> float:
    """The Unix time that a text means.

    Args:
        text: How long ago ("90s", "30m", "2h", "7d", "1w"), or an ISO date or time; local without a time zone.
        now: The present as Unix time; the clock's if not given.

    Raises:
        UsageError: It is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return (time.time() if now is None else now) - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()  # naive ones are local
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text!r} is no time.",
            expected='how long ago, such as "30m", "2h" or "7d", or a time such as "2026-11-21T09:30"',
            received=text,
            action="keraspipe monitor --help",
        ) from error
