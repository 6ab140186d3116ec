"""A run from its request to its result: locks, journal, recorder, errors; the steps themselves are the runner's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline import atomic, catalogue, fingerprint, importing, journal, notice, quiet, reproduction, run, workspace
from pipeline.errors import PipelineError
from pipeline.tracking import outbox, recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.quiet import Terminal
    from pipeline.run import Request, Result
    from pipeline.runner import State
    from pipeline.settings import Settings
    from pipeline.tracking.recorder import Recording

RECORDING_TIMEOUT_S = 60.0
REPLAY_TIMEOUT_S = 0.2
FULL_BYTES = 1 << 20


def execute(request: Request, waiting: Callable[[], None]) -> Result:
    """Runs a request, or takes over the result of the same request in another process.

    Args:
        request: What to run.
        waiting: Called when another process is at it.
    """
    home = request.settings.workspace
    with (
        workspace.lock(home / workspace.RUNS_LOCK, shared=True),
        workspace.lock(home / "locks" / f"request-{request.key}", waiting),
    ):
        result = run.remembered(request)
        if result is not None:
            return result
        run_id = run.begin(request)
        with workspace.lock(run.folder(home, run_id) / "lock"):
            return _recorded(request, run_id)


def replay(settings: Settings) -> None:
    """Gives MLflow what it has not seen of earlier runs, in a process that nobody waits for."""
    if outbox.pending(settings.workspace):
        log = settings.workspace / "replay.txt"
        outbox.replay(settings.workspace, settings.mlflow_uri, log, REPLAY_TIMEOUT_S)


def _recorded(request: Request, run_id: str) -> Result:
    settings = request.settings
    replay(settings)
    folder = run.folder(settings.workspace, run_id)
    path, log = folder / "journal.jsonl", folder / "log.txt"
    recording = recorder.start(settings.workspace, run_id, settings.mlflow_uri, folder / "mlflow.txt")
    with journal.current(path):
        try:
            result = _shown(request, run_id, path, log)
        except Exception as error:
            # An interrupted run has no end, like a killed one: it goes on under the same id. The recorder sees it die.
            _end_failed(request, error)
            recording.finish(RECORDING_TIMEOUT_S)
            shown = _readable(error, request, log)
            _notify(settings, notice.failure(request.name, run_id, shown))
            raise shown from error
        _end(request, result, recording)
    return result


def _shown(request: Request, run_id: str, path: Path, log: Path) -> Result:
    from pipeline import live

    started = time.monotonic()
    offset = path.stat().st_size if path.exists() else 0
    names = list(run.STEPS[: run.STEPS.index(request.until) + 1])
    with (
        quiet.output_to(log) as terminal,
        _leaving_on_interrupt(terminal),
        live.shown(path, offset, names, terminal.err),
    ):
        state = _road(request, run_id)
    result = state.result
    result.seconds = round(time.monotonic() - started, 1)
    run.remember(request, result, state.files, state.judged_against, state.data)
    _tell_card(request, run_id, log)
    return result


def _road(request: Request, run_id: str) -> State:
    """Goes the road; returns what came of it."""
    name, title = request.name, request.source.title
    parameters = {**request.params, "seed": request.seed, "quick": request.quick}
    tags = {
        "host": socket.gethostname(),
        "code_digest": fingerprint.of_run(request.source, run.RUNNER),
        "request_digest": request.key,
    }
    tags |= {"reproduces": request.reproduces} if request.reproduces else {}
    tags |= {"trial": request.trial} if request.trial else {}
    reproduction.keep(request, run.folder(request.settings.workspace, run_id))
    journal.report("start", run_id=run_id, recipe=name, description=title, params=parameters, tags=tags)
    os.environ["TF_USE_LEGACY_KERAS"] = "0"  # TFT sets it to 1 on import
    sys.argv = sys.argv[:1]  # TFX hands the rest to Beam as its options
    with importing.without_garbage():
        from pipeline import dag, runner

        recipe = catalogue.pin(request.source)
    _tell_surroundings(request, run_id)
    files = recipe.data.files(request.settings.data)
    digest = run.data_digest(request, files)
    journal.report("start", run_id=run_id, recipe=name, description=title, params={}, tags={"data_digest": digest})
    state = runner.State(request, recipe, run.Result(run_id, name), files, digest, dag.digests(request, recipe, digest))
    runner.execute(state)
    return state


def _tell_card(request: Request, run_id: str, log: Path) -> None:
    """Writes the card; the model is published by now, and one that cannot be described is not taken back."""
    from pipeline.card import files

    home = request.settings.workspace
    try:
        files.write(home, request.source, run_id)
    except Exception:  # noqa: BLE001  (whatever a record may lack)
        with log.open("a") as file:
            traceback.print_exc(file=file)
        return
    markdown, html = (str(path.relative_to(home)) for path in files.beside(home, run_id))
    journal.report("card", markdown=markdown, html=html)


def _tell_surroundings(request: Request, run_id: str) -> None:
    from pipeline import surroundings

    path = run.folder(request.settings.workspace, run_id) / surroundings.FILE
    atomic.write_json(path, surroundings.described())
    journal.report("environment", path=str(path.relative_to(request.settings.workspace)))


@contextmanager
def _leaving_on_interrupt(terminal: Terminal) -> Iterator[None]:
    """Ctrl-C ends the process where it stands, which a run survives like a kill.

    A KeyboardInterrupt would be raised wherever Python is at work for TensorFlow, and abort the process from its C++.
    """

    def leave(*_: object) -> None:
        cursor = "\x1b[?25h" if terminal.err.isatty() else ""  # the live view has hidden it
        terminal.err.write(f"{cursor}\nInterrupted. The same command goes on from here.\n")
        terminal.err.flush()
        os._exit(1)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(request: Request, result: Result, recording: Recording) -> None:
    status = "not_blessed" if result.blessed is False else "finished"
    journal.report("end", status=status, message="; ".join(result.reasons), seconds=result.seconds)
    outcome = recording.finish(RECORDING_TIMEOUT_S)
    result.mlflow_run_id = outcome.mlflow_run_id or None
    if not outcome.complete:
        result.not_recorded = f"{request.settings.mlflow_uri} does not answer: {outcome.error}"
    run.amend(request, result)
    _notify(request.settings, notice.verdict(result))


def _notify(settings: Settings, message: dict[str, Any]) -> None:
    problem = notice.send(settings.notify, message)
    if problem:
        print(problem, file=sys.stderr)


def _end_failed(request: Request, error: Exception) -> None:
    try:
        journal.report("end", status="failed", message=str(error), seconds=0.0)
        run.forget(request)
    except OSError:
        pass  # a full disk is the error itself, which is about to be told


def _readable(error: Exception, request: Request, log: Path) -> Exception:
    """The error as the user is to read it; the traceback of an unforeseen one goes to the log."""
    if isinstance(error, PipelineError) or request.settings.debug:
        return error
    home = request.settings.workspace
    if shutil.disk_usage(home).free < FULL_BYTES:
        return workspace.unwritable(home, OSError(0, "no space left on the device"))
    with log.open("a") as file:
        traceback.print_exception(error, file=file)
    if isinstance(error, OSError) and error.errno:
        return workspace.unwritable(home, error)
    first = str(error).strip().partition("\n")[0] or "no message"
    return PipelineError(
        f"The run of {request.name} failed.",
        expected="a run to the end",
        received=f"{type(error).__name__}: {first}",
        action=f"read {log}, or run again with KERASPIPE_DEBUG=1 for the traceback",
    )
