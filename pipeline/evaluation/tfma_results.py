"""Reads TFMA's results: metrics, slices, confusion matrix, and missed thresholds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import tensorflow_model_analysis as tfma

from pipeline.evaluation.measurements import Measurements

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.recipe import Recipe


def read_results(folder: Path, recipe: Recipe) -> Measurements:
    """Reads TFMA's output folder, which is empty if the recipe has no TFMA metrics."""
    names = [metric.name for metric in recipe.metrics if metric.tfma]
    if not names:
        return Measurements({})
    has_baseline = _has_baseline(folder)
    # TFMA drops the name of a single model.
    candidate = tfma.load_eval_result(str(folder), model_name="candidate" if has_baseline else "")
    slices = [_slice_to_dict(key, values, names, recipe) for key, values in candidate.slicing_metrics]
    overall: dict[str, float] = next((entry["metrics"] for entry in slices if not entry["slice"]), {})
    return Measurements(
        metrics=overall,
        baseline=_read_baseline(folder, names, recipe) if has_baseline else None,
        slices=sorted((e for e in slices if e["slice"] and e["metrics"]), key=lambda entry: entry["slice"]),
        confusion=_read_confusion(candidate, len(recipe.data.classes)),
    )


def _slice_to_dict(key: tuple[Any, ...], values: Any, names: list[str], recipe: Recipe) -> dict[str, Any]:
    by_metric = {name: value for part in values.get("", {}).values() for name, value in part.items()}  # by class
    metrics = {name: float(by_metric[name]["doubleValue"]) for name in names if name in by_metric}
    count = by_metric.get("example_count", {}).get("doubleValue", 0)
    return {"slice": _slice_name(key, recipe), "examples": int(count), "metrics": metrics}


def _slice_name(key: Iterable[tuple[str, Any]], recipe: Recipe) -> str:
    """Returns a slice in words, with the class name instead of TFMA's transformed label."""
    classes = recipe.data.classes
    pairs = ((k, classes[v] if k == recipe.data.label and classes and isinstance(v, int) else v) for k, v in key)
    return ", ".join(f"{k}={v}" for k, v in pairs)


def _has_baseline(folder: Path) -> bool:
    config = json.loads((folder / "eval_config.json").read_text())["evalConfig"]
    return len(config["modelSpecs"]) > 1


def _read_baseline(folder: Path, names: list[str], recipe: Recipe) -> dict[str, float]:
    result = tfma.load_eval_result(str(folder), model_name="baseline")
    overall = next(values for key, values in result.slicing_metrics if not key)
    return dict(_slice_to_dict((), overall, names, recipe)["metrics"])


def _read_confusion(result: Any, classes: int) -> list[list[int]]:
    counts = [[0] * classes for _ in range(classes)]
    for key, plots in result.plots:
        if key or not classes:  # regressions have no confusion matrix
            continue
        matrices = plots[""][""].get("multiClassConfusionMatrixAtThresholds", {}).get("matrices", [])
        for entry in matrices[0].get("entries", []) if matrices else []:
            actual, predicted = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
            if predicted >= 0:
                counts[actual][predicted] = int(float(entry.get("numWeightedExamples", 0)))
    return counts


def read_refused(folder: Path, recipe: Recipe) -> list[tuple[str, str]]:
    """Returns metric and slice (empty for the whole split) of each threshold that TFMA reports as missed."""
    if not any(metric.tfma for metric in recipe.metrics):
        return []
    result = tfma.load_validation_result(str(folder))
    return [
        (
            failure.metric_key.name,
            _slice_name([(k.column, _key_value(k)) for k in part.slice_key.single_slice_keys], recipe),
        )
        for part in result.metric_validations_per_slice
        for failure in part.failures
    ]


def _key_value(key: Any) -> Any:
    value = getattr(key, key.WhichOneof("kind"))
    return value.decode() if isinstance(value, bytes) else value
