"""The TFX pipeline of a recipe: its components and how they are connected. Wiring only, in the order of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tfx  # noqa: F401  (first: it provides modules that TFDV and TFMA lack)

# isort: split
from tensorflow_data_validation import StatsOptions
from tfx.components import ExampleValidator, SchemaGen, StatisticsGen, Trainer, Transform
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.proto.transform_pb2 import SplitsConfig

from pipeline.recipes import fingerprint
from pipeline.runner import digests
from pipeline.steps import evaluate
from pipeline.steps.baseline import FitBaselines
from pipeline.steps.gate import Gate
from pipeline.steps.ingest import Ingest
from pipeline.steps.publish import Publish
from pipeline.steps.register import Register
from pipeline.steps.resolve import Resolve
from pipeline.steps.schema import BoundSchema
from pipeline.steps.score import Score
from pipeline.store import champions

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.runs.run import RunRequest

from pipeline.runner.digests import StepDigests, training_config

# In this process: DirectRunner would first download Prism, and then fall back to this runner.
BEAM = [
    "--runner=apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    # Nothing runs in a container; without the name of one, TFX packages its source for remote workers in each step.
    "--sdk_container_image=none",
]


def build_pipeline(request: RunRequest, recipe: Recipe, step_digests: StepDigests, run_id: str) -> Pipeline:
    """Returns the TFX pipeline of one run.

    Args:
        request: The run.
        recipe: Its recipe.
        step_digests: Digests of the steps.
        run_id: Id of the run.
    """
    workspace, path = request.settings.workspace, str(request.source.path)
    live = champions.read_champion(workspace, request.name)

    ingest = Ingest(
        recipe=path, data=str(request.settings.data), quick=int(request.quick), digest=step_digests.ingest
    ).with_id("ingest")
    statistics = StatisticsGen(
        examples=ingest.outputs["examples"],
        # Exact counts of distinct values would sort all images by content.
        stats_options=StatsOptions(num_top_values=20, experimental_use_sketch_based_topk_uniques=True),
    ).with_id("statistics")
    inferred = SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=True, exclude_splits=["eval", "test"]
    ).with_id("infer_schema")
    bound = BoundSchema(
        inferred=inferred.outputs["schema"],
        recipe=path,
        frozen=str(workspace.schema(request.name)),
        digest=step_digests.schema,
    ).with_id("schema")
    validate = ExampleValidator(statistics=statistics.outputs["statistics"], schema=bound.outputs["schema"]).with_id(
        "validate"
    )
    transform = Transform(
        examples=ingest.outputs["examples"],
        schema=bound.outputs["schema"],
        preprocessing_fn="pipeline.steps.transform.preprocessing_fn",
        splits_config=SplitsConfig(analyze=["train"]),
        materialize=False,
        disable_statistics=True,
        custom_config={
            "recipe": path,
            "params": fingerprint.step_params(request.source, "transform", request.params),
            "digest": step_digests.transform,
        },
    ).with_id("transform")
    transform.add_upstream_node(validate)
    train = Trainer(
        run_fn="pipeline.steps.train.run_fn",
        examples=ingest.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=bound.outputs["schema"],
        train_args=TrainArgs(splits=["train"]),
        eval_args=EvalArgs(splits=["eval"]),
        custom_config=training_config(request, step_digests),
    ).with_id("train")
    baseline = FitBaselines(examples=ingest.outputs["examples"], recipe=path, digest=step_digests.baseline).with_id(
        "baseline"
    )
    baseline.add_upstream_node(train)
    resolve = Resolve(
        workspace=str(workspace), name=request.name, live=f"{live.version}:{live.digest}" if live else ""
    ).with_id("resolve")
    resolve.add_upstream_node(baseline)
    evaluator = evaluate.LiveEvaluator(
        examples=ingest.outputs["examples"],
        example_splits=["test"],
        model=train.outputs["model"],
        baseline_model=resolve.outputs["model"],
        eval_config=evaluate.make_config(recipe, quick=request.quick),
    ).with_id("evaluate")
    scores = Score(
        examples=ingest.outputs["examples"],
        model=train.outputs["model"],
        baseline=resolve.outputs["model"],
        model_run=train.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        recipe=path,
        workspace=str(workspace),
        digest=step_digests.score,
    ).with_id("score")
    gate = Gate(
        model=train.outputs["model"],
        baseline=resolve.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        scores=scores.outputs["scores"],
        baselines=baseline.outputs["baselines"],
        recipe=path,
        workspace=str(workspace),
        name=request.name,
        run_id=run_id,
        quick=int(request.quick),
        basis=digests.verdict_basis(step_digests, recipe.gate, quick=request.quick),
    ).with_id("gate")
    register = Register(
        model=train.outputs["model"],
        blessing=gate.outputs["blessing"],
        model_run=train.outputs["model_run"],
        workspace=str(workspace),
    ).with_id("register")
    publish = Publish(
        model=train.outputs["model"],
        baseline=resolve.outputs["model"],
        blessing=gate.outputs["blessing"],
        workspace=str(workspace),
        name=request.name,
        run_id=run_id,
        alias=request.alias,
    ).with_id("publish")
    publish.add_upstream_node(register)

    return Pipeline(
        pipeline_name=request.name,
        pipeline_root=str(workspace.recipe_artifacts(request.name)),
        components=[
            ingest,
            statistics,
            inferred,
            bound,
            validate,
            transform,
            train,
            baseline,
            resolve,
            evaluator,
            scores,
            gate,
            register,
            publish,
        ],
        enable_cache=True,
        metadata_connection_config=sqlite_metadata_connection_config(str(workspace.metadata_db)),
        beam_pipeline_args=BEAM,
    )
