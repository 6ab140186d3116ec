"""Replace the list of models, on a request or when the config file changes.

A reload waits until the new models are available (`is_settled`), and says why where they are not (`check_available`).
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from serving.config import models
from serving.core.models import check_labels
from serving.core.servable import ServableState
from serving.errors import Code, FailedPrecondition, InvalidArgument, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from serving import options
    from serving.core.models import Models
    from serving.core.servable import Servable
    from serving.lifecycle.watcher import Watcher
    from serving.options import ModelConfig


_LOG = logging.getLogger("keraspipe.serving")
_WAIT_S = 0.2


class ConfigReloader:
    """Replaces the list of models.

    Args:
        models: What is served.
        watcher: Who loads and drops.
        labels_ahead: Whether a new label may name a version that is not served (yet).
        applied: Called when a new list is in place, before its models are loaded.
    """

    def __init__(
        self, models: Models, watcher: Watcher, *, labels_ahead: bool, applied: Callable[[], None] = lambda: None
    ) -> None:
        self._applied = applied
        self._models, self._watcher, self._ahead = models, watcher, labels_ahead
        self._lock = threading.Lock()
        self._generation = 0

    def apply(self, message: Any) -> None:
        """Serve the models of a `ModelServerConfig` and no others; returns when the new ones are available.

        As upstream, labels are set before anything is loaded, and a model that was listed before is not waited
        for. The lock is not held while models load: a later list supersedes this one at once.

        Raises:
            ServingError: The list cannot be (nothing changes then), or a new model does not become available
                (the list stays and goes on being tried).
        """
        self._wait(*self.adopt(message))

    def adopt(self, message: Any) -> tuple[list[options.ModelConfig], int]:
        """Put a list in place of the old one, without waiting for its models.

        Returns:
            The new models, and the number of the list.

        Raises:
            ServingError: The list cannot be; nothing changes then.
        """
        with self._lock:
            known = {model.name for model in self._watcher.configs}
            configs = self._check_config(message, known)
            self._models.relabel(check_labels(configs, self._models, ahead=self._ahead))
            self._generation += 1
            _LOG.info("A new list of models: %s", ", ".join(model.name for model in configs) or "none")
            self._watcher.replace(lambda: configs)
            self._applied()
            return [model for model in configs if model.name not in known], self._generation

    def _check_config(self, message: Any, known: set[str]) -> list[options.ModelConfig]:
        if message.WhichOneof("config") != "model_config_list":
            raise FailedPrecondition(
                "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
                "another."
            )
        return models.from_config_message(message, known)

    def _wait(self, fresh: list[options.ModelConfig], generation: int) -> None:
        if self._watcher.unreadable:
            raise InvalidArgument(str(self._watcher.unreadable))
        while not self._is_loaded(fresh):
            self._check_current(generation)
        try:
            check_available(self._watcher, fresh)
        except ServingError:
            self._check_current(generation)  # what was not to be served any more has not failed
            raise

    def _check_current(self, generation: int) -> None:
        if self._watcher.halted.is_set():
            raise ServingError("The server is going away.", Code.UNAVAILABLE)
        if generation != self._generation:
            raise ServingError("Another list of models took the place of this one.", Code.ABORTED)

    def _is_loaded(self, fresh: list[options.ModelConfig]) -> bool:
        with self._watcher.changed:
            if is_settled(self._watcher, fresh):
                return True
            self._watcher.changed.wait(_WAIT_S)
        return False


class ConfigFileWatcher:
    """Reads the models' config file again and again, and applies it when it has changed.

    Args:
        path: The file, a `ModelServerConfig` in text form; read by the caller before.
        reload: Who applies it.
    """

    def __init__(self, path: Path, reload: ConfigReloader) -> None:
        self._path, self._reload = path, reload
        self._applied = models.read_config_message(path)
        self._complaint = ""
        self._halted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """Read the file every so many seconds, in a background thread; 0 or less for never."""
        if seconds > 0:
            self._thread = threading.Thread(target=self._watch, args=(seconds,), name="config", daemon=True)
            self._thread.start()

    def halt(self) -> None:
        """Read no more; returns at once."""
        self._halted.set()

    def _watch(self, seconds: float) -> None:
        while not self._halted.wait(seconds):
            self.look()

    def look(self) -> None:
        """Applies the file if it has changed; an error is logged once, and the old list stays."""
        try:
            message = models.read_config_message(self._path)
            if message != self._applied:
                self._reload.adopt(message)
                self._applied = message
        except ServingError as error:
            self._complain(f"The models' config file was not applied: {error.text}")
        except Exception:  # noqa: BLE001 - keep watching
            _LOG.exception("The check of the models' config file failed")
        else:
            self._complaint = ""

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            _LOG.error(text)
        self._complaint = text


def is_settled(watcher: Watcher, configs: Iterable[ModelConfig], *, first_try: bool = False) -> bool:
    """Whether every wanted version of the models is served or has failed.

    Args:
        watcher: Who loads them.
        configs: The models.
        first_try: Whether a version has failed already when it is still to be tried again.
    """
    return all(_has_ended(servable, first_try) for config in configs for servable in watcher.select(config.name))


def _has_ended(servable: Servable, first_try: bool) -> bool:
    if servable.state is ServableState.END:
        return servable.error is not None  # without one, the next look begins it anew
    return servable.state is ServableState.AVAILABLE or (first_try and servable.last_error is not None)


def absent_models(watcher: Watcher, configs: Iterable[ModelConfig]) -> list[str]:
    """Names of the models that have no version on disk, though they could have one."""
    return [config.name for config in configs if config.wants_any and not watcher.select(config.name)]


def check_available(watcher: Watcher, configs: Iterable[ModelConfig]) -> None:
    """Refuse models of which no version is served.

    Raises:
        ServingError: `1 servable(s) did not become available: {{{name: X version: N} due to error: ...}, }`
    """
    configs = list(configs)
    failures = [text for config in configs if (text := _failure_text(config.name, watcher.select(config.name)))]
    failures += [
        f"{{{{name: {name}}} due to error: NOT_FOUND: There is no version folder (yet)}}, "
        for name in absent_models(watcher, configs)
    ]
    if failures:
        raise ServingError(f"{len(failures)} servable(s) did not become available: {{{''.join(failures)}}}")


def _failure_text(name: str, servables: list[Servable]) -> str:
    """The text about a model none of whose versions is served: its highest one's error."""
    if not servables or any(servable.state is ServableState.AVAILABLE for servable in servables):
        return ""
    first = servables[0]
    error = first.error.text if first.error else "CANCELLED: It is not to be served any more"
    return f"{{{{name: {name} version: {first.version}}} due to error: {error}}}, "
