"""The measurements of a candidate that the gate checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.evaluation.statistics import Comparison

NOT_AVAILABLE = float("nan")


@dataclass(frozen=True)
class Measurements:
    """The measurements of an evaluation.

    Attributes:
        metrics: Metrics of the candidate over the whole test split.
        baseline: Metrics of the champion (the live model) on the same examples; None without one.
        slices: {"slice": "feature=value", "examples", "metrics"} of the candidate.
        confusion: Confusion matrix of counts, rows are the truth; empty if the label is a number.
        refused: Metric and slice (empty for the whole split) of each threshold that TFMA reports as missed.
        comparisons: The paired test of each metric that has values by row, against the champion.
        calibration: Expected calibration error; NaN without probabilities.
        latency_ms: Median time of one row.
        size_mb: Size of the SavedModel, in millions of bytes.
        difference: Largest difference between the answers of the network in memory and those of the export.
    """

    metrics: Mapping[str, float]
    baseline: Mapping[str, float] | None = None
    slices: list[dict[str, Any]] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    calibration: float = NOT_AVAILABLE
    latency_ms: float = NOT_AVAILABLE
    size_mb: float = NOT_AVAILABLE
    difference: float = NOT_AVAILABLE
