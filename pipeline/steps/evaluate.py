"""Evaluate: TFMA asks the served signature with raw examples of the test split, beside the live model.

TFMA also checks the bounds on values. What it finds is one part of the verdict, which the step `gate` gives: whether a
model falls behind the live one is decided by a paired test, which TFMA does not have (`pipeline.verdict`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx.components import Evaluator
from tfx.components.evaluator import executor
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types.standard_artifacts import ModelBlessing
from tfx.utils import proto_utils

from pipeline.verdict import Measured

if TYPE_CHECKING:
    from pipeline.recipe import Gate, Metric, Recipe

BLESSING, CONFUSION = "blessing", "confusion"
OVERALL = ()


class WithoutEmptyBaseline(executor.Executor):
    """Leaves the baseline out where there is no live model: an artifact is never absent, only empty.

    Evaluator's own blessing goes to a folder that is thrown away: only the gate blesses.
    """

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Runs TFX's Evaluator, if the recipe has metrics of TFMA."""
        if not proto_utils.json_to_proto(exec_properties["eval_config"], config_pb2.EvalConfig()).metrics_specs:
            return
        (baseline,) = input_dict["baseline_model"]
        if not any(Path(baseline.uri).glob("*")):
            input_dict = {name: value for name, value in input_dict.items() if name != "baseline_model"}
        with TemporaryDirectory() as scratch:
            blessing = ModelBlessing()
            blessing.uri = scratch
            super().Do(input_dict, {**output_dict, BLESSING: [blessing]}, exec_properties)


class JudgedAgainstLive(Evaluator):
    """TFX's Evaluator for a baseline that may be empty, and without a blessing.

    Args:
        inputs: As of TFX's Evaluator.
    """

    EXECUTOR_SPEC = BeamExecutorSpec(WithoutEmptyBaseline)

    def __init__(self, **inputs: Any) -> None:
        super().__init__(**inputs)
        del self.spec.outputs[BLESSING]


def config(recipe: Recipe, *, quick: bool) -> config_pb2.EvalConfig:
    """TFMA's configuration of a recipe's gate, overall and per slice."""
    label = recipe.data.label
    common = {
        "signature_name": "serving_examples",
        "label_key": label,
        "prediction_key": recipe.predicted or ("probabilities" if recipe.data.classes else "value"),
        "preprocessing_function_names": ["transform_labels"],
    }
    features = [*recipe.gate.slices] or ([label] if recipe.data.classes else [])
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(name="candidate", **common),
            config_pb2.ModelSpec(name="baseline", is_baseline=True, **common),
        ],
        slicing_specs=[config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=[name]) for name in features)],
        metrics_specs=_specs(recipe, quick=quick),
    )


def _specs(recipe: Recipe, *, quick: bool) -> list[config_pb2.MetricsSpec]:
    """The metrics of TFMA, those of one class against the rest apart."""
    classes, measured = list(recipe.data.classes), [metric for metric in recipe.metrics if metric.tfma]
    specs = []
    for positive in dict.fromkeys(metric.positive for metric in measured):
        metrics = [_overall(metric, recipe.gate, quick=quick) for metric in measured if metric.positive == positive]
        binarize = config_pb2.BinarizationOptions(class_ids={"values": [classes.index(positive)]}) if positive else None
        specs.append(config_pb2.MetricsSpec(metrics=metrics, binarize=binarize))
    if classes and measured:
        plot = config_pb2.MetricConfig(class_name="MultiClassConfusionMatrixPlot", config=f'{{"name": "{CONFUSION}"}}')
        specs.append(config_pb2.MetricsSpec(metrics=[plot]))
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    return [*specs, config_pb2.MetricsSpec(metrics=[count])] if measured else []


def _overall(metric: Metric, gate: Gate, *, quick: bool) -> config_pb2.MetricConfig:
    at_least = gate.quick if quick else gate.at_least
    bounds: dict[str, Any] = {}
    if metric.name in at_least:
        bounds["lower_bound"] = {"value": at_least[metric.name]}
    if metric.name in gate.at_most and not quick:
        bounds["upper_bound"] = {"value": gate.at_most[metric.name]}
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(**bounds) if bounds else None
    )
    per_slice = [] if quick else _slices(metric, gate)
    overall = [config_pb2.PerSliceMetricThreshold(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)]
    return config_pb2.MetricConfig(
        class_name=metric.tfma,
        config=json.dumps({**metric.config, "name": metric.name}),
        per_slice_thresholds=overall * bool(bounds) + per_slice,
    )


