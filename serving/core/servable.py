"""One version of one model, from its discovery on disk until it is unloaded (TensorFlow Serving's servable).

Requests hold it by a `ServableHandle`, so that it is unloaded only when the last of them is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from serving.errors import ServingError

if TYPE_CHECKING:
    from pathlib import Path

    from serving.config.version_folders import Fingerprint
    from serving.core.model import LoadedModel


Free = Callable[["Servable", "LoadedModel", Callable[[], None]], None]


class ServableState(IntEnum):
    """Life of a version (tensorflow.serving.ModelVersionStatus.State)."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class Servable:
    """A version, its state, and its model while that is loaded.

    Requests hold a lease while they use the model, and it is freed when the last one is given back, so that
    unloading never takes a model from under a request.

    Args:
        name: The model's name.
        version: The version's number.
        path: Its folder.
        free: Closes a model that no request uses any more, and then calls what it is given; None to do so at once.

    Attributes:
        state: Where it is in its life.
        error: Why it ended without having been served.
        last_error: Why the last try to load it failed, while it is tried again.
        tries: How often it was tried to load.
        wanted: Whether it is to be served; a load that runs on for nobody is thrown away.
        mark: Fingerprint of the folder at the last attempt to load it.
    """

    def __init__(
        self,
        name: str,
        version: int,
        path: Path,
        free: Free | None = None,
    ) -> None:
        self.name, self.version, self.path = name, version, path
        self.state = ServableState.START
        self.error: ServingError | None = None
        self.last_error: ServingError | None = None
        self.tries = 0
        self.is_requested = True
        self.mark: Fingerprint = ()
        self._free = free or _free_now
        self._model: LoadedModel | None = None
        self._leases = 0
        self._lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Requests that hold the model."""
        return self._leases

    def publish(self, model: LoadedModel) -> None:
        """The model is loaded and warm."""
        with self._lock:
            self._model, self.state = model, ServableState.AVAILABLE
            self.error = self.last_error = None

    def fail(self, error: ServingError | None) -> None:
        """The model cannot be loaded; without an error, it is not to be loaded any more."""
        with self._lock:
            self.state, self.error, self.last_error = ServableState.END, error, None

    def retire(self) -> None:
        """Take no new requests; free the model as soon as none is running."""
        with self._lock:
            if self.state is not ServableState.AVAILABLE:
                return
            self.state = ServableState.UNLOADING
            model = self._take_if_idle()
        self._release(model)

    def lease(self) -> ServableHandle | None:
        """The model for one request; None when the version is not served."""
        with self._lock:
            if self.state is not ServableState.AVAILABLE or self._model is None:
                return None
            self._leases += 1
            return ServableHandle(self, self._model)

    def _give_back(self) -> None:
        with self._lock:
            self._leases -= 1
            idle = self._take_if_idle()
        self._release(idle)

    def _take_if_idle(self) -> LoadedModel | None:
        if self._leases or self.state is not ServableState.UNLOADING:
            return None
        model, self._model = self._model, None
        return model

    def _release(self, model: LoadedModel | None) -> None:
        if model is not None:
            self._free(self, model, self._end)

    def _end(self) -> None:
        with self._lock:
            self.state = ServableState.END


class ServableHandle:
    """A request's hold on a loaded version; to be released once, by whichever thread ends the request.

    Attributes:
        servable: The version.
        model: What it is loaded as.
        name: The model's name as the request has it; another than the version's own where a canary has chosen.
        side: Whether a canary has chosen `champion` or `challenger`; empty where there is none.
    """

    __slots__ = ("model", "name", "servable", "side")

    def __init__(self, servable: Servable, model: LoadedModel) -> None:
        self.servable, self.model = servable, model
        self.name, self.side = servable.name, ""

    def release(self) -> None:
        """The request is done with the model."""
        self.servable._give_back()  # noqa: SLF001 - the two are one thing

    def refuse(self, error: BaseException) -> None:
        """Releases the version after a request that it cannot read; adds the canary's choice to the error."""
        if self.side and isinstance(error, ServingError):
            error.canary_choice = self.name, self.side, self.servable.version
        self.release()


def _free_now(_: Servable, model: LoadedModel, ended: Callable[[], None]) -> None:
    model.close()
    ended()
