"""`keraspipe run`: the whole road, or the record of it when nothing changed."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from pipeline import catalogue, journal, params, quiet, run, workspace
from pipeline.errors import PipelineError
from pipeline.tracking import outbox, recorder

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from pipeline.run import Request, Result
    from pipeline.settings import Settings
    from pipeline.tracking.recorder import Recording

RECORDING_TIMEOUT_S = 60.0
NOT_BLESSED = 3


def command(options: Namespace, settings: Settings) -> int:
    """Runs a recipe and prints the result."""
    request = requested(options, settings)
    workspace.prepare(settings.workspace)
    result = run.remembered(request)
    if result is None:
        result = _run(request)
    else:
        _say(f"Nothing changed since run {result.run_id}; its result:")
        _replay(settings)
    _print(result, request, as_json=options.json)
    return NOT_BLESSED if result.blessed is False else 0


def requested(options: Namespace, settings: Settings) -> Request:
    """The request that the command line makes."""
    from pipeline.training import devices

    devices.check(settings.distribution, settings.mixed_precision)
    source = catalogue.source(options.name, settings)
    values = params.resolve(source, options.set)
    if options.quick and not any(text.startswith("epochs=") for text in options.set):
        values["epochs"] = min(values["epochs"], run.quick_epochs(source))
    return run.Request(
        source=source,
        settings=settings,
        params=values,
        quick=options.quick,
        seed=options.seed,
        until=options.until,
        cache=options.cache,
    )


def _run(request: Request) -> Result:
    home = request.settings.workspace
    waiting = "The same run is going on in another process; waiting for its result."
    with workspace.lock(home / "locks" / f"request-{request.key}", lambda: _say(waiting)):
        result = run.remembered(request)
        if result is not None:
            return result
        run_id = run.begin(request)
        with workspace.lock(run.folder(home, run_id) / "lock"):
            return _recorded(request, run_id)


def _recorded(request: Request, run_id: str) -> Result:
    settings = request.settings
    folder = run.folder(settings.workspace, run_id)
    _replay(settings)
    path, log = folder / "journal.jsonl", folder / "log.txt"
    offset = path.stat().st_size if path.exists() else 0
    recording = recorder.start(settings.workspace, run_id, settings.mlflow_uri, folder / "mlflow.txt")
    with journal.current(path):
        try:
            result = _shown(request, run_id, offset, log)
        except BaseException as error:
            _failed(request, error)
            recording.finish(RECORDING_TIMEOUT_S)
            raise _readable(error, request, log) from error
    _finish(request, result, recording)
    return result


def _failed(request: Request, error: BaseException) -> None:
    journal.report("end", status="failed", message=str(error), seconds=0.0)
    # An interrupted run goes on under the same id; a failed one was told to the end.
    if not isinstance(error, KeyboardInterrupt):
        run.forget(request)


def _readable(error: BaseException, request: Request, log: Path) -> BaseException:
    if isinstance(error, KeyboardInterrupt) or request.settings.debug:
        return error
    if isinstance(error, PipelineError):
        return error
    with log.open("a") as file:
        traceback.print_exception(error, file=file)
    if isinstance(error, OSError) and error.errno is not None:
        return workspace.unwritable(request.settings.workspace, error)
    first = str(error).strip().partition("\n")[0] or "no message"
    return PipelineError(
        f"The run of {request.name} failed.",
        expected="a run to the end",
        received=f"{type(error).__name__}: {first}",
        action=f"read {log}, or run again with KERASPIPE_DEBUG=1 for the traceback",
    )


def _shown(request: Request, run_id: str, offset: int, log: Path) -> Result:
    from pipeline import live

    started = time.monotonic()
    names = list(run.STEPS[: run.STEPS.index(request.until) + 1])
    with quiet.output_to(log) as terminal, live.shown(_journal(request, run_id), offset, names, terminal.err):
        result, files, judged_against = road(request, run_id)
        result.seconds = round(time.monotonic() - started, 1)
    run.remember(request, result, files, judged_against)
    return result


def _journal(request: Request, run_id: str) -> Path:
    return run.folder(request.settings.workspace, run_id) / "journal.jsonl"


def road(request: Request, run_id: str) -> tuple[Result, list[Path], str]:
    """Goes the whole road in this process.

    Returns:
        The result, the files of the data set, and the digest of the model that the candidate was judged against.
    """
    import socket

    from pipeline import fingerprint

    data_memory = request.settings.workspace / "data" / f"{request.name}.json"
    journal.report(
        "start",
        run_id=run_id,
        recipe=request.name,
        description=request.source.title,
        params={**request.params, "seed": request.seed, "quick": request.quick},
        tags={"host": socket.gethostname(), "code_digest": request.key},
    )
    # TFX passes sys.argv on to Beam as options.
    sys.argv = sys.argv[:1]
    os.environ["TF_USE_LEGACY_KERAS"] = "0"  # TFT sets it to 1 on import
    from pipeline import dag, runner

    recipe = catalogue.load(request.source.path)
    files = recipe.data.files(request.settings.data)
    digest = fingerprint.of_data(files, data_memory)
    journal.report("start", run_id=run_id, recipe=request.name, tags={"data_digest": digest}, params={}, description=request.source.title)
    state = runner.State(request, recipe, run.Result(run_id, request.name), dag.digests(request, digest))
    runner.execute(state)
    return state.result, files, state.judged_against


def _finish(request: Request, result: Result, recording: Recording) -> None:
    status = "not_blessed" if result.blessed is False else "finished"
    path = _journal(request, result.run_id)
    journal.write(path, "end", status=status, message="; ".join(result.reasons), seconds=result.seconds)
    outcome = recording.finish(RECORDING_TIMEOUT_S)
    result.mlflow_run_id = outcome.mlflow_run_id or None
    result.not_recorded = "" if outcome.complete else outcome.error
    run.amend(request, result)


def _replay(settings: Settings) -> None:
    """Gives MLflow what it has not seen of earlier runs; never keeps a run from going on."""
    if outbox.pending(settings.workspace):
        outbox.replay(settings.workspace, settings.mlflow_uri, settings.workspace / "replay.txt", 1.0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(result: Result, request: Request, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(public(result)))
        return
    for line in summary(result, request):
        print(line)


def public(result: Result) -> dict[str, Any]:
    """The object of `--json`."""
    return result.as_json()


def summary(result: Result, request: Request) -> list[str]:
    """What a person reads at the end of a run."""
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    lines = [f"\n{request.name}: {numbers}" if numbers else f"\n{request.name}: done up to {request.until}"]
    if result.diagnosis:
        lines.append(f"Training: {result.diagnosis}")
    if result.blessed is False:
        lines += ["Not blessed, nothing was published:", *(f"  - {reason}" for reason in result.reasons)]
    if result.blessed and result.model_path:
        lines.append(f"Published: version {result.model_version} in {result.model_path}")
        lines.append("Next: keraspipe serve     keraspipe dashboard")
    if result.not_recorded:
        lines.append(f"Not recorded in MLflow: {result.not_recorded.splitlines()[0]}")
        lines.append("It is kept in the workspace and recorded by the next run when the server is back.")
    return lines
