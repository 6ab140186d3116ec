"""What the runner does after a step: read its outputs, tell the journal, and decide whether to go on.

Each function has the name of its step; `refusals` stands around all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.runner import digests
from pipeline.steps import validate as validation
from pipeline.steps.ingest import REPORT, UnusableRowsError
from pipeline.steps.schema import FILE as SCHEMA_FILE
from pipeline.steps.schema import freeze
from pipeline.store import champions, fileio, journal

if TYPE_CHECKING:
    from pipeline.runner.state import State

SAVEDMODEL = "Format-Serving"


@contextmanager
def refusals(state: State) -> Iterator[None]:
    """Keeps the report on rows that end a run: TFX removes what a failed step has written."""
    try:
        yield
    except UnusableRowsError as error:
        path = state.workspace.run(state.result.run_id).rows_report
        fileio.write_json(path, vars(error.report))
        journal.report("file", path=_inside(state, path), folder="data")
        raise


def _inside(state: State, path: Path) -> str:
    return state.workspace.relative(path)


def ingest(state: State, *, cached: bool) -> None:  # noqa: ARG001
    """Shows what was found in the data."""
    report = state.uri("ingest", "examples") / REPORT
    journal.report("file", path=_inside(state, report), folder="data")
    _tell_drift(state, report.parent)


def _tell_drift(state: State, examples: Path) -> None:
    """Warns where new data differ from those that the live model has learnt from."""
    from pipeline.monitoring import monitor, outputs

    found = monitor.compared(state.workspace, state.request.name, examples)
    if found is None:
        return
    folder = state.workspace.run(state.result.run_id)
    paths = [_inside(state, path) for path in outputs.archive_report(folder.root, "drift", found)]
    journal.report("drift", path=paths[0], status=found.status, lines=found.lines)
    for path in paths:
        journal.report("file", path=path, folder="data")
    state.result.drift = found.lines


def schema(state: State, *, cached: bool) -> None:  # noqa: ARG001
    """Shows the schema."""
    path = state.uri("schema", "schema") / SCHEMA_FILE
    journal.report("file", path=_inside(state, path), folder="data")


def validate(state: State, *, cached: bool) -> None:  # noqa: ARG001
    """Ends the run if the data have anomalies."""
    folder = state.uri("validate", "anomalies")
    lines = validation.describe(validation.read(folder))
    path = state.workspace.run(state.result.run_id).anomalies
    fileio.write_json(path, lines)
    journal.report("file", path=_inside(state, path), folder="data")
    _tell_data(state, path)
    validation.require_none(folder, state.request.name)


def _tell_data(state: State, anomalies: Path) -> None:
    """Where all lies that is known of the data; told before anomalies end the run, since they are best seen there."""
    journal.report(
        "data",
        name=state.request.name + " (quick)" * state.request.quick,
        digest=state.data,
        files=[str(file) for file in state.files],
        report=_inside(state, state.uri("ingest", "examples") / REPORT),
        statistics=_inside(state, state.uri("statistics", "statistics")),
        schema=_inside(state, state.uri("schema", "schema") / SCHEMA_FILE),
        anomalies=_inside(state, anomalies),
    )


def train(state: State, *, cached: bool) -> None:
    """Tells the curves, and drops the checkpoints, which are needed no more."""
    from pipeline.training.files import HISTORY
    from pipeline.training.input_pipeline import FILE as AUGMENTED

    folder = state.uri("train", "model_run")
    path = folder / HISTORY
    if (folder / AUGMENTED).exists():
        journal.report("file", path=_inside(state, folder / AUGMENTED), folder="pictures")
    found = fileio.read_json(path)
    if cached:
        _tell_again(found["history"])
    state.result.diagnosis = found["diagnosis"]
    journal.report("history", path=_inside(state, path), diagnosis=found["diagnosis"])
    shutil.rmtree(state.checkpoints, ignore_errors=True)


def _tell_again(history: dict[str, list[float]]) -> None:
    for number, values in enumerate(zip(*history.values(), strict=True), start=1):
        metrics = dict(zip(history, values, strict=True))
        journal.report("epoch", epoch=number, seconds=0.0, samples_per_second=0.0, metrics=metrics)


def resolve(state: State, *, cached: bool) -> None:  # noqa: ARG001
    """Finds out whether the candidate is the live model itself."""
    live = champions.read(state.workspace, state.request.name)
    state.model = fileio.digest(state.uri("train", "model") / SAVEDMODEL)
    state.judged_against = live.digest if live else ""
    state.is_live, state.is_judged = state.judged_against == state.model, False
    if live and state.is_live:
        _published(state, live.version)
        basis = digests.basis(state.digests, state.recipe.gate, quick=state.request.quick)
        before = digests.remembered(state.workspace, state.request.name, state.model, basis)
        if before and not state.request.reproduces:
            state.is_judged = True
            _take_over(state, before)


def gate(state: State, *, cached: bool) -> None:  # noqa: ARG001
    """Takes over the verdict that the step has written."""
    path = state.workspace.run(state.result.run_id).evaluation
    _take_over(state, fileio.read_json(path))
    journal.report("evaluation", path=_inside(state, path))


def _take_over(state: State, told: dict[str, Any]) -> None:
    """Makes an evaluation the run's own."""
    state.result.blessed = told["gate"]["blessed"]
    state.result.metrics = told["metrics"]
    state.result.reasons = told["gate"]["reasons"]
    state.result.gate = told["gate"]["conditions"]


def publish(state: State, *, cached: bool) -> None:  # noqa: ARG001
    """Freezes the schema of the first blessed run."""
    if not state.request.quick:
        source = state.uri("schema", "schema") / SCHEMA_FILE
        freeze(source, state.workspace.schema(state.request.name))
    _published(state, champions.standing(state.workspace, state.request.name).aliases[state.request.alias])
    _keep_answers(state)


def _keep_answers(state: State) -> None:
    """Keeps how the published model answers to the test split, to tell later whether its answers drift."""
    from pipeline.evaluation import predictions
    from pipeline.monitoring import predictions as monitoring_predictions

    found = predictions.load(state.uri("score", "scores") / predictions.FILE)
    classes = state.recipe.data.classes if found.kind == "classes" else ()
    output = state.recipe.predicted or ("probabilities" if state.recipe.data.classes else "value")
    path = state.workspace.answers(state.request.name, state.model)
    monitoring_predictions.keep(path, found.candidate, output, classes)


def _published(state: State, version: int) -> None:
    state.result.model_version = version
    state.result.model_path = str(state.workspace.model(state.request.name, version))
