"""The report as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import atomic, template
from pipeline.tracking.statistics import drawing, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE = Path(__file__).parent / "statistics.html.jinja"
MOST_FEATURES = 300
MOST_BAD = 200


@dataclass(frozen=True)
class Sources:
    """Where the data's facts lie.

    Attributes:
        statistics: StatisticsGen's output folder.
        schema: The schema in text format.
        anomalies: JSON, lines `SPLIT: FEATURE: WORDS`.
        report: What ingest found, JSON.
    """

    statistics: Path
    schema: Path
    anomalies: Path
    report: Path


def html(name: str, digest: str, sources: Sources) -> str:
    """The page.

    Args:
        name: The recipe.
        digest: Fingerprint of the data.
        sources: Where the facts lie.
    """
    anomalies = atomic.read_json(sources.anomalies)
    report = atomic.read_json(sources.report)
    features = reading.features(sources.statistics, sources.schema, anomalies)
    facts = {
        "name": name,
        "digest": digest,
        "rows": reading.rows(sources.statistics),
        "anomalies": anomalies,
        "bad": report.get("bad", [])[:MOST_BAD],
        "bad_count": len(report.get("bad", [])),
        "sound": report.get("sound", 0),
        "straddling": report.get("straddling", 0),
        "features": [_shown(feature) for feature in features[:MOST_FEATURES]],
        "left_out": max(len(features) - MOST_FEATURES, 0),
        "colours": drawing.COLOURS,
    }
    return template.rendered(TEMPLATE, facts)


def _shown(feature: reading.Feature) -> Mapping[str, Any]:
    """A feature with its drawing and its table."""
    from markupsafe import Markup

    drawn = drawing.histogram(feature.splits) if feature.kind == "number" else drawing.bars(feature.splits)
    return {
        "name": feature.name,
        "kind": feature.kind,
        "declared": feature.declared,
        "anomalies": feature.anomalies,
        "drawing": Markup(drawn),  # noqa: S704  (made of numbers and of escaped values)
        "columns": _columns(feature),
        "rows": {split: _cells(feature.kind, column) for split, column in feature.splits.items()},
        "missing": max(column.missing / max(column.rows, 1) for column in feature.splits.values()),
    }


def _columns(feature: reading.Feature) -> list[str]:
    numbers = ["mean", "std", "min", "median", "max", "zeros", "values per row"]
    return ["rows", "missing", *(numbers if feature.kind == "number" else ["different", f"mean {_unit(feature.kind)}"])]


def _unit(kind: str) -> str:
    return "bytes" if kind == "bytes" else "length"


def _cells(kind: str, column: reading.Column) -> list[str]:
    share = f"{column.missing / max(column.rows, 1):.2%}" if column.missing else "0"
    first = [f"{column.rows:,}", share]
    if kind == "number":
        return [*first, *(f"{value:,.5g}" for value in column.numbers.values())]
    return [*first, f"{column.unique:,}", f"{column.length:,.1f}"]
