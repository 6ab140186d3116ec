"""The report on a run's data: one HTML file without external resources, with a figure and a table per feature."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console import HUGE, LARGE
from pipeline.reports import data_statistics, templating
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.reports.data_statistics import Bucket, Column


TEMPLATE = Path(__file__).parent / "statistics.html.jinja"
PICTURES = "samples.json"  # next to the report: pictures with what is annotated on them, as PNG in base64
MAX_FEATURES = 300
MAX_BAD_ROWS = 200
MAX_MONTHS = 48
SPLIT_COLOURS = {"train": "#4c78a8", "eval": "#f58518", "test": "#54a24b"}
HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 520, 130
NAME_WIDTH, BAR_WIDTH, ROW_HEIGHT = 150, 300, 24  # widths of a value's name and of the longest bar; height of a value
MAX_NAME_CHARACTERS = 22  # characters of a value


@dataclass(frozen=True)
class Sources:
    """The files with the facts about the data.

    Attributes:
        statistics: StatisticsGen's output folder.
        schema: The schema in text format.
        anomalies: JSON, lines `SPLIT: FEATURE: WORDS`.
        report: The report of `ingest`, JSON.
    """

    statistics: Path
    schema: Path
    anomalies: Path
    report: Path


def render_html(name: str, digest: str, sources: Sources) -> str:
    """Renders the page.

    Args:
        name: The recipe.
        digest: Digest of the data.
        sources: The files with the facts.
    """
    anomalies = fileio.read_json(sources.anomalies)
    report = fileio.read_json(sources.report)
    features = data_statistics.read_features(sources.statistics, sources.schema, anomalies)
    facts = {
        "name": name,
        "digest": digest,
        "rows": data_statistics.count_rows(sources.statistics),
        "anomalies": anomalies,
        "bad": report.get("bad", [])[:MAX_BAD_ROWS],
        "bad_count": len(report.get("bad", [])),
        "sound": report.get("sound", 0),
        "straddling": report.get("straddling", 0),
        "left_out_targets": report.get("left_out", {}),
        "repeated_targets": report.get("repeated", 0),
        "pictures": fileio.read_json(sources.report.with_name(PICTURES), []),
        "features": [_feature_facts(feature) for feature in features[:MAX_FEATURES]],
        "left_out": max(len(features) - MAX_FEATURES, 0),
        "colours": SPLIT_COLOURS,
    }
    return templating.render_template(TEMPLATE, facts)


def _feature_facts(feature: data_statistics.Feature) -> Mapping[str, Any]:
    """Returns a feature with its figure and its table."""
    from markupsafe import Markup

    drawn = draw_histogram(feature.splits) if feature.kind == "number" else draw_bars(feature.splits)
    return {
        "name": feature.name,
        "kind": feature.kind,
        "declared": feature.declared,
        "anomalies": feature.anomalies,
        "drawing": Markup(drawn),  # noqa: S704  (consists of numbers and escaped values)
        "columns": _table_columns(feature),
        "rows": {split: _table_cells(feature.kind, column) for split, column in feature.splits.items()},
        "missing": max(column.missing / max(column.rows, 1) for column in feature.splits.values()),
    }


def _table_columns(feature: data_statistics.Feature) -> list[str]:
    numbers = ["mean", "std", "min", "median", "max", "zeros", "values per row"]
    return [
        "rows",
        "missing",
        *(numbers if feature.kind == "number" else ["different", f"mean {_length_unit(feature.kind)}"]),
    ]


def _length_unit(kind: str) -> str:
    return "bytes" if kind == "bytes" else "length"


def _table_cells(kind: str, column: data_statistics.Column) -> list[str]:
    share = f"{column.missing / max(column.rows, 1):.2%}" if column.missing else "0"
    first = [f"{column.rows:,}", share]
    if kind == "number":
        return [*first, *(_format_value(value) for value in column.numbers.values())]
    return [*first, f"{column.unique:,}", f"{column.length:,.1f}"]


def _format_value(value: float) -> str:
    """Formats a number of a column: five digits, all those of a large whole number."""
    return f"{value:,.0f}" if LARGE <= abs(value) < HUGE else f"{value:,.5g}"


def draw_histogram(splits: Mapping[str, Column]) -> str:
    """Draws the share of values per bucket, all splits on one axis; empty if no split has numbers.

    The buckets of each split cover its own range of values, so heights are shares per width.
    """
    buckets_by_split = {split: _finite_buckets(column.buckets) for split, column in splits.items()}
    buckets_by_split = {split: buckets for split, buckets in buckets_by_split.items() if buckets}
    if not buckets_by_split:
        return ""
    low = min(buckets[0].low for buckets in buckets_by_split.values())
    high = max(buckets[-1].high for buckets in buckets_by_split.values())
    densities = {split: _bucket_densities(buckets, high - low) for split, buckets in buckets_by_split.items()}
    top = max(max(values) for values in densities.values()) or 1.0
    lines = [
        _draw_outline(buckets_by_split[split], densities[split], low, high - low, top, split)
        for split in buckets_by_split
    ]
    axis = f'<line x1="0" y1="{HISTOGRAM_HEIGHT}" x2="{HISTOGRAM_WIDTH}" y2="{HISTOGRAM_HEIGHT}" stroke="#999"/>'
    words = (
        f'<text x="0" y="{HISTOGRAM_HEIGHT + 15}">{_format_value(low)}</text>'
        f'<text x="{HISTOGRAM_WIDTH}" y="{HISTOGRAM_HEIGHT + 15}" text-anchor="end">{_format_value(high)}</text>'
    )
    return _wrap_svg(HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT + 20, "".join([*lines, axis, words]), "histogram")


def _finite_buckets(buckets: Sequence[Bucket]) -> list[Bucket]:
    return [bucket for bucket in buckets if math.isfinite(bucket.low) and math.isfinite(bucket.high)]


def _bucket_densities(buckets: Sequence[Bucket], span: float) -> list[float]:
    """Returns shares per width, for an axis of width 1; a bucket without a width is drawn as a hundredth."""
    total = sum(bucket.count for bucket in buckets) or 1.0
    return [bucket.count / total / max((bucket.high - bucket.low) / (span or 1.0), 0.01) for bucket in buckets]


def _draw_outline(
    buckets: Sequence[Bucket], densities: Sequence[float], low: float, span: float, top: float, split: str
) -> str:
    points = [(0.0, 0.0)]
    for bucket, density in zip(buckets, densities, strict=True):
        left = (bucket.low - low) / (span or 1.0) * HISTOGRAM_WIDTH
        right = max((bucket.high - low) / (span or 1.0) * HISTOGRAM_WIDTH, left + HISTOGRAM_WIDTH / 100)
        points += [(left, density / top * HISTOGRAM_HEIGHT), (right, density / top * HISTOGRAM_HEIGHT)]
    points[0] = (points[1][0], 0.0)
    points.append((points[-1][0], 0.0))
    path = " ".join(f"{x:.1f},{HISTOGRAM_HEIGHT - y:.1f}" for x, y in points)
    fill = "0.25" if split == "train" else "0"
    colour = SPLIT_COLOURS[split]
    return f'<polygon points="{path}" fill="{colour}" fill-opacity="{fill}" stroke="{colour}" stroke-width="1.6"/>'


def draw_bars(splits: Mapping[str, Column]) -> str:
    """Draws the share of rows with each of the most frequent values, by split; empty without values.

    Dates are drawn by month in the order of time, or by year if there are many months.
    """
    counts = _join_months({split: column.values for split, column in splits.items()})
    names = list(dict.fromkeys(name for values in counts.values() for name in values))
    if not names:
        return ""
    names = sorted(names) if _are_months(names) else names
    shares = {
        split: {name: count / max(splits[split].rows, 1) for name, count in values.items()}
        for split, values in counts.items()
    }
    top = max(value for share_by_value in shares.values() for value in share_by_value.values()) or 1.0
    rows = "".join(_draw_row(index, name, shares, top) for index, name in enumerate(names))
    return _wrap_svg(NAME_WIDTH + BAR_WIDTH + 70, ROW_HEIGHT * len(names), rows, "most frequent values")


def _are_months(names: Sequence[str]) -> bool:
    return all(re.fullmatch(r"\d{4}(-\d{2})?", name, re.ASCII) for name in names)


def _join_months(counts: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
    """Returns the counts by year, if the values are more months than a figure has room for."""
    months = {name for values in counts.values() for name in values}
    if len(months) <= MAX_MONTHS or not _are_months(sorted(months)):
        return counts
    years: dict[str, dict[str, float]] = {split: {} for split in counts}
    for split, values in counts.items():
        for month, count in values.items():
            years[split][month[:4]] = years[split].get(month[:4], 0.0) + count
    return years


def _draw_row(index: int, name: str, shares: Mapping[str, Mapping[str, float]], top: float) -> str:
    y, height = index * ROW_HEIGHT, (ROW_HEIGHT - 4) / len(shares)
    label = name if len(name) <= MAX_NAME_CHARACTERS else name[: MAX_NAME_CHARACTERS - 1] + "…"
    parts = [
        f'<text x="{NAME_WIDTH - 8}" y="{y + ROW_HEIGHT / 2 + 2}" text-anchor="end">{escape(label) or "(empty)"}</text>'
    ]
    for place, (split, values) in enumerate(shares.items()):
        width = values.get(name, 0.0) / top * BAR_WIDTH
        parts.append(
            f'<rect x="{NAME_WIDTH}" y="{y + place * height:.1f}" width="{width:.1f}" height="{height - 0.5:.1f}" '
            f'fill="{SPLIT_COLOURS[split]}"><title>{split}: {values.get(name, 0.0):.2%}</title></rect>'
        )
    first = next(iter(shares.values())).get(name, 0.0)
    parts.append(f'<text x="{NAME_WIDTH + BAR_WIDTH + 8}" y="{y + ROW_HEIGHT / 2 + 2}">{first:.1%}</text>')
    return "".join(parts)


def _wrap_svg(width: int, height: int, inside: str, label: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg {size} role="img" aria-label="{label}">{inside}</svg>'
