"""Evaluate: TFMA computes the metrics of the candidate and of the live model on raw examples of the test split.

TFMA also checks the thresholds of metrics. The verdict of the step `gate` uses them, and adds a paired test against
the champion (the live model), which TFMA does not have (`pipeline.evaluation.gate`).
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tensorflow_model_analysis.proto import config_pb2
from tfx.components import Evaluator
from tfx.components.evaluator import executor
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types.standard_artifacts import ModelBlessing
from tfx.utils import proto_utils

if TYPE_CHECKING:
    from pipeline.recipe import Gate, Metric, Recipe

BLESSING, CONFUSION = "blessing", "confusion"


class OptionalBaselineExecutor(executor.Executor):
    """Runs Evaluator without a baseline if there is no champion: an artifact is never absent, only empty.

    Evaluator's own blessing is written to a temporary folder: only the gate blesses.
    """

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:  # noqa: N802
        """Runs TFX's Evaluator, if the recipe has TFMA metrics."""
        if not proto_utils.json_to_proto(exec_properties["eval_config"], config_pb2.EvalConfig()).metrics_specs:
            return
        (baseline,) = input_dict["baseline_model"]
        if not any(Path(baseline.uri).glob("*")):
            input_dict = {name: value for name, value in input_dict.items() if name != "baseline_model"}
        with TemporaryDirectory() as scratch:
            blessing = ModelBlessing()
            blessing.uri = scratch
            super().Do(input_dict, {**output_dict, BLESSING: [blessing]}, exec_properties)


class LiveEvaluator(Evaluator):
    """TFX's Evaluator with a baseline that may be empty, and without a blessing.

    Args:
        inputs: The arguments of TFX's Evaluator.
    """

    EXECUTOR_SPEC = BeamExecutorSpec(OptionalBaselineExecutor)

    def __init__(self, **inputs: Any) -> None:
        super().__init__(**inputs)
        del self.spec.outputs[BLESSING]


def make_config(recipe: Recipe, *, quick: bool) -> config_pb2.EvalConfig:
    """Returns TFMA's configuration for a recipe's gate, overall and per slice."""
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
        metrics_specs=_metrics_specs(recipe, quick=quick),
    )


def _metrics_specs(recipe: Recipe, *, quick: bool) -> list[config_pb2.MetricsSpec]:
    """Returns the TFMA metrics; those of one class against the rest have a specification each."""
    classes, measured = list(recipe.data.classes), [metric for metric in recipe.metrics if metric.tfma]
    specs = []
    for positive in dict.fromkeys(metric.positive for metric in measured):
        metrics = [
            _metric_config(metric, recipe.gate, quick=quick) for metric in measured if metric.positive == positive
        ]
        binarize = config_pb2.BinarizationOptions(class_ids={"values": [classes.index(positive)]}) if positive else None
        specs.append(config_pb2.MetricsSpec(metrics=metrics, binarize=binarize))
    if classes and measured:
        plot = config_pb2.MetricConfig(class_name="MultiClassConfusionMatrixPlot", config=f'{{"name": "{CONFUSION}"}}')
        specs.append(config_pb2.MetricsSpec(metrics=[plot]))
    count = config_pb2.MetricConfig(class_name="ExampleCount")
    return [*specs, config_pb2.MetricsSpec(metrics=[count])] if measured else []


def _metric_config(metric: Metric, gate: Gate, *, quick: bool) -> config_pb2.MetricConfig:
    at_least = gate.quick if quick else gate.at_least
    bounds: dict[str, Any] = {}
    if metric.name in at_least:
        bounds["lower_bound"] = {"value": at_least[metric.name]}
    if metric.name in gate.at_most and not quick:
        bounds["upper_bound"] = {"value": gate.at_most[metric.name]}
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(**bounds) if bounds else None
    )
    per_slice = [] if quick else _slice_thresholds(metric, gate)
    overall = [config_pb2.PerSliceMetricThreshold(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)]
    return config_pb2.MetricConfig(
        class_name=metric.tfma,
        config=json.dumps({**metric.config, "name": metric.name}),
        per_slice_thresholds=overall * bool(bounds) + per_slice,
    )


def _slice_thresholds(metric: Metric, gate: Gate) -> list[config_pb2.PerSliceMetricThreshold]:
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
