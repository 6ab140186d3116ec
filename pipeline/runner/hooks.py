"""Hooks that the runner calls after a step: they read its outputs, write events to the journal, and may end the run.

A hook has the name of its step. `keep_rows_report` is a context manager around all of them.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.formats.base import list_kinds
from pipeline.runner import digests
from pipeline.steps import validate as validation
from pipeline.steps.ingest import REPORT, UnusableRowsError
from pipeline.steps.schema import SCHEMA_FILE, freeze_schema
from pipeline.store import champions, fileio, journal

if TYPE_CHECKING:
    from pipeline.runner.state import RunState

SAVEDMODEL = "Format-Serving"


@contextmanager
def keep_rows_report(state: RunState) -> Iterator[None]:
    """Saves the report on rows if they end the run: TFX removes the outputs of a failed step."""
    try:
        yield
    except UnusableRowsError as error:
        path = state.workspace.run(state.result.run_id).rows_report
        fileio.write_json(path, vars(error.report))
        journal.report("file", path=_relative_path(state, path), folder="data")
        raise


def _relative_path(state: RunState, path: Path) -> str:
    return state.workspace.relative(path)


def ingest(state: RunState, *, cached: bool) -> None:  # noqa: ARG001
    """Reports the rows of the data set."""
    report = state.uri("ingest", "examples") / REPORT
    rows = fileio.read_json(report)
    state.result.left_out = _copy_left_out(state, rows)
    state.result.coarse = rows.get("coarse", [])
    journal.report("file", path=_relative_path(state, report), folder="data")
    _report_drift(state, report.parent)


def _copy_left_out(state: RunState, report: dict[str, Any]) -> dict[str, Any]:
    """Returns how many rows cannot be used, of which kinds, and the run's list of them; empty where all can."""
    if not report["bad"]:
        return {}
    path, bad = state.workspace.run(state.result.run_id).rows_report, len(report["bad"])
    fileio.write_json(path, report)
    kinds = list_kinds(Counter(report["kinds"]))
    return {"rows": bad, "of": bad + report["sound"], "kinds": kinds, "report": _relative_path(state, path)}


def _report_drift(state: RunState, examples: Path) -> None:
    """Warns if new data differ from the training data of the champion (the live model)."""
    from pipeline.monitoring import monitor, outputs

    drift_report = monitor.compare_new_data(state.workspace, state.request.name, examples)
    if drift_report is None:
        return
    folder = state.workspace.run(state.result.run_id)
    paths = [_relative_path(state, path) for path in outputs.write_report_files(folder.root, "drift", drift_report)]
    journal.report("drift", path=paths[0], status=drift_report.status, lines=drift_report.lines)
    for path in paths:
        journal.report("file", path=path, folder="data")
    state.result.drift = drift_report.lines


def schema(state: RunState, *, cached: bool) -> None:  # noqa: ARG001
    """Reports the schema."""
    path = state.uri("schema", "schema") / SCHEMA_FILE
    journal.report("file", path=_relative_path(state, path), folder="data")


def validate(state: RunState, *, cached: bool) -> None:  # noqa: ARG001
    """Ends the run if the data have anomalies."""
    folder = state.uri("validate", "anomalies")
    lines = validation.describe_anomalies(validation.read_anomalies(folder))
    path = state.workspace.run(state.result.run_id).anomalies
    fileio.write_json(path, lines)
    journal.report("file", path=_relative_path(state, path), folder="data")
    _report_data(state, path)
    validation.require_none(folder, state.request.name)


def _report_data(state: RunState, anomalies: Path) -> None:
    """Reports the files about the data; called before anomalies, which these files show, end the run."""
    journal.report(
        "data",
        name=state.request.name + " (quick)" * state.request.quick,
        digest=state.data,
        files=[str(file) for file in state.files],
        report=_relative_path(state, state.uri("ingest", "examples") / REPORT),
        statistics=_relative_path(state, state.uri("statistics", "statistics")),
        schema=_relative_path(state, state.uri("schema", "schema") / SCHEMA_FILE),
        anomalies=_relative_path(state, anomalies),
    )


