"""TFDV's statistics, schema and anomalies as plain values, read without importing TFDV or TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = ("train", "eval", "test")
BYTES = "__BYTES_VALUE__"  # how TFDV writes what is no text
MOST_VALUES = 20


@dataclass(frozen=True)
class Bucket:
    """One bar: how many values lie from `low` to `high`."""

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
        values: The most frequent values and how often each comes; empty for numbers and bytes.
        unique: Different values; 0 for a number.
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
        declared: What the schema asks of it, in words.
        splits: {split: Column}.
        anomalies: What is wrong with it, in words.
    """

    name: str
    kind: str
    declared: str
    splits: dict[str, Column]
    anomalies: list[str]


def rows(folder: Path) -> dict[str, int]:
    """Rows of each split from StatisticsGen's output folder."""
    return {split: int(found.num_examples) for split, found in _statistics(folder).items()}


def features(statistics: Path, schema: Path, anomalies: list[str]) -> list[Feature]:
    """All features in the order of the schema.

    Args:
        statistics: StatisticsGen's output folder.
        schema: The schema that the data were validated against, in text format.
        anomalies: Lines `SPLIT: FEATURE: WORDS`.
    """
    splits = _statistics(statistics)
    found = {split: {_name(one): one for one in dataset.features} for split, dataset in splits.items()}
    declared = declarations(schema)
    names = dict.fromkeys([*declared, *(name for one in found.values() for name in one)])
    return [
        Feature(
            name=name,
            kind=_kind([one[name] for one in found.values() if name in one]),
            declared=declared.get(name, "not in the schema"),
            splits={split: _column(found[split].get(name), int(splits[split].num_examples)) for split in splits},
            anomalies=[line for line in anomalies if line.split(": ")[1:2] == [name]],
        )
        for name in names
    ]


def declarations(path: Path) -> dict[str, str]:
    """What a schema asks of each feature, in words."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    domains = {domain.name: len(domain.value) for domain in schema.string_domain}
    return {one.name: _declared(one, domains) for one in schema.feature}


def _declared(feature: Any, domains: dict[str, int]) -> str:
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


def _statistics(folder: Path) -> dict[str, Any]:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    found = {}
    for split in SPLITS:
        content = (folder / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        found[split] = DatasetFeatureStatisticsList.FromString(content).datasets[0]
    return found


def _name(feature: Any) -> str:
    return feature.name or ".".join(feature.path.step)


def _kind(several: list[Any]) -> str:
    if any(one.HasField("num_stats") for one in several):
        return "number"
    unreadable = any(one.string_stats.invalid_utf8_count for one in several)
    return "bytes" if unreadable or any(BYTES in _values(one.string_stats) for one in several) else "text"


def _column(feature: Any, rows: int) -> Column:
    if feature is None:
        return Column(rows, rows)
    stats = feature.num_stats if feature.HasField("num_stats") else feature.string_stats
    missing = int(rows - stats.common_stats.num_non_missing)
    if feature.HasField("num_stats"):
        return Column(rows, missing, _numbers(stats), _buckets(stats))
    values = {name: count for name, count in _values(stats).items() if name != BYTES}
    return Column(rows, missing, values=values, unique=int(stats.unique), length=float(stats.avg_length))


def _numbers(stats: Any) -> dict[str, float]:
    return {
        "mean": stats.mean,
        "std": stats.std_dev,
        "min": stats.min,
        "median": stats.median,
        "max": stats.max,
        "zeros": stats.num_zeros,
        "values per row": stats.common_stats.avg_num_values,
    }


def _buckets(stats: Any) -> list[Bucket]:
    standard = [one for one in stats.histograms if one.type == one.STANDARD]
    return [Bucket(b.low_value, b.high_value, b.sample_count) for one in standard[:1] for b in one.buckets]


def _values(stats: Any) -> dict[str, float]:
    ranked = {bucket.label: bucket.sample_count for bucket in stats.rank_histogram.buckets}
    named = ranked or {one.value: one.frequency for one in stats.top_values}
    return dict(sorted(named.items(), key=lambda item: -item[1])[:MOST_VALUES])
