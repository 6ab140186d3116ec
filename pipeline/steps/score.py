"""Score: the metrics of the candidate and the champion (the live model) that TFMA lacks, and their predictions by row.

TFMA reads labelled predictions row by row and does not store them; it cannot compare forecasts with a naive one,
evaluate samples of a generative model, compare two models on the same rows, or measure latency. Its own results are
copied here, so that the gate has all numbers in one file.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model, ModelEvaluation, ModelRun
from tfx.utils.path_utils import serving_model_dir

from pipeline.errors import PipelineError, describe_cause
from pipeline.evaluation import answers, bootstrap, comparison, diagnostics, predictions, tfma_results, undefined
from pipeline.evaluation.bootstrap import Statistic
from pipeline.evaluation.examples import sample_examples, sample_reconstructions
from pipeline.evaluation.measurements import Measurements
from pipeline.evaluation.predictions import BatchedModel, Predictions
from pipeline.export import cost, signatures
from pipeline.features import targets, types
from pipeline.formats import tfrecord
from pipeline.recipe import Recipe
from pipeline.recipes import catalog
from pipeline.store import champions, fileio
from pipeline.store.layout import Workspace
from pipeline.training.files import MODEL
from serving.core.model import LoadedModel

SCORES_FILE = "scores.json"


@dataclass(frozen=True)
class Splits:
    """The raw features of the splits train and test, read on first use.

    Attributes:
        folder: Folder of the splits.
        kinds: Kind of each raw input and target.
    """

    folder: Path
    kinds: Mapping[str, str]

    @classmethod
    def from_recipe(cls, folder: Path, recipe: Recipe) -> "Splits":
        """Returns the splits of a recipe's data."""
        return cls(folder, {**recipe.data.inputs, **targets.target_kinds(recipe.data)})

    @cached_property
    def train(self) -> dict[str, np.ndarray]:
        """The training split, {name: array (rows, …)}."""
        return read_columns(self.folder / "Split-train", self.kinds)

    @cached_property
    def test(self) -> dict[str, np.ndarray]:
        """The test split, {name: array (rows, …)}."""
        return read_columns(self.folder / "Split-test", self.kinds)


