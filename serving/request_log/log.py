"""The request log: requests are queued, one thread writes them.

A request never waits for the disk and never fails for it. What cannot be kept, since the queue or the disk is full, is
counted.
"""

from __future__ import annotations

import errno
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.errors import Code, InvalidArgument
from serving.request_log import files
from serving.request_log.files import LogWriter

if TYPE_CHECKING:
    from serving import options

_LOG = logging.getLogger("keraspipe.serving")
_CODES = {
    errno.ENOSPC: Code.RESOURCE_EXHAUSTED,
    errno.EDQUOT: Code.RESOURCE_EXHAUSTED,
    errno.EFBIG: Code.RESOURCE_EXHAUSTED,
    errno.EMFILE: Code.RESOURCE_EXHAUSTED,
    errno.EACCES: Code.PERMISSION_DENIED,
    errno.EPERM: Code.PERMISSION_DENIED,
    errno.EROFS: Code.PERMISSION_DENIED,
}
_FILES = 4  # at least so many fit into the total, so that deleting the oldest does not delete all
Make = Callable[[], Any]


@dataclass(frozen=True)
class QueueBounds:
    """What may wait, and for how long.

    Attributes:
        records: Requests in the queue.
        queue_bytes: Bytes that they hold on to.
        pause_seconds: How long the disk is left alone after it failed.
        age_seconds: When a file is published though it is small.
    """

    records: int = 1024
    queue_bytes: int = 64 * 2**20
    pause_seconds: float = 1.0
    age_seconds: float = 300.0


