"""Reads logged requests and counts them into profiles, in batches so that memory does not grow.

The files are TFRecords of `PredictionLog`, as written by `keraspipe serve --request-log` and by tensorflow/serving's
collectors.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.monitoring.features import HEAVY_ROLES
from pipeline.monitoring.profile import Profile, Rows, count_rows, example_type
from serving.errors import DataLoss, InvalidArgument
from serving.request_log import records
from serving.request_log.files import model_folder
from serving.wire import tensor_proto

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from pipeline.monitoring.features import Feature
    from pipeline.monitoring.predictions import Predictions


PARALLEL_BYTES = 32 << 20  # size from which a second process is faster
PROCESSES = 2
PART_SUFFIX = ".part"
BATCH_ROWS = 4096
BATCH_BYTES = 16 << 20
EXAMPLES_INPUT = "examples"  # the input of signatures that take a serialized `tf.train.Example`
EXAMPLE_LOGS = ("classify_log", "regress_log", "multi_inference_log")


def log_files(log: Path, model: str) -> list[Path]:
    """Returns the files that may hold a model's requests, including those that are still being written.

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
    own = model_folder(log, model)
    paths = [path for path in (own if own.is_dir() else log).iterdir() if ".tfrecord" in path.name and path.is_file()]
    return sorted(paths, key=lambda path: path.name.lstrip("."))


def read_traffic(paths: Iterable[Path], wanted: TrafficFilter) -> Traffic:
    """Reads the traffic in files; large logs in two processes."""
    stats = {path: stat_file(path) for path in paths}
    sizes = {path: entry.st_size for path, entry in stats.items() if entry and entry.st_mtime >= wanted.since}
    if sum(sizes.values()) < PARALLEL_BYTES or len(sizes) == 1:
        return sum((read_log_file(path, wanted) for path in sizes), Traffic())
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return sum(pool.map(partial(read_log_file, wanted=wanted), sizes), Traffic())


def read_log_file(path: Path, wanted: TrafficFilter) -> Traffic:
    """Reads one file. Damaged parts are skipped and reported; a file that is deleted meanwhile is ignored."""
    counter = RequestCounter(wanted)
    faults = []
    try:
        _count_file(path, counter)
    except DataLoss as error:
        if not path.name.endswith(PART_SUFFIX):  # its last record is being written
            faults.append(str(error).partition("\n")[0] + f" ({path})")
    except OSError as error:
        faults.append(f"{path} cannot be read: {error.strerror}")
    if counter.unreadable:
        faults.append(f"{counter.unreadable} requests in {path} hold values that are not tensors")
    return counter.traffic(faults)


def _count_file(path: Path, counter: RequestCounter) -> None:
    for name in _possible_paths(path):
        with suppress(FileNotFoundError):  # on opening, before anything is counted
            for log in records.read_logs(name):
                counter.add(log)
            return


def _possible_paths(path: Path) -> list[Path]:
    """Returns the file's path, and the path that it has once it is complete, which may be by now."""
    return (
        [path, path.with_name(path.name[1:].removesuffix(PART_SUFFIX))] if path.name.endswith(PART_SUFFIX) else [path]
    )


def stat_file(path: Path) -> os.stat_result | None:
    """Returns size and times of a file of the log; None if it was deleted."""
    for name in _possible_paths(path):
        with suppress(FileNotFoundError):
            return name.stat()
    return None


@dataclass(frozen=True)
class Traffic:
    """Counts of the requests of a log.

    Attributes:
        profile: Counts of their rows.
        answers: Counts of the champion's predictions.
        requests: Number of requests.
        first: Unix time of the earliest one; infinite without any.
        last: Unix time of the latest one; 0 without any.
        versions: Requests by the model's version.
        faults: One message for each part that could not be read.
    """

    profile: Profile = field(default_factory=Profile)
    answers: Profile = field(default_factory=Profile)
    requests: int = 0
    first: float = float("inf")
    last: float = 0.0
    versions: Counter[int] = field(default_factory=Counter)
    faults: tuple[str, ...] = ()

    def __add__(self, other: Traffic) -> Traffic:
        """Returns both together."""
        return Traffic(
            self.profile + other.profile,
            self.answers + other.answers,
            self.requests + other.requests,
            min(self.first, other.first),
            max(self.last, other.last),
            self.versions + other.versions,
            self.faults + other.faults,
        )


