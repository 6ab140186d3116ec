"""TFDV's statistics, schema and anomalies as plain values, read without importing TFDV or TensorFlow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.features import dates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SPLITS = ("train", "eval", "test")
BYTES_MARK = "__BYTES_VALUE__"  # TFDV's mark for bytes that are not text
MAX_VALUES = 20


@dataclass(frozen=True)
class Bucket:
    """One bar of a histogram: the number of values from `low` to `high`."""

    low: float
    high: float
    count: float


@dataclass(frozen=True)
class Column:
    """One feature in one split.

    Attributes:
        rows: Rows of the split.
        missing: Rows without a value.
        numbers: Mean, deviation, extremes, … by name; empty for text and bytes.
        buckets: Histogram of a number.
        values: The most frequent values and their counts, of dates all months; empty for numbers and bytes.
        unique: Number of distinct values; 0 for a number.
        length: Mean length of a text or of bytes.
    """

    rows: int
    missing: int
    numbers: dict[str, float] = field(default_factory=dict)
    buckets: list[Bucket] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    unique: int = 0
    length: float = 0.0


@dataclass(frozen=True)
class Feature:
    """One feature over the splits.

    Attributes:
        name: Its name.
        kind: "number", "text" or "bytes".
        declared: The requirements of the schema, in words.
        splits: {split: Column}.
        anomalies: Descriptions of its anomalies.
    """

    name: str
    kind: str
    declared: str
    splits: dict[str, Column]
    anomalies: list[str]


def count_rows(folder: Path) -> dict[str, int]:
    """Reads the number of rows of each split from StatisticsGen's output folder."""
    return {split: int(statistics.num_examples) for split, statistics in _read_statistics(folder).items()}


def read_features(statistics: Path, schema: Path, anomalies: list[str]) -> list[Feature]:
    """Reads all features in the order of the schema.

    Args:
        statistics: StatisticsGen's output folder.
        schema: The schema that the data were validated against, in text format.
        anomalies: Lines `SPLIT: FEATURE: WORDS`.
    """
    splits = _read_statistics(statistics)
    by_split = {split: {_feature_name(entry): entry for entry in dataset.features} for split, dataset in splits.items()}
    declared = read_declarations(schema)
    names = dict.fromkeys([*declared, *(name for entry in by_split.values() for name in entry)])
    return [
        Feature(
            name=name,
            kind=_feature_kind([entry[name] for entry in by_split.values() if name in entry]),
            declared=declared.get(name, "not in the schema"),
            splits={
                split: _make_column(by_split[split].get(name), int(splits[split].num_examples)) for split in splits
            },
            anomalies=[line for line in anomalies if line.split(": ")[1:2] == [name]],
        )
        for name in names
    ]


def read_declarations(path: Path) -> dict[str, str]:
    """Describes the requirements of a schema for each feature, in words."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    domains = {domain.name: len(domain.value) for domain in schema.string_domain}
    return {feature.name: _describe_declaration(feature, domains) for feature in schema.feature}


def _describe_declaration(feature: Any, domains: dict[str, int]) -> str:
    from tensorflow_metadata.proto.v0 import schema_pb2

    words = [schema_pb2.FeatureType.Name(feature.type).lower()]
    if feature.HasField("presence"):
        share = feature.presence.min_fraction
        words.append("in every row" if share == 1 else f"in at least {share:.0%} of the rows")
    sizes = [dim.size for dim in feature.shape.dim]
    if sizes and sizes != [1]:
        words.append("shape " + " x ".join(map(str, sizes)))
    count = domains.get(feature.domain) or len(feature.string_domain.value)
    return ", ".join([*words, f"one of {count} values"] if count else words)


def _read_statistics(folder: Path) -> dict[str, Any]:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    statistics = {}
    for split in SPLITS:
        content = (folder / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        statistics[split] = DatasetFeatureStatisticsList.FromString(content).datasets[0]
    return statistics


def _feature_name(feature: Any) -> str:
    return feature.name or ".".join(feature.path.step)


def _feature_kind(features: list[Any]) -> str:
    if any(feature.HasField("num_stats") for feature in features):
        return "number"
    unreadable = any(feature.string_stats.invalid_utf8_count for feature in features)
    return (
        "bytes"
        if unreadable or any(BYTES_MARK in _top_values(feature.string_stats) for feature in features)
        else "text"
    )


def _make_column(feature: Any, rows: int) -> Column:
    if feature is None:
        return Column(rows, rows)
    stats = feature.num_stats if feature.HasField("num_stats") else feature.string_stats
    missing = int(rows - stats.common_stats.num_non_missing)
    if feature.HasField("num_stats"):
        return Column(rows, missing, _number_statistics(stats), _standard_buckets(stats))
    values = {name: count for name, count in _top_values(stats).items() if name != BYTES_MARK}
    return Column(rows, missing, values=values, unique=int(stats.unique), length=float(stats.avg_length))


def _number_statistics(stats: Any) -> dict[str, float]:
    return {
        "mean": stats.mean,
        "std": stats.std_dev,
        "min": stats.min,
        "median": stats.median,
        "max": stats.max,
        "zeros": stats.num_zeros,
        "values per row": stats.common_stats.avg_num_values,
    }


def _standard_buckets(stats: Any) -> list[Bucket]:
    standard = [histogram for histogram in stats.histograms if histogram.type == histogram.STANDARD]
    return [Bucket(b.low_value, b.high_value, b.sample_count) for histogram in standard[:1] for b in histogram.buckets]


def count_months(values: Mapping[str, float]) -> dict[str, float]:
    """Returns the counts of dates by month, "2024-02", in the order of time; empty if not all values are dates."""
    times = {value: dates.iso(value) for value in values}
    if not times or not all(times.values()):
        return {}
    months: dict[str, float] = defaultdict(float)
    for value, time in times.items():
        months[str(time)[: len("2024-02")]] += values[value]
    return dict(sorted(months.items()))


def _top_values(stats: Any) -> dict[str, float]:
    ranked = {bucket.label: bucket.sample_count for bucket in stats.rank_histogram.buckets}
    named = ranked or {entry.value: entry.frequency for entry in stats.top_values}
    return count_months(named) or dict(sorted(named.items(), key=lambda item: -item[1])[:MAX_VALUES])
