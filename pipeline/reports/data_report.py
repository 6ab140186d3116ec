"""The report as one HTML file.

Distributions as SVG within the page: bars of values, and histograms of numbers, the splits over each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.reports import data_statistics, templating
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.reports.data_statistics import Bucket, Column


TEMPLATE = Path(__file__).parent / "statistics.html.jinja"
MOST_FEATURES = 300
MOST_BAD = 200
COLOURS = {"train": "#4c78a8", "eval": "#f58518", "test": "#54a24b"}
WIDTH, HEIGHT = 520, 130
NAME, BAR, ROW = 150, 300, 24  # widths of a value's name and of the longest bar; height of a value
SHOWN = 22  # characters of a value


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
    anomalies = fileio.read_json(sources.anomalies)
    report = fileio.read_json(sources.report)
    features = data_statistics.features(sources.statistics, sources.schema, anomalies)
    facts = {
        "name": name,
        "digest": digest,
        "rows": data_statistics.rows(sources.statistics),
        "anomalies": anomalies,
        "bad": report.get("bad", [])[:MOST_BAD],
        "bad_count": len(report.get("bad", [])),
        "sound": report.get("sound", 0),
        "straddling": report.get("straddling", 0),
        "features": [_shown(feature) for feature in features[:MOST_FEATURES]],
        "left_out": max(len(features) - MOST_FEATURES, 0),
        "colours": COLOURS,
    }
    return templating.render_template(TEMPLATE, facts)


def _shown(feature: data_statistics.Feature) -> Mapping[str, Any]:
    """A feature with its drawing and its table."""
    from markupsafe import Markup

    drawn = histogram(feature.splits) if feature.kind == "number" else bars(feature.splits)
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


def _columns(feature: data_statistics.Feature) -> list[str]:
    numbers = ["mean", "std", "min", "median", "max", "zeros", "values per row"]
    return ["rows", "missing", *(numbers if feature.kind == "number" else ["different", f"mean {_unit(feature.kind)}"])]


def _unit(kind: str) -> str:
    return "bytes" if kind == "bytes" else "length"


def _cells(kind: str, column: data_statistics.Column) -> list[str]:
    share = f"{column.missing / max(column.rows, 1):.2%}" if column.missing else "0"
    first = [f"{column.rows:,}", share]
    if kind == "number":
        return [*first, *(f"{value:,.5g}" for value in column.numbers.values())]
    return [*first, f"{column.unique:,}", f"{column.length:,.1f}"]


def histogram(splits: Mapping[str, Column]) -> str:
    """Share of the values per bucket, by split on one axis; empty where no split has numbers.

    The buckets of each split reach from its own least to its own greatest value, so heights are shares per width.
    """
    known = {split: _finite(column.buckets) for split, column in splits.items()}
    known = {split: buckets for split, buckets in known.items() if buckets}
    if not known:
        return ""
    low = min(buckets[0].low for buckets in known.values())
    high = max(buckets[-1].high for buckets in known.values())
    densities = {split: _densities(buckets, high - low) for split, buckets in known.items()}
    top = max(max(values) for values in densities.values()) or 1.0
    lines = [_outline(known[split], densities[split], low, high - low, top, split) for split in known]
    axis = f'<line x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}" stroke="#999"/>'
    words = (
        f'<text x="0" y="{HEIGHT + 15}">{low:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 15}" text-anchor="end">{high:.4g}</text>'
    )
    return _svg(WIDTH, HEIGHT + 20, "".join([*lines, axis, words]), "histogram")


def _finite(buckets: Sequence[Bucket]) -> list[Bucket]:
    return [one for one in buckets if math.isfinite(one.low) and math.isfinite(one.high)]


def _densities(buckets: Sequence[Bucket], span: float) -> list[float]:
    """Share per width, the whole axis being 1 wide; a bucket without a width is drawn as a hundredth."""
    total = sum(one.count for one in buckets) or 1.0
    return [one.count / total / max((one.high - one.low) / (span or 1.0), 0.01) for one in buckets]


def _outline(
    buckets: Sequence[Bucket], densities: Sequence[float], low: float, span: float, top: float, split: str
) -> str:
    points = [(0.0, 0.0)]
    for bucket, density in zip(buckets, densities, strict=True):
        left = (bucket.low - low) / (span or 1.0) * WIDTH
        right = max((bucket.high - low) / (span or 1.0) * WIDTH, left + WIDTH / 100)
        points += [(left, density / top * HEIGHT), (right, density / top * HEIGHT)]
    points[0] = (points[1][0], 0.0)
    points.append((points[-1][0], 0.0))
    path = " ".join(f"{x:.1f},{HEIGHT - y:.1f}" for x, y in points)
    fill = "0.25" if split == "train" else "0"
    colour = COLOURS[split]
    return f'<polygon points="{path}" fill="{colour}" fill-opacity="{fill}" stroke="{colour}" stroke-width="1.6"/>'


def bars(splits: Mapping[str, Column]) -> str:
    """Share of the rows that have each of the most frequent values, by split; empty where there are none."""
    names = list(dict.fromkeys(name for column in splits.values() for name in column.values))
    if not names:
        return ""
    shares = {
        split: {name: count / max(column.rows, 1) for name, count in column.values.items()}
        for split, column in splits.items()
    }
    top = max(value for one in shares.values() for value in one.values()) or 1.0
    rows = "".join(_row(index, name, shares, top) for index, name in enumerate(names))
    return _svg(NAME + BAR + 70, ROW * len(names), rows, "most frequent values")


def _row(index: int, name: str, shares: Mapping[str, Mapping[str, float]], top: float) -> str:
    y, height = index * ROW, (ROW - 4) / len(shares)
    shown = name if len(name) <= SHOWN else name[: SHOWN - 1] + "…"
    parts = [f'<text x="{NAME - 8}" y="{y + ROW / 2 + 2}" text-anchor="end">{escape(shown) or "(empty)"}</text>']
    for place, (split, values) in enumerate(shares.items()):
        width = values.get(name, 0.0) / top * BAR
        parts.append(
            f'<rect x="{NAME}" y="{y + place * height:.1f}" width="{width:.1f}" height="{height - 0.5:.1f}" '
            f'fill="{COLOURS[split]}"><title>{split}: {values.get(name, 0.0):.2%}</title></rect>'
        )
    first = next(iter(shares.values())).get(name, 0.0)
    parts.append(f'<text x="{NAME + BAR + 8}" y="{y + ROW / 2 + 2}">{first:.1%}</text>')
    return "".join(parts)


def _svg(width: int, height: int, inside: str, label: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg {size} role="img" aria-label="{label}">{inside}</svg>'
