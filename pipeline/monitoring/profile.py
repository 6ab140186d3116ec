"""Rows as they were counted: a summary whose size does not depend on how many there were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.monitoring.feature import Feature
    from pipeline.monitoring.rows import Rows


@dataclass(frozen=True)
class Profile:
    """Counts on the axes of a frame.

    Attributes:
        rows: How many rows were counted.
        counts: Rows per cell (cells,), by the axis' key.
        sent: In how many rows each feature had a place, those that no axis knows, too.
    """

    rows: int = 0
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        """The profile of both together."""
        return Profile(self.rows + other.rows, _sum(self.counts, other.counts), _sum(self.sent, other.sent))

    def as_json(self) -> dict[str, Any]:
        """The profile as JSON."""
        return {
            "rows": self.rows,
            "counts": {key: cells.tolist() for key, cells in self.counts.items()},
            "sent": dict(self.sent),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Profile:
        """The profile that `as_json` gave."""
        counts = {key: np.asarray(cells, np.int64) for key, cells in found["counts"].items()}
        return cls(found["rows"], counts, found["sent"])


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *(key for key in other if key not in one))}


def counted(features: Iterable[Feature], rows: Rows) -> Profile:
    """The profile of some rows."""
    counts: dict[str, np.ndarray] = {}
    for feature in features:
        counts |= feature.counts(rows.columns.get(feature.name) or [None] * rows.count)
    return Profile(rows.count, counts, dict.fromkeys(rows.columns, rows.count))
