"""The baseline: the same pipeline of stock TFX components with their defaults and without tracking.

    python -m benchmarks.stock RECIPE EXAMPLES FOLDER --epochs N [--steps N] [--json]

EXAMPLES is what `benchmarks.records` wrote. Network, preprocessing, augmentation, Beam's settings and the thresholds
are the recipe's own, so that only the pipeline differs. Defaults that cost time and that keraspipe switches off stay
on: Transform writes the transformed examples and their statistics.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TF_USE_LEGACY_KERAS"] = "0"  # TFT sets it to 1 on import

from tfx import v1 as tfx

# isort: split
from tensorflow_model_analysis.proto import config_pb2
from tfx.orchestration.portable.launcher import Launcher

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

# The default runner, Prism, would download a program.
BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
SPLITS = ("train", "eval", "test")


def main() -> None:
    """Runs the pipeline once; --json prints the seconds of each component."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("examples", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--steps", type=int, default=0, help="steps of the training (default: all)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recipe = importlib.import_module(f"models.{options.recipe}").RECIPE
    seconds = _clocks()
    tfx.orchestration.LocalDagRunner().run(pipeline(options, recipe))
    if options.json:
        print(json.dumps({"seconds": seconds, "pushed": any((options.folder / "pushed").glob("*"))}))


def pipeline(options: argparse.Namespace, recipe: Recipe) -> Any:
    """Returns the components in the order of TFX's templates."""
    given = (options.examples / "Split-test").is_dir()
    custom = {"recipe": options.recipe, "epochs": options.epochs}
    examples = tfx.components.ImportExampleGen(str(options.examples), input_config=_splits() if given else None)
    data = _data(examples, custom)
    transform, schema = data[-1], data[1]
    trainer = tfx.components.Trainer(
        run_fn="benchmarks.stock_module.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=options.steps or None),
        eval_args=tfx.proto.EvalArgs(),
        custom_config=custom,
    )
    end = _end(examples, trainer, recipe, ["test"] if given else None, options.folder / "pushed")
    store = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(options.folder / "metadata.db"))
    return tfx.dsl.Pipeline(
        pipeline_name=options.recipe,
        pipeline_root=str(options.folder / "artifacts"),
        components=[examples, *data, trainer, *end],
        metadata_connection_config=store,
        beam_pipeline_args=BEAM,
    )


def _data(examples: Any, custom: dict[str, Any]) -> list[Any]:
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    found = statistics.outputs["statistics"]
    schema = tfx.components.SchemaGen(statistics=found, infer_feature_shape=True)
    validator = tfx.components.ExampleValidator(statistics=found, schema=schema.outputs["schema"])
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="benchmarks.stock_module.preprocessing_fn",
        custom_config=custom,
    )
    return [statistics, schema, validator, transform]


def _end(examples: Any, trainer: Any, recipe: Recipe, splits: list[str] | None, pushed: Path) -> list[Any]:
    resolver = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest_blessed_model_resolver")
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        example_splits=splits,  # None is TFX's default, "eval"
        model=trainer.outputs["model"],
        baseline_model=resolver.outputs["model"],
        eval_config=eval_config(recipe),
    )
    place = tfx.proto.PushDestination.Filesystem(base_directory=str(pushed))
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=place),
    )
    return [resolver, evaluator, pusher]


def eval_config(recipe: Recipe) -> Any:
    """Returns TFMA's settings: accuracy and loss, overall and per class; the recipe's bounds and tolerances."""
    label, gate = recipe.data.label, recipe.gate
    overall, classes = config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[label])
    accuracy = config_pb2.MetricConfig(
        class_name="SparseCategoricalAccuracy",
        per_slice_thresholds=[
            _threshold(overall, gate.at_least["accuracy"], gate.no_worse["accuracy"]),
            _threshold(classes, gate.slices[label]["accuracy"]),
        ],
    )
    others = [config_pb2.MetricConfig(class_name=name) for name in ("SparseCategoricalCrossentropy", "ExampleCount")]
    model = config_pb2.ModelSpec(
        signature_name="serving_default",
        label_key=label,
        prediction_key="probabilities",
        preprocessing_function_names=["transform_features"],
    )
    return config_pb2.EvalConfig(
        model_specs=[model],
        slicing_specs=[overall, classes],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[accuracy, *others])],
    )


def _threshold(part: Any, at_least: float, no_worse: float | None = None) -> Any:
    change = None
    if no_worse is not None:
        higher = config_pb2.MetricDirection.HIGHER_IS_BETTER
        change = config_pb2.GenericChangeThreshold(direction=higher, absolute={"value": -no_worse})
    bound = config_pb2.GenericValueThreshold(lower_bound={"value": at_least})
    threshold = config_pb2.MetricThreshold(value_threshold=bound, change_threshold=change)
    return config_pb2.PerSliceMetricThreshold(slicing_specs=[part], threshold=threshold)


def _splits() -> Any:
    splits = [tfx.proto.Input.Split(name=name, pattern=f"Split-{name}/*") for name in SPLITS]
    return tfx.proto.Input(splits=splits)


def _clocks() -> dict[str, float]:
    """Measures every component, with the time of its launcher, as on keraspipe's side."""
    seconds: dict[str, float] = {}
    launch = Launcher.launch

    def timed(self: Launcher) -> Any:
        started = time.monotonic()
        try:
            return launch(self)
        finally:
            seconds[self._pipeline_node.node_info.id] = time.monotonic() - started

    Launcher.launch = timed
    return seconds


if __name__ == "__main__":
    main()
