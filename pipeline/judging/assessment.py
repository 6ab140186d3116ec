"""All that is known of a candidate once it is judged: numbers, intervals, tests, verdict, and what to draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline import atomic, verdict
from pipeline.judging import calibration, evidence, findings, predictions
from pipeline.steps import evaluate, judge
from pipeline.steps.train import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.judging.predictions import Predictions
    from pipeline.recipe import Recipe
    from pipeline.verdict import Measured


@dataclass(frozen=True)
class Folders:
    """Where the steps of a run left what is looked at.

    Attributes:
        examples: The splits.
        model_run: What the training wrote beside its model.
        evaluation: TFMA's results.
        judgement: The recipe's own numbers, the answers row by row, samples.
    """

    examples: Path
    model_run: Path
    evaluation: Path
    judgement: Path


def assessed(recipe: Recipe, folders: Folders, *, quick: bool) -> dict[str, Any]:
    """The evaluation as docs/journal.md describes it."""
    found = predictions.load(folders.judgement / predictions.FILE)
    trained = atomic.read_json(folders.model_run / MODEL)
    drawn = findings.described(recipe, found, folders.examples / "Split-test")
    measured = _measured(recipe, folders, found, trained["export_difference"])
    conditions = verdict.conditions(recipe, measured, quick=quick)
    return {
        "classes": list(recipe.data.classes),
        "metrics": dict(measured.metrics),
        "lower_is_better": [metric.name for metric in recipe.metrics if not metric.higher_is_better],
        "intervals": evidence.overall(recipe, found, measured.metrics),
        "baseline": dict(measured.baseline) if measured.baseline else None,
        "slices": evidence.sliced(recipe, found, measured.metrics, measured.slices),
        "confusion": measured.confusion,
        "comparisons": {name: asdict(one) for name, one in measured.comparisons.items()},
        "cost": _cost(folders, measured, trained),
        **drawn,
        **atomic.read_json(folders.judgement / judge.SHOWN, {}),
        "gate": {
            "blessed": all(condition.passed for condition in conditions),
            "reasons": verdict.reasons(conditions),
            "conditions": [condition.as_json() for condition in conditions],
            "min_slice_examples": recipe.gate.min_slice_examples,
        },
    }


def _measured(recipe: Recipe, folders: Folders, found: Predictions, difference: float) -> Measured:
    """The numbers that the gate looks at."""
    numbers = judge.merged(evaluate.read(folders.evaluation, recipe), folders.judgement)
    return replace(
        numbers,
        comparisons=evidence.comparisons(recipe, found, numbers.metrics, numbers.baseline),
        calibration=_calibration(found),
        difference=difference,
    )


def _calibration(found: Predictions) -> float:
    if found.kind != "classes":
        return verdict.NOWHERE
    return calibration.error(calibration.reliability(found.candidate, found.truth))


def _cost(folders: Folders, measured: Measured, trained: dict[str, Any]) -> dict[str, Any]:
    """{"weights", "flops", "size_mb", "latency_ms": {"p50", "p95", "p99", "calls"}, "difference"}."""
    return {
        "weights": trained["weights"],
        "flops": trained.get("flops"),
        "size_mb": measured.size_mb,
        "latency_ms": atomic.read_json(folders.judgement / judge.FILE)["latency_ms"],
        "difference": measured.difference,
    }