def _slices(metric: Metric, gate: Gate) -> list[config_pb2.PerSliceMetricThreshold]:
    return [
        config_pb2.PerSliceMetricThreshold(
            slicing_specs=[config_pb2.SlicingSpec(feature_keys=[feature])],
            threshold=config_pb2.MetricThreshold(
                value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": bounds[metric.name]})
            ),
        )
        for feature, bounds in gate.slices.items()
        if metric.name in bounds
    ]


def read(folder: Path, recipe: Recipe) -> Measured:
    """Reads TFMA's output folder; it is empty where the recipe has no metrics of TFMA."""
    names = [metric.name for metric in recipe.metrics if metric.tfma]
    if not names:
        return Measured({})
    compared = _compared(folder)
    # TFMA drops the name of a model that stands alone.
    candidate = tfma.load_eval_result(str(folder), model_name="candidate" if compared else "")
    slices = [_slice(key, values, names, recipe) for key, values in candidate.slicing_metrics]
    overall: dict[str, float] = next((entry["metrics"] for entry in slices if not entry["slice"]), {})
    return Measured(
        metrics=overall,
        baseline=_baseline(folder, names, recipe) if compared else None,
        slices=sorted((e for e in slices if e["slice"] and e["metrics"]), key=lambda entry: entry["slice"]),
        confusion=_confusion(candidate, len(recipe.data.classes)),
    )


def _slice(key: tuple[Any, ...], values: Any, names: list[str], recipe: Recipe) -> dict[str, Any]:
    found = {name: value for part in values.get("", {}).values() for name, value in part.items()}  # by class
    metrics = {name: float(found[name]["doubleValue"]) for name in names if name in found}
    count = found.get("example_count", {}).get("doubleValue", 0)
    return {"slice": _name(key, recipe), "examples": int(count), "metrics": metrics}


def _name(key: Iterable[tuple[str, Any]], recipe: Recipe) -> str:
    """A slice in words: TFMA slices by the transformed label, people know its class."""
    classes = recipe.data.classes
    named = ((k, classes[v] if k == recipe.data.label and classes and isinstance(v, int) else v) for k, v in key)
    return ", ".join(f"{k}={v}" for k, v in named)


def _compared(folder: Path) -> bool:
    config = json.loads((folder / "eval_config.json").read_text())["evalConfig"]
    return len(config["modelSpecs"]) > 1


def _baseline(folder: Path, names: list[str], recipe: Recipe) -> dict[str, float]:
    result = tfma.load_eval_result(str(folder), model_name="baseline")
    overall = next(values for key, values in result.slicing_metrics if not key)
    return dict(_slice((), overall, names, recipe)["metrics"])


def _confusion(result: Any, classes: int) -> list[list[int]]:
    counts = [[0] * classes for _ in range(classes)]
    for key, plots in result.plots:
        if key or not classes:  # numbers have no plots at all
            continue
        matrices = plots[""][""].get("multiClassConfusionMatrixAtThresholds", {}).get("matrices", [])
        for entry in matrices[0].get("entries", []) if matrices else []:
            actual, predicted = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
            if predicted >= 0:
                counts[actual][predicted] = int(float(entry.get("numWeightedExamples", 0)))
    return counts


def read_refused(folder: Path, recipe: Recipe) -> list[tuple[str, str]]:
    """Metric and slice (empty for the whole) of each bound that TFMA finds missed."""
    if not any(metric.tfma for metric in recipe.metrics):
        return []
    result = tfma.load_validation_result(str(folder))
    return [
        (failure.metric_key.name, _name([(k.column, _value(k)) for k in part.slice_key.single_slice_keys], recipe))
        for part in result.metric_validations_per_slice
        for failure in part.failures
    ]


def _value(key: Any) -> Any:
    value = getattr(key, key.WhichOneof("kind"))
    return value.decode() if isinstance(value, bytes) else value
