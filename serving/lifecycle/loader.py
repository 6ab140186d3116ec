"""Load versions in background threads, and retry those that failed.

A version that waits for its next try takes no thread, so that a broken one holds up no other.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from serving.config import version_folders
from serving.core.servable import Servable, ServableState
from serving.errors import Code, ServingError, error_from_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.core.model import LoadedModel
    from serving.options import Loading

_LOG = logging.getLogger("keraspipe.serving")


class Loader:
    """A queue of versions to load, by the time of their next try.

    Args:
        load: Loads a version's folder and warms the model up; raises when it cannot be served.
        tried: Called, in the loader's thread, after every try.
        options: Threads, retries and the pause between them.
    """

    def __init__(
        self, load: Callable[[Path], LoadedModel], tried: Callable[[Servable], None], options: Loading
    ) -> None:
        self._load, self._tried, self._options = load, tried, options
        self._threads = options.load_threads or 1
        self._queue: list[tuple[float, int, Servable]] = []
        self._order = itertools.count()
        self._workers: set[threading.Thread] = set()
        self._busy = 0
        self._stopped = False
        self._condition = threading.Condition()

    def begin(self, servable: Servable) -> None:
        """Load a version as soon as a thread is free, in the order of the calls."""
        servable.state = ServableState.LOADING
        self._put(servable, 0.0)

    def retry_now(self, servable: Servable) -> None:
        """Try a version that waits now, with all its retries: its files have changed."""
        if self._take(servable):
            servable.tries = 0
            self._put(servable, 0.0)

    def forget(self, servable: Servable) -> None:
        """Load a version no more: it ends at once, or when the try that runs is over."""
        servable.is_requested = False
        if self._take(servable):
            servable.fail(servable.last_error)

    def limit(self, threads: int) -> None:
        """Load this many versions at a time from now on."""
        with self._condition:
            self._threads = threads
            self._condition.notify_all()

    @property
    def idle(self) -> bool:
        """Whether no try runs or is due."""
        with self._condition:
            return not self._busy and not (self._queue and self._queue[0][0] <= time.monotonic())

    def halt(self) -> None:
        """Begin no further try; does not wait for those that run."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for the tries that run: TensorFlow cannot be stopped in the middle of a load."""
        end = time.monotonic() + timeout_s
        with self._condition:
            workers = list(self._workers)
        for worker in workers:
            worker.join(max(0.0, end - time.monotonic()))

    def _put(self, servable: Servable, pause_s: float) -> None:
        due = time.monotonic() + pause_s if pause_s else 0.0
        with self._condition:
            heapq.heappush(self._queue, (due, next(self._order), servable))
            if not self._stopped and len(self._workers) < min(self._threads, len(self._queue) + self._busy):
                self._add_worker()
            self._condition.notify_all()  # one alone might be a thread that is just leaving

    def _add_worker(self) -> None:
        # A daemon: a load of minutes must not hold up the end of the process for longer than `join` waits.
        worker = threading.Thread(target=self._work, name="load", daemon=True)
        self._workers.add(worker)
        worker.start()

    def _take(self, servable: Servable) -> bool:
        """Take a version out of the queue; False when it is not in there."""
        with self._condition:
            remaining = [entry for entry in self._queue if entry[2] is not servable]
            is_queued = len(remaining) < len(self._queue)
            self._queue = remaining
            heapq.heapify(self._queue)
            return is_queued

    def _work(self) -> None:
        while servable := self._next():
            try:
                self._try(servable)
            finally:
                with self._condition:
                    self._busy -= 1
                self._tried(servable)

    def _next(self) -> Servable | None:
        """The version that is due next; None when this thread is not needed any more."""
        with self._condition:
            while not self._stopped and len(self._workers) <= self._threads:
                now = time.monotonic()
                if self._queue and self._queue[0][0] <= now:
                    self._busy += 1
                    return heapq.heappop(self._queue)[2]
                self._condition.wait(self._queue[0][0] - now if self._queue else None)
            self._workers.discard(threading.current_thread())
            return None

    def _try(self, servable: Servable) -> None:
        if not servable.is_requested:
            servable.fail(servable.last_error)
            return
        servable.tries += 1
        servable.mark = version_folders.folder_fingerprint(servable.path)
        began = time.monotonic()
        try:
            model = self._load(servable.path)
        except ServingError as error:
            self._handle_failure(servable, error)
        except Exception as error:  # noqa: BLE001 - a broken model must not end the thread
            _LOG.exception("%s version %s: the load failed unexpectedly", servable.name, servable.version)
            self._handle_failure(servable, error_from_code(Code.INTERNAL, str(error)))
        else:
            self._handle_success(servable, model, time.monotonic() - began)

    def _handle_success(self, servable: Servable, model: LoadedModel, seconds: float) -> None:
        if not servable.is_requested:
            model.close()
            servable.fail(None)
            return
        servable.publish(model)
        _LOG.info("%s version %s is served, loaded in %.1f s", servable.name, servable.version, seconds)

    def _handle_failure(self, servable: Servable, error: ServingError) -> None:
        name, version = servable.name, servable.version
        if servable.is_requested and servable.tries <= self._options.max_retries and not self._stopped:
            servable.last_error = error
            pause = self._options.retry_seconds
            _LOG.warning("%s version %s cannot be loaded, next attempt in %s s: %s", name, version, pause, error)
            self._put(servable, pause)
            return
        servable.fail(error)
        _LOG.error("%s version %s cannot be served: %s", name, version, error)


class Unloader:
    """Frees models in background threads, so that no request waits for it.

    Args:
        threads: How many at a time.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="unload")

    def free(self, servable: Servable, model: LoadedModel, ended: Callable[[], None]) -> None:
        """Close a model that no request uses any more."""
        try:
            self._pool.submit(_free, servable, model, ended)
        except RuntimeError:  # the process is ending, and with it the pool
            _free(servable, model, ended)


def _free(servable: Servable, model: LoadedModel, ended: Callable[[], None]) -> None:
    began = time.monotonic()
    try:
        model.close()
    except Exception:  # noqa: BLE001 - it is gone in any case
        _LOG.exception("%s version %s could not be unloaded cleanly", servable.name, servable.version)
    ended()
    _LOG.info("%s version %s was unloaded in %.1f s", servable.name, servable.version, time.monotonic() - began)
