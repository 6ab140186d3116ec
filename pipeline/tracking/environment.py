"""The environment of every process in which MLflow runs."""

from __future__ import annotations

import os
from pathlib import Path

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
    "MPLBACKEND": "agg",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def child() -> dict[str, str]:
    """The environment for a child process that runs MLflow."""
    inherited = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**DEFAULTS, **inherited, **QUIET, "PYTHONPATH": path}


def prepare(**defaults: str) -> None:
    """Sets this process's environment before mlflow is imported; what the user set himself stays."""
    os.environ.update(QUIET)
    for name, value in {**DEFAULTS, **defaults}.items():
        os.environ.setdefault(name, value)