@dataclass(frozen=True)
class TrafficFilter:
    """Selects requests and says how they are counted.

    Attributes:
        model: Name of the model.
        features: The inputs that are counted.
        since: Unix time of the earliest request.
        rate: Share of the requests that is read, to limit the time for images and texts.
        answers: The champion's predictions and their histograms; None to ignore predictions.
        version: The champion's version; predictions of other versions are not counted.
    """

    model: str
    features: tuple[Feature, ...]
    since: float = 0.0
    rate: float = 1.0
    answers: Predictions | None = None
    version: int = 0


class RequestCounter:
    """Counts requests one by one.

    Args:
        wanted: Selects the requests.
    """

    def __init__(self, wanted: TrafficFilter) -> None:
        self.wanted = wanted
        self.unreadable = 0
        self._profile, self._answers = Profile(), Profile()
        self._predictions: list[np.ndarray] = []
        self._rows, self._bytes = Rows(), 0
        self._first, self._last, self._versions = float("inf"), 0.0, Counter[int]()
        self._heavy = any(feature.role in HEAVY_ROLES for feature in wanted.features)
        self._random = random.Random(0)  # noqa: S311 - a sample, not a secret
        self._parse = example_type().FromString

    def add(self, log: Any) -> None:
        """Counts one `PredictionLog`, if it is selected."""
        metadata = log.log_metadata
        model, at = metadata.model_spec, metadata.timestamp_secs
        if at < self.wanted.since or model.name not in ("", self.wanted.model) or self._is_skipped():
            return
        try:
            self._count_request(log)
        except (InvalidArgument, ValueError):
            self.unreadable += 1
            return
        self._first, self._last = min(self._first, at), max(self._last, at)
        self._versions[model.version.value] += 1
        self._bytes += log.ByteSize() if self._heavy else 0
        if self._rows.count >= BATCH_ROWS or self._bytes > BATCH_BYTES:
            self._flush()

    def traffic(self, faults: Sequence[str] = ()) -> Traffic:
        """Returns the counts, and messages about parts that could not be read."""
        self._flush()
        count = self._versions.total()
        return Traffic(self._profile, self._answers, count, self._first, self._last, self._versions, tuple(faults))

    def _is_skipped(self) -> bool:
        return self.wanted.rate < 1 and self._random.random() >= self.wanted.rate

    def _count_request(self, log: Any) -> None:
        kind = log.WhichOneof("log_type")
        if kind == "predict_log":
            self._count_tensors(log.predict_log.request.inputs)
            self._keep_prediction(log.predict_log.response)
        elif kind in EXAMPLE_LOGS:
            for example in _input_examples(getattr(log, kind).request.input):
                self._rows.add_example(example)

    def _count_tensors(self, inputs: Mapping[str, Any]) -> None:
        if len(inputs) == 1 and EXAMPLES_INPUT in inputs:
            for record in inputs[EXAMPLES_INPUT].string_val:
                self._rows.add_example(self._parse(record))
        else:
            self._rows.add_tensors(inputs)

    def _keep_prediction(self, response: Any) -> None:
        answers = self.wanted.answers
        if answers and response.model_spec.version.value == self.wanted.version and answers.output in response.outputs:
            self._predictions.append(tensor_proto.decode(response.outputs[answers.output], answers.output))

    def _flush(self) -> None:
        if self.wanted.answers:
            self._answers += count_rows(self.wanted.answers.frame.features, self.wanted.answers.rows(self._predictions))
            self._predictions = []
        self._profile += count_rows(self.wanted.features, self._rows)
        self._rows, self._bytes = Rows(), 0


def _input_examples(message: Any) -> Any:
    """Returns the examples of a `tensorflow.serving.Input`."""
    return getattr(message, message.WhichOneof("kind") or "example_list").examples
