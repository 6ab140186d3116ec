"""Compares a recipe's logged requests, or the data of a new run, with the training data of its live model.

`ModelHealth` is the state of one recipe: its live version (the champion), and the report on its requests.
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
from pipeline.monitoring.features import HEAVY_ROLES
from pipeline.monitoring.report import Report
from pipeline.monitoring.traffic import TrafficFilter
from pipeline.store import champions as store_champions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.monitoring.features import Feature
    from pipeline.monitoring.profile import Baseline
    from pipeline.monitoring.traffic import Traffic
    from pipeline.store.layout import Workspace


HEAVY_BYTES = 256 << 20  # of images, recordings and texts are read at most; larger logs are sampled evenly
NO_LOG_HINT = "tensorflow/serving logs none; keraspipe serve does with --request-log DIR"
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def compare_requests(
    workspace: Workspace, name: str, log: Path, since: float = 0.0, allowed: Mapping[str, float] | None = None
) -> Report:
    """Compares a model's requests with the training data of the champion.

    Args:
        workspace: The workspace.
        name: The recipe.
        log: The request log, or a file of it.
        since: Unix time of the earliest request that counts.
        allowed: Tolerances by feature or axis (see `drift.compare`).

    Raises:
        UsageError: Nothing is published under that name.
        PipelineError: There is no log, or the training data do not exist any more.
    """
    champion, source = baseline.find_champion(workspace, name)
    frame = baseline.load_baseline(workspace, name, source)
    inputs = source.inputs or tuple(feature.name for feature in frame.features)
    features = tuple(feature for feature in frame.features if feature.name in inputs)
    paths = traffic.log_files(log, name)
    rate = _sampling_rate(paths, features)
    known = predictions.load(workspace.answers(name, champion.digest))
    requests = traffic.read_traffic(paths, TrafficFilter(name, features, since, rate, known, champion.version))
    sides = drift.pair_sides(frame, inputs, requests.profile)
    if known:
        sides += drift.pair_sides(known.frame, predictions.ROLES, requests.answers)
    return Report(
        name=name,
        against=f"{frame.training.rows:,} of the {frame.total:,} training rows of version {champion.version}",
        what="requests" if requests.requests == requests.profile.rows else f"rows of {requests.requests:,} requests",
        rows=requests.profile.rows,
        findings=tuple(drift.compare(sides, allowed)),
        notes=tuple(_report_notes(frame, inputs, requests, rate)),
        alerts=tuple(_missing_inputs(features, requests)),
        version=champion.version,
        since=requests.first if requests.requests else 0.0,
        until=requests.last,
    )


def _sampling_rate(paths: list[Path], features: tuple[Feature, ...]) -> float:
    heavy = any(entry.role in HEAVY_ROLES for entry in features)
    total = sum(entry.st_size for entry in map(traffic.stat_file, paths) if entry)
    return min(1.0, HEAVY_BYTES / total) if heavy and total else 1.0


def _missing_inputs(features: tuple[Feature, ...], requests: Traffic) -> list[str]:
    names = [feature.name for feature in features]
    return [f"{name} is in no request" for name in names if requests.requests and not requests.profile.sent.get(name)]


def _report_notes(frame: Baseline, inputs: tuple[str, ...], requests: Traffic, rate: float) -> list[str]:
    known = {feature.name for feature in frame.features}
    notes = list(requests.faults)
    notes += [f"{name} is no feature of the training data and is not compared" for name in inputs if name not in known]
    notes += [f"{name} is sent, but is no input of the model" for name in requests.profile.sent if name not in inputs]
    if requests.answers.rows:
        notes.append(f"{requests.answers.rows:,} answers are compared with the champion's on the test split")
    if rate < 1:
        notes.append(f"the log is large; a share of {rate:.3f} of its requests was looked at")
    if len(requests.versions) > 1:
        shares = ", ".join(f"{count:,} of version {version}" for version, count in sorted(requests.versions.items()))
        notes.append(f"several versions answered: {shares}")
    return notes


@dataclass(frozen=True)
class ModelHealth:
    """State of a recipe at one moment.

    Attributes:
        name: The recipe.
        version: The champion; 0 if no version is live.
        logged: Whether its requests are logged. TensorFlow Serving writes none, the embedded server does.
        report: Comparison of the requests with the training data; None if there is none.
        error: Why the comparison failed; empty if it did not.
        made: Unix time of this state.
    """

    name: str
    version: int = 0
    logged: bool = False
    report: Report | None = None
    error: str = ""
    made: float = field(default_factory=time.time)

    @classmethod
    def from_report(cls, report: Report) -> Self:
        """Returns the state of a recipe from a report."""
        return cls(report.name, report.version, logged=True, report=report, made=report.made)

    @property
    def has_drift(self) -> bool:
        """Whether requests differ from the training data."""
        return self.report is not None and self.report.status == reports.ALERT

    @property
    def outcome(self) -> tuple[object, ...]:
        """The values whose change makes a full report necessary."""
        state = (self.report.status, *reports.alert_features(self.report)) if self.report else ()
        return (self.version, self.logged, self.error, *state)

    @property
    def headline(self) -> str:
        """Summary in one line."""
        if self.report:
            return reports.headline(self.report)
        if self.error:
            return f"{self.name}: version {self.version}, drift is not known: {self.error}"
        if not self.version:
            return f"{self.name}: no version is live"
        return f"{self.name}: version {self.version}, drift is not known: no requests are logged ({NO_LOG_HINT})"

    def as_json(self) -> dict[str, Any]:
        """Returns the object of `--all --json`."""
        facts = {"name": self.name, "version": self.version, "request_log": self.logged, "error": self.error}
        return {**facts, "made": self.made, "report": self.report.as_json() if self.report else None}


def list_recipes(workspace: Workspace) -> list[str]:
    """Returns the recipes that have a published version, live or not."""
    published = {
        folder.name for folder in workspace.models.glob("*") if store_champions.versions(workspace, folder.name)
    }
    return sorted(published.union(store_champions.recipe_names(workspace)))


def list_champions(workspace: Workspace) -> list[ModelHealth]:
    """Returns the live version of each recipe, without reading requests."""
    return [_champion_health(workspace, name) for name in list_recipes(workspace)]


def check_health(
    workspace: Workspace, name: str, log: Path, since: float = 0.0, allowed: Mapping[str, float] | None = None
) -> ModelHealth:
    """Checks a recipe; the arguments are those of `compare_requests`.

    An error becomes part of the result, because one broken recipe must not stop the monitoring of the others.
    """
    health = _champion_health(workspace, name)
    if not health.version:
        return health
    logged = False
    try:
        logged = _has_log(log, name)
        report = compare_requests(workspace, name, log, since, allowed) if logged else None
    except Exception as error:  # noqa: BLE001  (see above)
        return ModelHealth(name, health.version, logged=logged, error=_error_line(error))
    return ModelHealth.from_report(report) if report else health


def _champion_health(workspace: Workspace, name: str) -> ModelHealth:
    try:
        live = store_champions.read_champion(workspace, name)
    except (PipelineError, OSError) as error:
        return ModelHealth(name, error=_error_line(error))
    return ModelHealth(name, live.version if live else 0)


def _has_log(log: Path, name: str) -> bool:
    return log.exists() and bool(traffic.log_files(log, name))


def _error_line(error: Exception) -> str:
    """Returns an error as one line."""
    kind = "" if isinstance(error, PipelineError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


def compare_new_data(workspace: Workspace, name: str, examples: Path) -> Report | None:
    """Reports on the training split of new data; None if there is nothing to compare with, or no new data.

    All features are compared, labels too. A failed comparison does not stop a run: the report has the reason.

    Args:
        workspace: The workspace.
        name: The recipe.
        examples: The ingest's artifact of this run.
    """
    live = store_champions.read_champion(workspace, name)
    source = baseline.read_origin(workspace, live.run_id) if live else None
    if live is None or source is None or source.examples == examples:
        return None
    against = f"the data of version {live.version}"
    try:
        return _new_data_report(workspace, name, examples, source, against)
    except (PipelineError, OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        return Report(name, against, "rows of the new data", 0, (), (f"they could not be compared: {reason}",))


def _new_data_report(workspace: Workspace, name: str, examples: Path, source: baseline.Origin, against: str) -> Report:
    frame = baseline.load_baseline(workspace, name, source)
    profile = baseline.profile_sample(examples, frame.features)
    names = tuple(entry.name for entry in frame.features)
    new = [f"{entry} is new" for entry in profile.sent if entry not in names]
    gone = [f"{entry} is in no row" for entry in names if not profile.sent.get(entry)]
    findings = tuple(drift.compare(drift.pair_sides(frame, names, profile)))
    return Report(name, against, "rows of the new data", profile.rows, findings, tuple(new), tuple(gone))


def parse_since(text: str, now: float | None = None) -> float:
    """Parses a time to Unix time.

    Args:
        text: How long ago ("90s", "30m", "2h", "7d", "1w"), or an ISO date or time; local without a time zone.
        now: Current Unix time; by default that of the clock.

    Raises:
        UsageError: The text is neither.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return (time.time() if now is None else now) - float(ago[1]) * _UNIT_SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()  # naive ones are local
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text!r} is no time.",
            expected='how long ago, such as "30m", "2h" or "7d", or a time such as "2026-11-21T09:30"',
            received=text,
            action="keraspipe monitor --help",
        ) from error