def read_columns(folder: Path, kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns all rows of a split as arrays by name; missing values are as in `preprocess`.

    Args:
        folder: Folder of TFRecords of `tf.train.Example`.
        kinds: Kind of each raw input and target; other features are single values or vectors, as they are stored.
    """
    rows = [
        tfrecord.parse_features(record) for file in sorted(folder.iterdir()) for record in tfrecord.read_records(file)
    ]
    names = sorted({name for row in rows for name in row})
    return {name: _to_column([row.get(name) for row in rows], kinds.get(name, "")) for name in names}


def _to_column(cells: list[Any], declared: str) -> np.ndarray:
    sample = np.ravel(next((cell for cell in cells if cell is not None), 0.0)).tolist()
    default_kind = "bytes" if isinstance(sample[0], bytes) else "int" if isinstance(sample[0], int) else "float"
    name, shape = types.parse_kind(declared) if declared else (default_kind, (len(sample),) * (len(sample) > 1))
    dtype = {"bytes": object, "int": np.int64, "float": np.float32}[name]
    return np.array([types.MISSING_VALUES[name] if cell is None else cell for cell in cells], dtype).reshape(
        len(cells), *shape
    )


def recipe_scores(
    recipe: Recipe, served: LoadedModel, splits: Splits, others: Mapping[str, LoadedModel]
) -> dict[str, float | Statistic]:
    """Calls the recipe's `score` with a SavedModel.

    Raises:
        PipelineError: It fails, or does not return the metrics that the recipe declares.
    """
    declared = {metric.name for metric in recipe.metrics if not metric.tfma}
    if not recipe.score:
        return {}
    batched = {name: BatchedModel(model) for name, model in others.items()}
    try:
        values = {
            name: value if isinstance(value, Statistic) else float(value)
            for name, value in recipe.score(BatchedModel(served), splits, batched).items()
        }
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(
            "score() of the recipe fails.",
            expected=f"score(served, examples, others) -> {', '.join(sorted(declared))}",
            received=describe_cause(error),
            action="correct score() in the recipe",
        ) from error
    if values.keys() != declared:
        raise PipelineError(
            "score() of the recipe does not return the metrics that it declares.",
            expected=", ".join(sorted(declared)) or 'Metric("…") without tfma= in metrics=',
            received=", ".join(sorted(values)) or "none",
            action="use the same names in metrics= and in the result of score()",
        )
    return values


def sample_request(recipe: Recipe, served: LoadedModel, folder: Path) -> dict[str, np.ndarray]:
    """Returns inputs for `serving_default`: the first row of a split; zeros if it takes other inputs."""
    (record,) = next(predictions.read_batches(folder, 1))
    row = tfrecord.parse_features(record)
    return signatures.make_request(
        served, {name: _to_column([row.get(name)], kinds) for name, kinds in recipe.data.inputs.items()}
    )


def needed_models(recipe: Recipe, workspace: Workspace) -> dict[str, Path]:
    """Returns the champions of the recipes that a recipe needs, by name.

    Raises:
        PipelineError: One of them has no champion.
    """
    live_models = {name: champions.read_champion(workspace, name) for name in recipe.needs}
    absent = [name for name, live in live_models.items() if live is None]
    if absent:
        raise PipelineError(
            f"The recipe needs the live model of {' and '.join(absent)}.",
            expected="a published model of each recipe in needs=",
            received=f"none in {workspace}",
            action=f"run first: keraspipe run {absent[0]}",
        )
    return {name: workspace.model(name, live.version) for name, live in live_models.items() if live}


@dataclass(frozen=True)
class CandidateScores:
    """The output of the step.

    Attributes:
        numbers: The scores as JSON, see `score`.
        predictions: Predictions of the candidate and the champion, row by row.
    """

    numbers: Mapping[str, Any]
    predictions: Predictions


@dataclass(frozen=True)
class Models:
    """The models to measure.

    Attributes:
        candidate: The exported candidate.
        live: The champion; None without one.
        others: The champions of the recipes in `needs`, by name.
    """

    candidate: LoadedModel
    live: LoadedModel | None
    others: Mapping[str, LoadedModel]


def score(
    recipe: Recipe, examples: Path, models: Models, measured: Measurements, trained: Mapping[str, Any]
) -> CandidateScores:
    """Measures a candidate.

    Args:
        recipe: The recipe.
        examples: Folder of the splits.
        models: The models.
        measured: The results of TFMA.
        trained: The training's `model.json`: {"weights", "flops", "export_difference", …}.

    Returns:
        The scores as docs/journal.md describes them under "evaluation", without the gate, and the predictions.

    Raises:
        PipelineError: The recipe's `score` fails.
    """
    splits, test = Splits.from_recipe(examples, recipe), examples / "Split-test"
    own, live = (
        recipe_scores(recipe, model, splits, models.others) if model else {}
        for model in (models.candidate, models.live)
    )
    metrics, baseline = merge_metrics(measured, bootstrap.plain_values(own), bootstrap.plain_values(live))
    rows = predictions.collect_predictions(recipe, test, models.candidate, models.live)
    sliced = recipe.gate.slices if bootstrap.find_statistics(own) else ()  # else the split need not be read
    slices = bootstrap.join_slices(
        undefined.drop_undefined_in_slices(
            recipe, rows, comparison.add_slice_intervals(recipe, rows, metrics, measured.slices)
        ),
        bootstrap.measure_slices(own, {name: splits.test[name] for name in sliced}),
    )
    structured = bool(targets.target_kinds(recipe.data))
    comparisons = {
        **comparison.compare_models(recipe, rows, metrics, baseline),
        **bootstrap.compare_models(recipe, own, live),
    }
    values = {
        "classes": list(recipe.data.classes),
        "metrics": undefined.drop_undefined(recipe, rows, metrics),
        "lower_is_better": [metric.name for metric in recipe.metrics if not metric.higher_is_better],
        "intervals": {
            **comparison.overall_intervals(recipe, rows, metrics),
            **bootstrap.overall_intervals(recipe, own),
        },
        "baseline": baseline and undefined.drop_undefined(recipe, rows, baseline),
        "slices": slices,
        "confusion": measured.confusion,
        "comparisons": {name: asdict(comparison) for name, comparison in comparisons.items()},
        "cost": measure_cost(recipe, models.candidate, test, trained),
        **diagnostics.diagnose(recipe, rows, test),
        "samples": sample_examples(models.candidate, test, recipe.data),
        "reconstructions": sample_reconstructions(models.candidate, test),
        "answers": answers.sample_answers(recipe, models.candidate, splits.test) if structured else [],
    }
    return CandidateScores(values, rows)


def merge_metrics(
    measured: Measurements, candidate: Mapping[str, float], live: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float] | None]:
    """Returns TFMA's and the recipe's own metrics, of the candidate and of the champion (None without one)."""
    return {**measured.metrics, **candidate}, {**(measured.baseline or {}), **live} or None


def measure_cost(recipe: Recipe, served: LoadedModel, test: Path, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"weights", "flops", "size_mb", "latency_ms": {"p50", "p95", "p99", "calls"}, "difference"}."""
    request = sample_request(recipe, served, test)
    return {
        "weights": trained["weights"],
        "flops": trained.get("flops"),
        "size_mb": cost.size_mb(served.path),
        "latency_ms": cost.measure_latency(lambda: served.predict("serving_default", request)),
        "difference": trained["export_difference"],
    }


@component
def Score(  # noqa: N802
    examples: InputArtifact[Examples],
    model: InputArtifact[Model],
    baseline: InputArtifact[Model],
    model_run: InputArtifact[ModelRun],
    evaluation: InputArtifact[ModelEvaluation],
    scores: OutputArtifact[ModelEvaluation],
    recipe: Parameter[str],
    workspace: Parameter[str],
    digest: Parameter[str],  # noqa: ARG001  (the recipe's score and the models that it needs, for TFX's cache)
) -> None:
    """Writes the scores, and the predictions of the candidate and of the champion."""
    declared, folder = catalog.load_recipe(Path(recipe)), Path(scores.uri)
    models = Models(
        candidate=LoadedModel(serving_model_dir(model.uri)),
        live=LoadedModel(serving_model_dir(baseline.uri)) if any(Path(baseline.uri).glob("*")) else None,
        others={name: LoadedModel(path) for name, path in needed_models(declared, Workspace(Path(workspace))).items()},
    )
    measured, trained = (
        tfma_results.read_results(Path(evaluation.uri), declared),
        fileio.read_json(Path(model_run.uri) / MODEL),
    )
    scored = score(declared, Path(examples.uri), models, measured, trained)
    scored.predictions.save(folder / predictions.PREDICTIONS_FILE)
    fileio.write_json(folder / SCORES_FILE, scored.numbers)
