"""Records reports in MLflow: `python -m pipeline.monitoring WORKSPACE --uri URI`.

Exit code 0: all are recorded. 4: MLflow cannot be reached or refuses.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pipeline.monitoring import archive, record
from pipeline.tracking import environment, lock
from pipeline.tracking.destination import Destination
from pipeline.tracking.errors import Unreachable


def main(arguments: list[str] | None = None) -> int:
    """Records what MLflow has not seen, one process at a time."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.monitoring", description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--uri", required=True, help="MLflow server or database")
    options = parser.parse_args(arguments)
    environment.prepare()
    workspace = options.workspace.absolute()
    destination = Destination(options.uri, workspace)
    with lock.held(archive.base(workspace) / ".recorder.lock"):
        try:
            destination.probe()
            for folder in archive.pending(workspace):
                record.write(destination, folder)
        except Exception as error:  # noqa: BLE001 - the reports stay, and the next process tries again
            reason = Unreachable.because(options.uri, error)
            print(f"MLflow at {options.uri}: {reason.reason}", file=sys.stderr)
            return reason.exit_code
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # whoever waits need not wait until MLflow has taken itself apart