def train(state: RunState, *, cached: bool) -> None:
    """Reports the curves, and deletes the checkpoints, which are no longer needed."""
    from pipeline.training.files import HISTORY, PICTURES

    folder = state.uri("train", "model_run")
    path = folder / HISTORY
    for name in filter(lambda name: (folder / name).exists(), PICTURES):
        journal.report("file", path=_relative_path(state, folder / name), folder="pictures")
    curves = fileio.read_json(path)
    if cached:
        _replay_epochs(curves["history"])
    state.result.diagnosis = curves["diagnosis"]
    journal.report("history", path=_relative_path(state, path), diagnosis=curves["diagnosis"])
    shutil.rmtree(state.checkpoints, ignore_errors=True)


def _replay_epochs(history: dict[str, list[float]]) -> None:
    for number, values in enumerate(zip(*history.values(), strict=True), start=1):
        metrics = dict(zip(history, values, strict=True))
        journal.report("epoch", epoch=number, seconds=0.0, samples_per_second=0.0, metrics=metrics)


def resolve(state: RunState, *, cached: bool) -> None:  # noqa: ARG001
    """Checks whether the candidate is the champion itself, or was evaluated before."""
    live = champions.read_champion(state.workspace, state.request.name)
    state.model = fileio.digest_folder(state.uri("train", "model") / SAVEDMODEL)
    state.judged_against = live.digest if live else ""
    state.is_live, state.is_judged = state.judged_against == state.model, False
    if live and state.is_live:
        _set_version(state, live.version)
        basis = digests.verdict_basis(state.digests, state.recipe.gate, quick=state.request.quick)
        verdict = digests.find_verdict(state.workspace, state.request.name, state.model, basis)
        if verdict and not state.request.reproduces:
            state.is_judged = True
            _copy_evaluation(state, verdict)


def gate(state: RunState, *, cached: bool) -> None:  # noqa: ARG001
    """Reads the verdict of the step and reports it."""
    path = state.workspace.run(state.result.run_id).evaluation
    _copy_evaluation(state, fileio.read_json(path))
    journal.report("evaluation", path=_relative_path(state, path))


def _copy_evaluation(state: RunState, evaluation: dict[str, Any]) -> None:
    """Copies an earlier evaluation to the run."""
    from pipeline.training.fit import revise_diagnosis

    state.result.blessed = evaluation["gate"]["blessed"]
    state.result.metrics = evaluation["metrics"]
    state.result.diagnosis = revise_diagnosis(state.result.diagnosis, evaluation["metrics"])
    state.result.reasons = evaluation["gate"]["reasons"]
    state.result.gate = evaluation["gate"]["conditions"]
    state.result.baselines = evaluation.get("baselines", {})


def publish(state: RunState, *, cached: bool) -> None:  # noqa: ARG001
    """Freezes the schema of the first blessed run."""
    set_published(state)
    if not state.request.quick:
        source = state.uri("schema", "schema") / SCHEMA_FILE
        freeze_schema(source, state.workspace.schema(state.request.name))
    _save_predictions(state)


def _save_predictions(state: RunState) -> None:
    """Saves the distribution of the published model's predictions on the test split, to detect drift later."""
    from pipeline.evaluation import predictions
    from pipeline.monitoring import predictions as monitoring_predictions

    scored = predictions.load_predictions(state.uri("score", "scores") / predictions.PREDICTIONS_FILE)
    classes = state.recipe.data.classes if scored.kind == "classes" else ()
    output = state.recipe.predicted or ("probabilities" if state.recipe.data.classes else "value")
    path = state.workspace.answers(state.request.name, state.model)
    monitoring_predictions.save(path, scored.candidate, output, classes)


def set_published(state: RunState) -> bool:
    """Sets the version that this run has published, by the record that servers read; False if there is none."""
    entry = champions.current_entry(state.workspace, state.request.name)
    model = {"champion": entry.champion, "challenger": entry.challenger, "quick": entry.quick}[state.request.alias]
    if model is None or model.run_id != state.result.run_id:
        return False
    _set_version(state, model.version)
    return True


def _set_version(state: RunState, version: int) -> None:
    state.result.model_version = version
    state.result.model_path = str(state.workspace.model(state.request.name, version))
