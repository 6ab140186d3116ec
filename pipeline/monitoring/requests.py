"""The report on a model's logged requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.monitoring import answers, comparison, origin, traffic
from pipeline.monitoring.feature import HEAVY
from pipeline.monitoring.report import Report
from pipeline.monitoring.tally import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.monitoring.feature import Feature
    from pipeline.monitoring.frame import Frame
    from pipeline.monitoring.tally import Traffic
    from pipeline.workspace import Workspace

HEAVY_BYTES = 256 << 20  # of images, recordings and texts that are looked at; of a larger log an even share is


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
    champion, source = origin.live(workspace, name)
    frame = origin.frame(workspace, name, source)
    inputs = source.inputs or tuple(one.name for one in frame.features)
    features = tuple(one for one in frame.features if one.name in inputs)
    paths = traffic.files(log, name)
    rate = _rate(paths, features)
    known = answers.load(workspace.answers(name, champion.digest))
    found = traffic.read(paths, Wanted(name, features, since, rate, known, champion.version))
    sides = comparison.sides_of(frame, inputs, found.profile)
    if known:
        sides += comparison.sides_of(known.frame, answers.ROLES, found.answers)
    return Report(
        name=name,
        against=f"{frame.training.rows:,} of the {frame.total:,} training rows of version {champion.version}",
        what="requests" if found.requests == found.profile.rows else f"rows of {found.requests:,} requests",
        rows=found.profile.rows,
        findings=tuple(comparison.findings(sides, allowed)),
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
