"""Executes a run, from its request to its result: locks, output, live view, errors, notifications.

`pipeline.runner.local` runs the steps.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pipeline import console, subprocesses
from pipeline.errors import PipelineError, describe_cause
from pipeline.recipes import catalog
from pipeline.runner import lifecycle, notifications
from pipeline.runs import reproduce, run
from pipeline.store import fileio, layout
from pipeline.tracking import recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.console import Terminal
    from pipeline.runner.lifecycle import RunSession
    from pipeline.runner.state import RunState
    from pipeline.runs.run import RunRequest, RunResult
    from pipeline.settings import Settings
    from pipeline.store.layout import RunFolder
    from pipeline.tracking.recorder import Outcome

RECORDING_TIMEOUT_S = 60.0
REPLAY_TIMEOUT_S = 0.2
FULL_BYTES = 1 << 20
FULL_WORDS = ("No space left on device", "disk is full")  # the system's, SQLite's


def execute_request(request: RunRequest, on_wait: Callable[[], None]) -> RunResult:
    """Executes a request, or returns the result of the same request in another process.

    Args:
        request: The request.
        on_wait: Called if another process executes the request.
    """
    home = request.settings.workspace
    with (
        fileio.lock(home.runs_lock, shared=True),
        fileio.lock(home.request_lock(request.key), on_wait),
    ):
        result = run.find_result(request)
        if result is not None:
            return result
        return _run_with_recorder(request, home.run(run.begin_run(request)))


def replay_journals(settings: Settings) -> None:
    """Sends MLflow the missing events of earlier runs, in a background process."""
    if recorder.pending_runs(settings.workspace):
        log = settings.workspace.replay_log
        recorder.replay_pending(settings.workspace, settings.mlflow_uri, log, REPLAY_TIMEOUT_S)


def _run_with_recorder(request: RunRequest, folder: RunFolder) -> RunResult:
    settings = request.settings
    try:
        replay_journals(settings)
        with lifecycle.run_session(
            folder, settings.mlflow_uri, timeout_s=RECORDING_TIMEOUT_S, on_failure=lambda: run.forget_request(request)
        ) as session:
            result = _run_with_progress(request, session)
            outcome = session.end_run(result)
    except Exception as error:
        user_error = _user_error(error, request, folder.log)
        _notify(settings, notifications.failure_message(request.name, folder.run_id, user_error))
        raise user_error from error
    _complete(request, result, outcome)
    return result


def _run_with_progress(request: RunRequest, session: RunSession) -> RunResult:
    from pipeline.runner import progress

    started, path = time.monotonic(), session.folder.journal
    offset = path.stat().st_size if path.exists() else 0
    names = list(run.STEPS[: run.STEPS.index(request.until) + 1])
    with (
        console.redirect_output(session.folder.log) as terminal,
        _exit_on_interrupt(terminal),
        progress.show_progress(path, offset, names, terminal.err),
    ):
        state = _run_pipeline(request, session)
    result = state.result
    result.seconds = round(time.monotonic() - started, 1)
    with session.tolerate_late_errors(result):
        run.save_result(request, result, state.files, state.judged_against, state.data)
    try_write_card(request, session)
    return result


def _run_pipeline(request: RunRequest, session: RunSession) -> RunState:
    """Runs the steps; returns their state."""
    name, run_id = request.name, session.folder.run_id
    tags = {"reproduces": request.reproduces} if request.reproduces else {}
    tags |= {"trial": request.trial} if request.trial else {}
    reproduce.save_request(request, session.folder)
    session.start_run(request, host=socket.gethostname(), **tags)
    subprocesses.configure_tensorflow(deterministic=request.settings.deterministic)
    sys.argv = sys.argv[:1]  # TFX hands the rest to Beam as its options
    with subprocesses.pause_gc():
        from pipeline.runner import digests, local  # noqa: F401  (all that is imported makes garbage)
        from pipeline.runner.state import RunState

        recipe = catalog.pin_recipe(request.source)
    session.record_environment()
    files = recipe.data.files(request.settings.data)
    digest = run.data_digest(request, files)
    session.start(name, request.source.heading.title, {}, {"data_digest": digest})
    state = RunState(
        request,
        recipe,
        run.RunResult(run_id, name, quick=request.quick),
        files,
        digest,
        digests.compute_digests(request, recipe, digest),
    )
    _run_steps(state, session)
    return state


def _run_steps(state: RunState, session: RunSession) -> None:
    """Runs the steps. Publishing is the last word: an error after it is reported, and the run has not failed."""
    from pipeline.runner import hooks, local

    try:
        local.run_steps(state)
    except SystemExit as error:
        raise _ended_error(state, error) from error
    except Exception as error:
        if not hooks.set_published(state):
            raise
        state.result.add_late_error(error)
        _log_traceback(session.folder.log)
    session.is_published = state.result.blessed is True and state.result.model_version is not None


def _ended_error(state: RunState, error: SystemExit) -> PipelineError:
    return PipelineError(
        f"The recipe {state.request.name} ends the process.",
        expected="functions that return a value, or raise an error",
        received=describe_cause(error),
        action="replace sys.exit() or exit() in the recipe by an error",
    )


def _log_traceback(log: Path) -> None:
    with suppress(OSError), log.open("a") as file:
        traceback.print_exc(file=file)


def try_write_card(request: RunRequest, session: RunSession) -> None:
    """Writes the card; an error is only logged, since the model is published already."""
    try:
        session.record_card(request.source)
    except Exception:  # noqa: BLE001  (any part of a record may be missing)
        _log_traceback(session.folder.log)


@contextmanager
def _exit_on_interrupt(terminal: Terminal) -> Iterator[None]:
    """Makes Ctrl-C end the process at once; a run can be resumed after it, as after a kill.

    A KeyboardInterrupt could be raised in a Python callback of TensorFlow, whose C++ would abort the process.
    """

    def leave(*_: object) -> None:
        cursor = "\x1b[?25h" if terminal.err.isatty() else ""  # the live view has hidden it
        terminal.err.write(f"{cursor}\nInterrupted. Run the same command again to continue.\n")
        terminal.err.flush()
        console.remove_generated_code()
        os._exit(1)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _complete(request: RunRequest, result: RunResult, outcome: Outcome) -> None:
    """Adds the outcome of the recording in MLflow to the result, and notifies."""
    result.mlflow_run_id = outcome.mlflow_run_id or None
    result.not_recorded = outcome.describe(request.settings.mlflow_uri)
    try:
        run.update_result(request, result)
    except OSError as error:  # a full disk: the result itself is stored, without these facts
        result.add_late_error(error)
    _notify(request.settings, notifications.verdict_message(result))


def _notify(settings: Settings, message: dict[str, Any]) -> None:
    problem = notifications.send(settings.notify, message)
    if problem:
        console.say(problem, error=True)


def _is_disk_full(error: BaseException | None) -> bool:
    """Returns whether an error, or what led to it, says so: what a failed step leaves is deleted, which makes room."""
    while error:
        if any(words in str(error) for words in FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _user_error(error: Exception, request: RunRequest, log: Path) -> Exception:
    """Returns the error for the user; the traceback of an unexpected one goes to the log."""
    if isinstance(error, PipelineError) or request.settings.debug:
        return error
    home = request.settings.workspace
    if _is_disk_full(error) or shutil.disk_usage(home.root).free < FULL_BYTES:
        return layout.unwritable_error(home, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with suppress(OSError), log.open("a") as file:
        traceback.print_exception(error, file=file)
    if isinstance(error, OSError) and error.errno:
        return layout.unwritable_error(home, error)
    first = str(error).strip().partition("\n")[0] or "no message"
    return PipelineError(
        f"The run of {request.name} failed.",
        expected="a run without errors",
        received=f"{type(error).__name__}: {first}",
        action=f"read {log}, or run again with KERASPIPE_DEBUG=1 for the traceback",
    )