class RequestLog:
    """Keeps a sample of the traffic as `MODEL/TIME-PID-NUMBER.tfrecord` files of `PredictionLog`.

    Args:
        settings: Where to, how much of it.
        logged: Called with each sampled request's model and how it went: OK, RESOURCE_EXHAUSTED for a full
            queue or disk. From several threads.
        per_model: Settings of models that have their own.
        seed: Makes the sample the same each time, for tests.
        bounds: Of the queue.
    """

    def __init__(
        self,
        settings: options.RequestLog,
        logged: Callable[[str, Code], None] = lambda _model, _code: None,
        per_model: Mapping[str, options.RequestLog] | None = None,
        seed: int | None = None,
        bounds: QueueBounds = QueueBounds(),
    ) -> None:
        self._settings, self._per_model = settings, dict(per_model or {})
        self._logged, self._bounds = logged, bounds
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._queue: deque[tuple[str, Make, int]] = deque()
        self._queued_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._writers: dict[str, LogWriter] = {}
        self._paused_until = 0.0
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self._thread.start()

    def configure(self, per_model: Mapping[str, options.RequestLog]) -> None:
        """Replace the settings of models that have their own; open files keep theirs until they are full."""
        self._per_model = dict(per_model)

    def rate(self, model: str = "") -> float:
        """Share of a model's requests that is logged, 0 to 1."""
        return self._settings_of(model).rate

    def _settings_of(self, model: str) -> options.RequestLog:
        return self._per_model.get(model, self._settings)

    def wants(self, model: str = "") -> bool:
        """Whether to keep this request; decided anew at each call."""
        rate = self._per_model.get(model, self._settings).rate
        return rate > 0 and self._random.random() < rate

    def put(self, model: str, make: Make, size: int = 0) -> None:
        """Hand over a request that is wanted; returns at once, whatever happens.

        Args:
            model: Name of a model that is served.
            make: Makes the `PredictionLog`; called once, in the writer's thread. Without a rate and a time it gets
                this model's rate and the time of this call.
            size: Bytes that `make` holds on to, where they are many.
        """
        with self._changed:
            full = len(self._queue) >= self._bounds.records or (
                self._queue and self._queued_bytes + size > self._bounds.queue_bytes
            )
            refused = full or self._closed
            if not refused:
                self._queue.append((model, partial(_stamp, make, self.rate(model), int(time.time())), size))
                self._queued_bytes += size
                self._changed.notify()
        if refused:
            self._logged(model, Code.RESOURCE_EXHAUSTED)

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Write what is queued, publish all files, take no more.

        Returns:
            Whether that was done within the time; if not, the thread continues.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    # The writer's thread.

    def _work(self) -> None:
        for place in {self._settings.folder, *(settings.folder for settings in self._per_model.values())}:
            files.recover_parts(place)
        while (item := self._next()) is not None:
            model, make, _ = item
            if make is not None:
                self._logged(model, self._write_record(model, make))
            self._publish(self._bounds.age_seconds)
        self._publish(-1.0)

    def _next(self) -> tuple[str, Make | None, int] | None:
        """The next request, one without `make` when it is time to look at the files, None at the end."""
        with self._changed:
            if not self._queue and not self._closed:
                self._changed.wait(self._bounds.age_seconds if self._writers else None)
            if not self._queue:
                return None if self._closed else ("", None, 0)
            item = self._queue.popleft()
            self._queued_bytes -= item[2]
            return item

    def _write_record(self, model: str, make: Make) -> Code:
        if time.monotonic() < self._paused_until:
            return Code.RESOURCE_EXHAUSTED
        try:
            self._writer(model).write(make().SerializeToString())
        except OSError as error:
            return self._handle_failure(error)
        except Exception:  # noqa: BLE001 - one request's fault; the others are to be kept
            _LOG.exception("A request to %s could not be logged", model)
            return Code.INTERNAL
        return Code.OK

    def _handle_failure(self, error: OSError) -> Code:
        self._paused_until = time.monotonic() + self._bounds.pause_seconds
        _LOG.warning("The request log cannot be written; requests are answered, but not logged: %s", error)
        return _CODES.get(error.errno or 0, Code.INTERNAL)

    def _writer(self, model: str) -> LogWriter:
        if model not in self._writers:
            settings = self._settings_of(model)
            size = min(settings.file_bytes, max(1, settings.total_bytes // _FILES))
            place = files.model_folder(settings.folder, model)
            self._writers[model] = LogWriter(place, size, lambda: _trim_folder(settings))
        return self._writers[model]

    def _publish(self, age_seconds: float) -> None:
        """Publish files older than that."""
        for model, writer in list(self._writers.items()):
            try:
                if writer.age() > age_seconds:
                    writer.close()
                    del self._writers[model]
            except OSError as error:
                self._handle_failure(error)


def _stamp(make: Make, rate: float, now: int) -> Any:
    log = make()
    metadata = log.log_metadata
    metadata.sampling_config.sampling_rate = metadata.sampling_config.sampling_rate or rate
    metadata.timestamp_secs = metadata.timestamp_secs or now
    return log


def _trim_folder(settings: options.RequestLog) -> None:
    try:
        files.trim_files(settings.folder, settings.total_bytes)
    except OSError as error:
        _LOG.warning("Old request logs cannot be deleted: %s", error)


def read_configs(configs: Iterable[options.ModelConfig], base: options.RequestLog) -> dict[str, options.RequestLog]:
    """The settings of models that have their own, by name; raises as `from_config`."""
    settings = {each.name: from_config(each.logging, base) for each in configs if each.logging is not None}
    return {name: own for name, own in settings.items() if own}


def from_config(message: Any, base: options.RequestLog) -> options.RequestLog | None:
    """A model's settings from the `logging_config` of its `ModelConfig`.

    Args:
        message: The `tensorflow.serving.LoggingConfig`. Its collector's `filename_prefix` is the folder.
        base: Settings that it does not have.

    Returns:
        The settings; None where nothing is configured.

    Raises:
        InvalidArgument: A collector other than `tfrecord`, or a rate that is no share.
    """
    if not message.ByteSize():
        return None
    collector, rate = message.log_collector_config, message.sampling_config.sampling_rate
    if collector.type not in {"", "tfrecord"}:
        raise InvalidArgument(
            f"Cannot find LogCollector::Factory for type: {collector.type}\nExpected: tfrecord\n"
            f"Received: {collector.type}\nNext: set log_collector_config {{ type: 'tfrecord' }}"
        )
    if not 0 <= rate <= 1:
        raise InvalidArgument(
            f"The sampling rate is no share.\nExpected: 0 to 1\nReceived: {rate}\nNext: set sampling_rate"
        )
    return replace(base, rate=rate, folder=Path(collector.filename_prefix or base.folder))
