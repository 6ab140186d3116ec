"""Starts and ends the separate processes that write to MLflow."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline import subprocesses
from pipeline.errors import PipelineError
from pipeline.store import relocation
from pipeline.tracking.client import Unreachable

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.store.layout import Workspace


def start(
    module: str, workspace: Workspace, uri: str, log: Path, arguments: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Starts `python -m MODULE WORKSPACE ARGUMENTS --uri URI`, which outlives this process and ignores its Ctrl-C.

    Args:
        module: Full name.
        workspace: The workspace, also the working directory: MLflow may leave files there.
        uri: MLflow server or database.
        log: File that its output is appended to.
        arguments: Further arguments.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command, environment = [str(workspace.absolute()), *arguments, "--uri", uri], subprocesses.mlflow_environment()
    with log.open("ab") as output:
        return subprocesses.start_module(module, command, cwd=workspace.root, env=environment, output=output)


def run_to_exit_code(workspace: Workspace, uri: str, work: Callable[[], None]) -> int:
    """Does the work, while the paths in the databases are valid, and returns the exit code.

    It is 4, with the reason on stderr, if MLflow cannot be reached or refuses; 1 if the workspace cannot be used.
    """
    subprocesses.use_quiet_mlflow()
    try:
        with relocation.hold_location(workspace):
            work()
    except Unreachable as error:
        print(f"MLflow at {uri}: {error.reason}", file=sys.stderr)
        return error.exit_code
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
