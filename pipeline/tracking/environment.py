"""The environment of every process in which MLflow runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent

# MLflow's own defaults retry for minutes; the journal is the better place to wait.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}

# The address comes from the settings alone, and an active run or experiment of the caller is not ours.
FORGOTTEN = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # the current folder's project is not the model's
    "MPLBACKEND": "agg",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def child() -> dict[str, str]:
    """The environment for a child process that runs MLflow."""
    inherited = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**DEFAULTS, **inherited, **QUIET, "PYTHONPATH": path}


def prepare() -> None:
    """Sets this process's environment, where it was not started with one of ours."""
    os.environ.update(QUIET)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


@contextmanager
def during(**values: str) -> Iterator[None]:
    """Sets variables for a while; what the user has set himself stays as it is."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
