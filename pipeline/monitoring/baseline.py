"""The baseline of a model: where its training data are stored, a sample of them, and its histograms.

One half of the sample defines the cells of the histograms, the other half is counted in them. So values outside the
cells, such as rare words, count the same in the training data and in requests. The workspace caches baselines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError, UsageError
from pipeline.monitoring import features
from pipeline.monitoring.profile import Baseline, FeatureBuilder, Profile, Rows, count_rows, example_type
from pipeline.store import champions, fileio, journal
from serving.request_log import tfrecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.monitoring.features import Feature
    from pipeline.store.champions import ModelVersion
    from pipeline.store.layout import Workspace


LIGHT_ROWS = 50_000  # the most rows that are read of numbers and categories
HEAVY_ROWS = 10_000  # the most rows of images, recordings and texts
PEEK_ROWS = 500  # rows from which the kind of a feature is inferred
BATCH_ROWS = 1000
BATCH_BYTES = 16 << 20
BASELINE_FORMAT = 1  # version of the cached baselines
DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Sample:
    """Some rows of a split, selected by their numbers.

    Attributes:
        folder: The split, with TFRecords of `tf.train.Example`.
        chosen: For each row of the split (rows,): 0 not in the sample, 1 first half, 2 second half.
    """

    folder: Path
    chosen: np.ndarray

    def batches(self, *halves: int) -> Iterator[Rows]:
        """Yields the rows of these halves in batches."""
        parse, rows, size = example_type().FromString, Rows(), 0
        for half, record in zip(self.chosen, _read_records(self.folder), strict=False):
            if half in halves:
                rows.add_example(parse(record))
                size += len(record)
            if size > BATCH_BYTES or rows.count == BATCH_ROWS:
                yield rows
                rows, size = Rows(), 0
        if rows.count:
            yield rows


def _read_records(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.tfrecord*")):
        with path.open("rb") as file:
            yield from tfrecord.read_records(file)


def draw_halves(rows: int, limit: int) -> np.ndarray:
    """Draws at most `limit` rows with a fixed seed, in two random halves: 0, 1 or 2 for each row (rows,)."""
    order = np.random.default_rng(0).permutation(rows)
    size = min(limit, rows)
    halves = np.zeros(rows, np.int8)
    halves[order[: size // 2]], halves[order[size // 2 : size]] = 1, 2
    return halves


def draw_sample(examples: Path) -> Baseline:
    """Returns the baseline of an ingest's training split.

    Args:
        examples: The artifact's folder, with `Split-train` and `report.json`.
    """
    total = count_training_rows(examples)
    split = examples / "Split-train"
    roles = _detect_roles(Sample(split, draw_halves(total, PEEK_ROWS)))
    sample = Sample(split, draw_halves(total, max_rows(roles.values())))
    fittings = [FeatureBuilder(name, role) for name, role in roles.items()]
    for rows in sample.batches(1):
        for fitting in fittings:
            fitting.add(rows.columns.get(fitting.name, [None] * rows.count))
    features = tuple(fitting.feature() for fitting in fittings)
    return Baseline(features, profile_sample(examples, features), total)


def count_training_rows(examples: Path) -> int:
    """Returns the number of rows of the training split."""
    return int(fileio.read_json(examples / "report.json")["rows"]["train"])


def max_rows(roles: Iterable[str]) -> int:
    """Returns how many rows are read at most, for features of these kinds."""
    return HEAVY_ROWS if set(roles) & set(features.HEAVY_ROLES) else LIGHT_ROWS


def profile_sample(examples: Path, features: tuple[Feature, ...]) -> Profile:
    """Returns the profile of the second half of a sample of a training split."""
    sample = Sample(
        examples / "Split-train", draw_halves(count_training_rows(examples), max_rows(entry.role for entry in features))
    )
    return sum((count_rows(features, rows) for rows in sample.batches(2)), Profile())


def _detect_roles(peek: Sample) -> dict[str, str]:
    columns: dict[str, list[object]] = {}
    for rows in peek.batches(1, 2):
        for name, values in rows.columns.items():
            columns.setdefault(name, []).extend(values)
    roles = {name: features.detect_role(values) for name, values in sorted(columns.items())}
    return {name: role for name, role in roles.items() if role}


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: the data and inputs of its run.

    Attributes:
        examples: The ingest's artifact: the splits, and `report.json`.
        inputs: Names of the inputs of the published model's `serving_default`; empty if nothing was registered.
    """

    examples: Path
    inputs: tuple[str, ...]


def read_origin(workspace: Workspace, run_id: str) -> Origin | None:
    """Returns the origin of a run's model; None if its journal does not have it.

    The journal is read and not ML Metadata, because its paths are relative to the workspace, which may have been moved.
    """
    examples, inputs = None, ()
    for event, _ in journal.iter_events(workspace.run(run_id).journal):
        if event["event"] == "file" and event["path"].endswith("/report.json") and "/ingest/" in event["path"]:
            examples = workspace.inside(event["path"]).parent
        if event["event"] == "register":
            inputs = tuple(event["signatures"].get(DEFAULT_SIGNATURE, {}).get("inputs", ()))
    return Origin(examples, inputs) if examples else None


def find_champion(workspace: Workspace, name: str) -> tuple[ModelVersion, Origin]:
    """Returns the champion (live version) of a recipe and its origin.

    Raises:
        UsageError: Nothing is published.
        PipelineError: The journal of its run is missing or has no data.
    """
    entry = champions.read_champion(workspace, name)
    if entry is None:
        raise UsageError(
            f"No model {name!r} is published in {workspace}.",
            expected="a published model",
            received=name,
            action=f"run: keraspipe run {name}",
        )
    origin = read_origin(workspace, entry.run_id)
    if origin is None:
        raise PipelineError(
            f"The training data of version {entry.version} of {name} are not known.",
            expected=f"the journal of its run {entry.run_id}",
            received="no journal, or one without data",
            action=f"run it again: keraspipe run {name} --no-cache",
        )
    return entry, origin


def load_baseline(workspace: Workspace, name: str, origin: Origin) -> Baseline:
    """Returns the baseline of a run's training data, from the workspace's cache if it is there.

    The cache's key is the data and not the model, because several models may have the same training data.

    Raises:
        PipelineError: The data do not exist any more, and their baseline is not cached.
    """
    path = workspace.baseline(name, origin.examples.name)
    content: dict[str, Any] = fileio.read_json(path, {})
    if content.get("format") == BASELINE_FORMAT:
        return Baseline.from_json(content["frame"])
    if not (origin.examples / "report.json").exists():
        raise PipelineError(
            f"The training data of {name} do not exist any more.",
            expected=f"the splits in {origin.examples}",
            received="no such folder",
            action=f"make them again: keraspipe run {name} --no-cache",
        )
    baseline = draw_sample(origin.examples)
    fileio.write_json(path, {"format": BASELINE_FORMAT, "frame": baseline.as_json()})
    return baseline
