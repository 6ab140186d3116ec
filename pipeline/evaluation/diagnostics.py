"""The data of an evaluation's figures, small enough for a JSON file: curves, residuals, forecasts, calibration.

Calibration measures whether probabilities are right: of the predictions with 80 % four in five should be correct.
Source: C. Guo et al., On calibration of modern neural networks, arXiv:1706.04599, section 2; with equally many rows in
each bin, so that no sparse bin dominates (M. Nixon et al., Measuring calibration in deep learning, arXiv:1904.01685).
scikit-learn's `calibration_curve` does not return the rows of a bin, which the error needs, and its quantiles put all
rows with confidence close to 1 into one bin.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import examples
from pipeline.evaluation.statistics import keep_digits
from pipeline.formats.tfrecord import TEST_TIMES_FILE
from pipeline.store import fileio
from pipeline.tables import calendar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.evaluation.predictions import Predictions
    from pipeline.recipe import Recipe


PAST_RATIO = 3  # length of the past before a forecast, in lengths of the forecast
CURVE_POINTS = 100
MAX_CURVES = 5
WINDOW_QUANTILES = (0.1, 0.5, 0.9, 1.0)  # quantiles of the error, of which one window each is drawn
SCATTER_POINTS = 200
HISTOGRAM_BINS = 40
MIN_BIN_WIDTH = 1e-6
HISTOGRAM_QUANTILES = (0.005, 0.995)  # range of the histogram: one outlier would flatten it
CALIBRATION_BINS = 15


def diagnose(recipe: Recipe, predictions: Predictions, folder: Path) -> dict[str, Any]:
    """Returns the data of all figures for the kind of predictions; only the mistakes if some are not finite.

    Args:
        recipe: The recipe.
        predictions: The predictions.
        folder: TFRecords of the test split.

    Returns:
        Some of {"calibration", "curves", "residuals", "forecast", "mistakes"}.
    """
    result: dict[str, Any] = {"mistakes": examples.worst_examples(predictions, recipe, folder)}
    if not (np.isfinite(predictions.candidate).all() and np.isfinite(predictions.truth).all()):
        return result
    if predictions.kind == "classes":
        result["calibration"] = describe_calibration(predictions.candidate, predictions.truth)
    if predictions.kind in ("classes", "score"):
        result["curves"] = _class_curves(recipe, predictions)
    if predictions.kind == "numbers" and predictions.truth.ndim == 1:
        result["residuals"] = describe_residuals(predictions.truth, predictions.candidate)
    if predictions.kind == "numbers" and predictions.truth.ndim > 1:
        result["forecast"] = describe_forecast(predictions.truth, predictions.candidate, predictions.live)
        _add_past(result["forecast"], recipe, folder)
        _add_times(result["forecast"], recipe, folder)
    return {name: value for name, value in result.items() if value}


def _class_curves(recipe: Recipe, predictions: Predictions) -> list[dict[str, Any]]:
    if predictions.kind == "score":
        return describe_curves({recipe.data.label: predictions.truth > 0}, {recipe.data.label: predictions.candidate})
    classes = list(recipe.data.classes)
    positives = [metric.positive for metric in recipe.metrics if metric.positive]
    names = dict.fromkeys(positives or (classes[1:] if len(classes) == 2 else classes))  # noqa: PLR2004  (two are one)
    places = {name: classes.index(name) for name in names}
    return describe_curves(
        {name: predictions.truth == place for name, place in places.items()},
        {name: predictions.candidate[:, place] for name, place in places.items()},
    )


def _add_past(forecast: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Adds the past to each window, and its last value as the naive forecast, if an input is the target's past."""
    data = recipe.data
    columns = getattr(data, "numbers", {})
    past = next((name for name, column in columns.items() if column == getattr(data, "target", "")), None)
    if past is None:
        return
    rows = examples.read_features(folder, [window["row"] for window in forecast["windows"]], [past])
    for window in forecast["windows"]:
        numbers = np.ravel(np.array(rows[window["row"]][past], float))
        window["past"] = [None if np.isnan(n) else n for n in numbers[-PAST_RATIO * len(window["truth"]) :].tolist()]
        known = numbers[~np.isnan(numbers)]
        window["naive"] = [float(known[-1])] * len(window["truth"]) if len(known) else []


