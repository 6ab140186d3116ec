"""A new list of models in place of the old one: by a message, or by the config file that changed."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from serving import config
from serving.core import labels, outcome
from serving.errors import Code, FailedPrecondition, InvalidArgument, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.core.models import Models
    from serving.core.watcher import Watcher

_LOG = logging.getLogger("keraspipe.serving")
_WAIT_S = 0.2


class Reload:
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

    def adopt(self, message: Any) -> tuple[list[config.ModelConfig], int]:
        """Put a list in place of the old one, without waiting for its models.

        Returns:
            The new models, and the number of the list.

        Raises:
            ServingError: The list cannot be; nothing changes then.
        """
        with self._lock:
            known = {one.name for one in self._watcher.configs}
            configs = self._checked(message, known)
            self._models.relabel(labels.checked(configs, self._models, ahead=self._ahead))
            self._generation += 1
            _LOG.info("A new list of models: %s", ", ".join(one.name for one in configs) or "none")
            self._watcher.replace(lambda: configs)
            self._applied()
            return [one for one in configs if one.name not in known], self._generation

    def _checked(self, message: Any, known: set[str]) -> list[config.ModelConfig]:
        if message.WhichOneof("config") != "model_config_list":
            raise FailedPrecondition(
                "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
                "another."
            )
        return config.of_message(message, known)

    def _wait(self, fresh: list[config.ModelConfig], generation: int) -> None:
        if self._watcher.unreadable:
            raise InvalidArgument(str(self._watcher.unreadable))
        while not self._is_over(fresh):
            self._check_current(generation)
        try:
            outcome.check(self._watcher, fresh)
        except ServingError:
            self._check_current(generation)  # what was not to be served any more has not failed
            raise

    def _check_current(self, generation: int) -> None:
        if self._watcher.halted.is_set():
            raise ServingError("The server is going away.", Code.UNAVAILABLE)
        if generation != self._generation:
            raise ServingError("Another list of models took the place of this one.", Code.ABORTED)

    def _is_over(self, fresh: list[config.ModelConfig]) -> bool:
        with self._watcher.changed:
            if outcome.settled(self._watcher, fresh):
                return True
            self._watcher.changed.wait(_WAIT_S)
        return False


class ConfigFile:
    """Reads the models' config file again and again, and applies it when it has changed.

    Args:
        path: The file, a `ModelServerConfig` in text form; read by the caller before.
        reload: Who applies it.
    """

    def __init__(self, path: Path, reload: Reload) -> None:
        self._path, self._reload = path, reload
        self._applied = config.read_message(path)
        self._complaint = ""
        self._halted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """Read the file every so many seconds, in a thread of its own; 0 or less for never."""
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
        """Apply the file if it has changed; whatever is wrong with it is told once, and the old list stays."""
        try:
            message = config.read_message(self._path)
            if message != self._applied:
                self._reload.adopt(message)
                self._applied = message
        except ServingError as error:
            self._complain(f"The models' config file was not applied: {error.text}")
        except Exception:  # noqa: BLE001 - the watch goes on
            _LOG.exception("The look at the models' config file failed")
        else:
            self._complaint = ""

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            _LOG.error(text)
        self._complaint = text
