"""Logged requests: their files, and the profile of what they hold.

The files are TFRecords of `PredictionLog`, as `keraspipe serve --request-log` and tensorflow/serving's collectors
write them.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.monitoring.tally import Tally, Traffic
from serving.errors import DataLoss
from serving.requestlog import folder, prediction

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.monitoring.tally import Wanted

PARALLEL_BYTES = 32 << 20  # from which on a second process is worth its start
PROCESSES = 2
PART = ".part"


def files(log: Path, model: str) -> list[Path]:
    """The files that may hold a model's requests, those that are still written to among them.

    Args:
        log: The folder of the request log, a folder of TFRecords, or one file.
        model: Name of the model.

    Raises:
        PipelineError: There is no such folder or file.
    """
    if log.is_file():
        return [log]
    if not log.is_dir():
        raise PipelineError(
            f"There is no request log {log}.",
            expected="the folder that a server logs a sample of its requests to",
            received="no such folder",
            action=f"serve with: --request-log {log} --request-log-rate 0.1; or name another folder with --log",
        )
    own = folder.of_model(log, model)
    found = [path for path in (own if own.is_dir() else log).iterdir() if ".tfrecord" in path.name and path.is_file()]
    return sorted(found, key=lambda path: path.name.lstrip("."))


def read(paths: Iterable[Path], wanted: Wanted) -> Traffic:
    """The traffic in files; large logs are read by two processes."""
    found = {path: stat(path) for path in paths}
    sizes = {path: one.st_size for path, one in found.items() if one and one.st_mtime >= wanted.since}
    if sum(sizes.values()) < PARALLEL_BYTES or len(sizes) == 1:
        return sum((read_file(path, wanted) for path in sizes), Traffic())
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return sum(pool.map(partial(read_file, wanted=wanted), sizes), Traffic())


def read_file(path: Path, wanted: Wanted) -> Traffic:
    """The traffic in one file; what is damaged is passed over and told, a file that is deleted meanwhile is not."""
    tally = Tally(wanted)
    faults = []
    try:
        _tell(path, tally)
    except DataLoss as error:
        if not path.name.endswith(PART):  # its last record is being written
            faults.append(str(error).partition("\n")[0] + f" ({path})")
    except OSError as error:
        faults.append(f"{path} cannot be read: {error.strerror}")
    if tally.unreadable:
        faults.append(f"{tally.unreadable} requests in {path} hold what is no tensor")
    return tally.traffic(faults)


def _tell(path: Path, tally: Tally) -> None:
    for name in _names(path):
        with suppress(FileNotFoundError):  # on opening, before anything is counted
            for log in prediction.read(name):
                tally.add(log)
            return


def _names(path: Path) -> list[Path]:
    """The file, and what it is called when it is no longer written to, which may be the case by now."""
    return [path, path.with_name(path.name[1:].removesuffix(PART))] if path.name.endswith(PART) else [path]


def stat(path: Path) -> os.stat_result | None:
    """Size and times of a file of the log; None if it is deleted by now."""
    for name in _names(path):
        with suppress(FileNotFoundError):
            return name.stat()
    return None
