"""Gate: decides whether a candidate may go live, and writes the verdict as a ModelBlessing into ML Metadata.

A model that passes is blessed. Only this step blesses. TFX's Evaluator would bless by TFMA's thresholds alone and
contradict the gate: it has no paired test and no limits on costs, and rejects a model for a slice of a few examples.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation
from tfx.utils.path_utils import serving_model_dir

from pipeline.baseline import compare
from pipeline.evaluation import blessing as blessings
from pipeline.evaluation import gate as evaluation_gate
from pipeline.evaluation import gate_report, predictions, tfma_results
from pipeline.evaluation.measurements import NOT_AVAILABLE, Measurements
from pipeline.evaluation.statistics import Comparison
from pipeline.recipe import Recipe
from pipeline.recipes import catalog
from pipeline.steps import baseline as baseline_step
from pipeline.steps import score
from pipeline.store import fileio
from pipeline.store.layout import RunFolder, Workspace


def decide(
    recipe: Recipe, scores: Mapping[str, Any], refused: Sequence[tuple[str, str]], *, quick: bool
) -> dict[str, Any]:
    """Returns the verdict on a candidate.

    Args:
        recipe: The recipe, for its gate.
        scores: The output of the step `score`.
        refused: Metric and slice of each threshold that TFMA reports as missed.
        quick: Whether to use the bounds of a --quick run.

    Returns:
        {"blessed", "reasons", "conditions", "min_slice_examples"}, as docs/journal.md describes it.
    """
    conditions = evaluation_gate.check_conditions(recipe, read_measured(scores, refused), quick=quick)
    return {
        "blessed": all(condition.passed for condition in conditions),
        "reasons": evaluation_gate.failed_reasons(conditions),
        "conditions": [condition.as_json() for condition in conditions],
        "min_slice_examples": recipe.gate.min_slice_examples,
    }


def read_measured(scores: Mapping[str, Any], refused: Sequence[tuple[str, str]]) -> Measurements:
    """Returns the measurements that the conditions check."""
    cost = scores["cost"]
    return Measurements(
        metrics=scores["metrics"],
        baseline=scores["baseline"],
        slices=scores["slices"],
        confusion=scores["confusion"],
        refused=list(refused),
        comparisons={name: Comparison(**comparison) for name, comparison in scores["comparisons"].items()},
        calibration=scores.get("calibration", {}).get("error", NOT_AVAILABLE),
        latency_ms=cost["latency_ms"]["p50"],
        size_mb=cost["size_mb"],
        difference=cost["difference"],
    )


def write_evaluation(folder: RunFolder, evaluation: Mapping[str, Any]) -> None:
    """Writes a run's `evaluation.json`, and the same as a page for people, `gate.md`."""
    fileio.write_json(folder.evaluation, evaluation)
    with fileio.replace_file(folder.gate_page) as temporary:
        temporary.write_text(gate_report.render_markdown(evaluation))


@component
def Gate(  # noqa: N802
    model: InputArtifact[Model],
    baseline: InputArtifact[Model],
    evaluation: InputArtifact[ModelEvaluation],
    scores: InputArtifact[ModelEvaluation],
    baselines: InputArtifact[ModelEvaluation],
    blessing: OutputArtifact[ModelBlessing],
    recipe: Parameter[str],
    workspace: Parameter[str],
    name: Parameter[str],
    run_id: Parameter[str],
    quick: Parameter[int],
    basis: Parameter[str],
) -> None:
    """Writes the verdict and its reasons to ML Metadata and to the run's folder."""
    declared, measured = catalog.load_recipe(Path(recipe)), fileio.read_json(Path(scores.uri) / score.SCORES_FILE)
    outcome = decide(declared, measured, tfma_results.read_refused(Path(evaluation.uri), declared), quick=bool(quick))
    digest = fileio.digest_folder(Path(serving_model_dir(model.uri)))
    measured["baselines"] = compare.report_baselines(
        declared,
        baseline_step.load_baselines(Path(baselines.uri)),
        {name: value for name, value in measured["metrics"].items() if value is not None},
        predictions.load_predictions(Path(scores.uri) / predictions.PREDICTIONS_FILE),
    )
    about = {"recipe": name, "run_id": run_id, "model": digest, "basis": basis}
    write_evaluation(Workspace(Path(workspace)).run(run_id), {**about, **measured, "gate": outcome})
    blessings.bless(blessing, outcome, model, baseline)