def _add_times(forecast: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Adds the ISO times of the past and of the forecast steps to each window, if ingest has noted when it ends."""
    ends, step = fileio.read_json(folder.parent / TEST_TIMES_FILE, []), getattr(recipe.data, "step", None)
    for window in forecast["windows"] if ends and step else []:
        last, steps = datetime.fromisoformat(ends[window["row"]]), len(window.get("past", [])) + len(window["truth"])
        window["times"] = [calendar.add_step(last, step, index - steps + 1).isoformat() for index in range(steps)]


def describe_curves(positives: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Returns the curves of the classes with the smallest areas, the worst first.

    Args:
        positives: By class name, whether each row is of that class, (rows,); a class needs rows of both kinds.
        scores: Scores by the same names, (rows,).

    Returns:
        {"name", "area", "roc": [x, y], "average_precision", "precision_recall": [x, y], "share"}; at most 5 curves of
        at most 100 points.
    """
    curves = [
        _binary_curve(name, positive, scores[name]) for name, positive in positives.items() if 0 < positive.mean() < 1
    ]
    return sorted(curves, key=lambda curve: curve["area"])[:MAX_CURVES]


def _binary_curve(name: str, positive: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    false, true, _ = roc_curve(positive, score)
    precision, recall, _ = precision_recall_curve(positive, score)
    return {
        "name": name,
        "area": float(roc_auc_score(positive, score)),
        "roc": thin_curve(false, true),
        "average_precision": float(average_precision_score(positive, score)),
        "precision_recall": thin_curve(recall[::-1], precision[::-1]),
        "share": float(positive.mean()),
    }


def thin_curve(x: np.ndarray, y: np.ndarray, points: int = CURVE_POINTS) -> list[list[float]]:
    """Returns points of a curve at equal distances along it, including both ends: [x, y]."""
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    places = np.unique(np.searchsorted(way, np.linspace(0.0, way[-1], points)).clip(0, len(x) - 1))
    places = np.unique([0, *places, len(x) - 1])[:points] if len(x) > points else np.arange(len(x))
    return [np.round(x[places], 5).tolist(), np.round(y[places], 5).tolist()]


def describe_forecast(truth: np.ndarray, answers: np.ndarray, live: np.ndarray | None) -> dict[str, Any]:
    """Returns the mean absolute error by steps ahead, and some windows.

    Args:
        truth: True values, (rows, steps).
        answers: The candidate's predictions, (rows, steps).
        live: The champion's predictions; None without one.

    Returns:
        {"error": [by step], "live_error": [by step] or None, "windows": [{"row", "error", "quantile", "truth",
        "predicted"}]}.
    """
    distance = np.abs(answers - truth)
    by_row = distance.mean(axis=1)
    order = np.argsort(by_row, kind="stable")
    rows = [int(order[min(len(order) - 1, int(place * len(order)))]) for place in WINDOW_QUANTILES]
    windows = [
        {
            "row": row,
            "error": float(by_row[row]),
            "quantile": place,
            "truth": keep_digits(truth[row]).tolist(),
            "predicted": keep_digits(answers[row]).tolist(),
        }
        for place, row in zip(WINDOW_QUANTILES, rows, strict=True)
    ]
    return {
        "error": keep_digits(distance.mean(axis=0)).tolist(),
        "live_error": None if live is None else keep_digits(np.abs(live - truth).mean(axis=0)).tolist(),
        "windows": windows,
    }


def describe_residuals(truth: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """Returns statistics of the residuals (prediction minus truth), their histogram, and a sample of points.

    Args:
        truth: True values, (rows,).
        answers: Predictions, (rows,).

    Returns:
        {"bias", "deviation", "largest", "histogram": {"edges", "counts"}, "truth": [...], "predicted": [...]}.
    """
    truth, answers = truth.astype(np.float64), answers.astype(np.float64)
    residuals = answers - truth
    low, high = np.quantile(residuals, HISTOGRAM_QUANTILES)
    # Bins need a width even if all residuals are equal.
    half = max((high - low) / 2, MIN_BIN_WIDTH * (max(abs(low), abs(high)) or 1.0))
    ends = ((low + high) / 2 - half, (low + high) / 2 + half)
    counts, edges = np.histogram(residuals.clip(*ends), bins=HISTOGRAM_BINS, range=ends)
    rows = np.random.default_rng(1).permutation(len(truth))[:SCATTER_POINTS]
    return {
        "bias": float(residuals.mean()),
        "deviation": float(residuals.std()),
        "largest": float(np.abs(residuals).max()),
        "histogram": {"edges": keep_digits(edges).tolist(), "counts": counts.tolist()},
        "truth": keep_digits(truth[rows]).tolist(),
        "predicted": keep_digits(answers[rows]).tolist(),
    }


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of similar confidence.

    Attributes:
        confidence: Mean probability of the predicted classes.
        accuracy: Share of correct predictions.
        rows: Number of rows.
    """

    confidence: float
    accuracy: float
    rows: int


def reliability_curve(
    probabilities: np.ndarray, truth: np.ndarray, count: int = CALIBRATION_BINS
) -> list[ReliabilityBin]:
    """Returns the reliability curve: bins of equally many rows, by rising confidence.

    Args:
        probabilities: (rows, classes).
        truth: Class numbers, (rows,).
        count: Largest number of bins; never more than rows.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, min(count, max(1, len(order)))) if len(part)]
    return [ReliabilityBin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def calibration_error(bins: list[ReliabilityBin]) -> float:
    """Returns the expected calibration error: mean distance of confidence and accuracy; NaN without rows."""
    rows = sum(group.rows for group in bins)
    distance = sum(abs(group.confidence - group.accuracy) * group.rows for group in bins)
    return distance / rows if rows else float("nan")


def describe_calibration(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Returns error and curve as JSON: {"error", "bins": [{"confidence", "accuracy", "rows"}]}."""
    bins = reliability_curve(probabilities, truth)
    return {"error": calibration_error(bins), "bins": [asdict(group) for group in bins]}
