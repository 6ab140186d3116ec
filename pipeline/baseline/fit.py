"""Fits the standard models that suit a recipe's data, and measures them on its test split by its own metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.baseline import budget, inputs, measure, models, series
from pipeline.features import types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.baseline.rows import Columns, Splits
    from pipeline.recipe import Recipe

OWN_ANSWERS = ("", "probabilities", "value", "forecast")  # outputs that answer what the label asks
MEAN_RECALL = "balanced_accuracy"


@dataclass(frozen=True)
class Baseline:
    """A standard model's result.

    Attributes:
        name: What the model is called.
        metrics: The recipe's metrics on the test split, as far as they are defined for it.
        seconds: Of fitting and measuring.
        answers: Probabilities (rows, classes), numbers (rows,) or (rows, steps) for the test split.
    """

    name: str
    metrics: Mapping[str, float]
    seconds: float
    answers: np.ndarray


@dataclass(frozen=True)
class Baselines:
    """The standard models' results on one data set.

    Attributes:
        models: The results.
        note: What is to be known about them: a sample of the rows, or why there is none.
    """

    models: list[Baseline] = field(default_factory=list)
    note: str = ""


def fit_baselines(recipe: Recipe, splits: Splits) -> Baselines:
    """Fits and measures the models; none for a recipe whose network does not answer its label.

    Args:
        recipe: The recipe.
        splits: Its rows.
    """
    kept, truth = measure.keep_labelled(splits.train, recipe.data)
    if not len(truth) or not recipe.metrics:
        return Baselines(note="the training split has no labels")
    rows = splits.rows if splits.fitted_rows < splits.rows else len(truth)
    step = budget.thin(len(truth), text_bytes(kept, recipe.data.inputs), budget.TEXT_BYTES)
    kept, truth = {name: values[::step] for name, values in kept.items()}, truth[::step]
    fitted, used = [], {}
    with models.one_thread():
        for began, model in _fitted_models(recipe, kept, truth):
            fitted.append(_measure_model(recipe, splits, model, began))
            used[model.name] = model.rows
    return Baselines([baseline for baseline in fitted if baseline.metrics], describe_sample(used, rows))


def text_bytes(columns: Columns, kinds: Mapping[str, str]) -> int:
    """Returns how long all texts of the rows are together, in bytes."""
    texts = [name for name, use in inputs.choose_uses(columns, kinds).items() if use == "text"]
    return sum(sum(map(len, columns[name])) for name in texts)


def describe_sample(used: Mapping[str, int], rows: int) -> str:
    """Says which models have learnt from a part of the rows; empty if none has.

    Args:
        used: Rows by model.
        rows: All that there are.
    """
    fewer = {name: count for name, count in used.items() if count < rows}
    if fewer == dict(used) and len(set(fewer.values())) == 1:
        return f"fitted on {next(iter(fewer.values())):,} of {rows:,} rows"
    parts = [f"{name} on {count:,} of {rows:,} rows" for name, count in fewer.items()]
    return f"fitted {', '.join(parts)}" if parts else ""


def _measure_model(recipe: Recipe, splits: Splits, model: Any, began: float) -> Baseline:
    answers = np.asarray(model.predict(splits.test))
    metrics = measure.measure(recipe, splits, model, answers)
    return Baseline(model.name, metrics, round(time.monotonic() - began, 2), answers)


def is_supervised(recipe: Recipe) -> bool:
    """Returns whether the network predicts the label, so that a standard model can do the same."""
    return bool(recipe.data.label and recipe.metrics) and recipe.predicted in (*OWN_ANSWERS, recipe.data.label)


def _fitted_models(recipe: Recipe, columns: Columns, truth: np.ndarray) -> Iterator[tuple[float, Any]]:
    if truth.ndim > 1:
        yield from _fitted_series(recipe, columns, truth)
        return
    task = make_task(recipe)
    began = time.monotonic()
    uses = inputs.choose_uses(columns, task.kinds)
    encoded = inputs.encode(columns, uses)
    for model in models.make_models(task, uses, encoded):
        model.fit(encoded, truth)
        yield began, model
        began = time.monotonic()


def make_task(recipe: Recipe) -> models.Task:
    """Returns what the recipe's models predict, and by which error they are measured."""
    balanced = any(metric.name == MEAN_RECALL for metric in recipe.metrics)
    return models.Task(recipe.data.inputs, len(recipe.data.classes), balanced)


def _fitted_series(recipe: Recipe, columns: Columns, truth: np.ndarray) -> Iterator[tuple[float, Any]]:
    past, vectors = past_input(recipe.data), _vectors(recipe.data.inputs)
    if not past:
        return
    others = tuple(name for name in vectors if name != past)
    for model in (series.Naive(past), series.Autoregression(past, others)):
        began = time.monotonic()
        model.fit(columns, truth)
        yield began, model


def past_input(data: Any) -> str:
    """Returns the input with the past of the target; empty if the data set does not say which it is."""
    target, numbers = getattr(data, "target", ""), getattr(data, "numbers", None) or {}
    return next((name for name, column in numbers.items() if column == target), "")


def _vectors(kinds: Mapping[str, str]) -> list[str]:
    parsed = {name: types.parse_kind(kind) for name, kind in kinds.items()}
    return [name for name, (kind, shape) in parsed.items() if kind != "bytes" and shape]
