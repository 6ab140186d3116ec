"""Runs MLflow's server on a workspace until the command is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline import errors, subprocesses
from pipeline.errors import PipelineError, UsageError
from pipeline.runs import versions
from pipeline.store import fileio, relocation
from pipeline.store.recording import RecordingState
from pipeline.tracking import overview

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace

PLUGIN = "keraspipe"
START_TIMEOUT_S = 180.0  # on a machine that is busy elsewhere

# MLflow 3 opens on pages about prompts and traces; this is the list of the experiments with their runs.
ALL_PAGE = "/#/experiments?workflowType=machine_learning"


def serve_dashboard(settings: Settings, target: str = "", port: int = 5000, host: str = "127.0.0.1") -> int:
    """Runs MLflow's server until it is interrupted; prints the address once it answers.

    Args:
        settings: The settings.
        target: What to show: a recipe, NAME@VERSION, or a run; empty for all recipes.
        port: Port of the server.
        host: Its address.

    Raises:
        PipelineError: There is nothing to show yet, the port is taken, or MLflow does not start.
    """
    page = find_page(settings.workspace, target)
    if urlsplit(settings.tracking_uri).scheme in ("http", "https"):
        print(page(settings.tracking_uri))
        return 0
    _require_startable(settings, port, host)
    url = f"http://{host}:{port}"
    with (
        _stop_on_sigterm(),
        _open_files(settings) as files,
        _start_server(settings, files, port, host) as process,
    ):
        _wait_until_healthy(process, url, files.log)
        print(page(url), flush=True)
        return process.wait()
    return 0


def find_page(workspace: Workspace, target: str) -> Callable[[str], str]:
    """Returns the page that shows a recipe's runs or a run, as a function of MLflow's address.

    Without a target it is the page of the runs if the workspace has those of one recipe only.

    Raises:
        UsageError: There is no such recipe or run, or it is not recorded in MLflow yet.
    """
    recorded = {folder.run_id: RecordingState.load(folder) for folder in workspace.run_folders()}
    recorded = {run_id: state for run_id, state in recorded.items() if state.mlflow_run_id}
    experiments = {run_id.rsplit("-", 3)[0]: state for run_id, state in recorded.items()}
    if not target and len(experiments) != 1:
        return lambda uri: uri.rstrip("/") + ALL_PAGE
    if "@" in target:
        target = versions.find_version(workspace, target).require_run_id(workspace)
    if target in recorded:
        state = recorded[target]
        return lambda uri: overview.run_page(uri, state.experiment_id, state.mlflow_run_id)
    if target and target not in experiments:
        raise _unrecorded_error(workspace, target, [*experiments, *recorded])
    shown = experiments[target] if target else next(iter(experiments.values()))
    return lambda uri: overview.runs_page(uri, shown.experiment_id, has_view=shown.has_view)


def _unrecorded_error(workspace: Workspace, target: str, known: list[str]) -> UsageError:
    return UsageError(
        f"MLflow has no runs of {target!r} in {workspace}.",
        expected="a recipe, a run, or NAME@VERSION that a run has recorded",
        received=target,
        action=errors.did_you_mean(target, known) or "list the runs with: keraspipe runs",
    )


def _require_startable(settings: Settings, port: int, host: str) -> None:
    database = settings.workspace.mlflow_db
    if not settings.tracking_uri and not database.exists():
        raise PipelineError(
            "There is nothing to show yet.",
            expected=f"runs recorded in {database}",
            received="no such file",
            action="run a pipeline first: keraspipe run digits",
        )
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise PipelineError(
            f"Port {port} of {host} cannot be used.",
            expected="a free port",
            received=error.strerror or error,
            action=f"choose another one: keraspipe dashboard --port {port + 1}",
        ) from error


@dataclass(frozen=True)
class ServerFiles:
    """What MLflow's server reads and writes.

    Attributes:
        uri: The database, or the address of another MLflow.
        log: Its log.
        lock: Held while it starts.
    """

    uri: str
    log: Path
    lock: Path


@contextlib.contextmanager
def _open_files(settings: Settings) -> Iterator[ServerFiles]:
    """Yields the files of the workspace; copies of them if it may only be read, because MLflow writes to a database."""
    home = settings.workspace
    if os.access(home.root, os.W_OK):
        with relocation.hold_location(home):
            yield ServerFiles(settings.mlflow_uri, home.dashboard_log, home.mlflow_lock)
        return
    with tempfile.TemporaryDirectory(prefix="keraspipe-") as folder:
        uri, log = settings.mlflow_uri, Path(folder, home.dashboard_log.name)
        if not settings.tracking_uri:
            relocation.copy_mlflow_db(home, Path(folder, home.mlflow_db.name))
            uri = f"sqlite:///{Path(folder, home.mlflow_db.name)}"
        print(f"keraspipe dashboard: warning: {home} cannot be written; this shows it as it is now", file=sys.stderr)
        yield ServerFiles(uri, log, Path(folder, "lock"))


@contextlib.contextmanager
def _start_server(settings: Settings, files: ServerFiles, port: int, host: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts MLflow's server in a new process group and stops it when the block ends."""
    # A recorder may be creating the tables at this moment, and MLflow cannot handle that.
    with fileio.lock(files.lock), files.log.open("wb") as log:
        # Its job runner serves features that need a language model, and costs processes.
        environment = {**subprocesses.mlflow_environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        arguments = _server_arguments(settings, files.uri, port, host)
        process = subprocesses.start_module("mlflow", arguments, cwd=files.log.parent, env=environment, output=log)
    try:
        yield process
    finally:
        _terminate(process)


def _server_arguments(settings: Settings, uri: str, port: int, host: str) -> list[str]:
    # Our page is a plugin of MLflow: installed by `make setup`, but not by a copy of the code alone.
    plugin = ["--app-name", PLUGIN] if metadata.entry_points(group="mlflow.app", name=PLUGIN) else []
    return [
        "server",
        *plugin,
        *("--backend-store-uri", uri),
        *("--artifacts-destination", str(settings.workspace.mlflow_artifacts)),
        *("--host", host, "--port", str(port), "--workers", "1"),
    ]


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while not _is_healthy(url):
        if process.poll() is not None or time.monotonic() > until:
            raise PipelineError(
                "MLflow's server did not start.",
                expected=f"an answer from {url}/health within {START_TIMEOUT_S:g} s",
                received="\n".join(log.read_text(errors="replace").splitlines()[-5:]),
                action=f"read {log}",
            )
        time.sleep(0.1)


def _is_healthy(url: str) -> bool:
    # No proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=2):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM end the block as Ctrl-C does; both are the usual way to leave, not errors."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Passes the signal on to the server and its workers."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
            return
