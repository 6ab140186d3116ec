"""One version of one model, from the first look at it to its end."""

from __future__ import annotations

import threading
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from serving.errors import ServingError
    from serving.model import LoadedModel


class State(IntEnum):
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
    """

    def __init__(self, name: str, version: int, path: Path) -> None:
        self.name, self.version, self.path = name, version, path
        self.state = State.START
        self.error: ServingError | None = None
        self._model: LoadedModel | None = None
        self._leases = 0
        self._lock = threading.Lock()

    def publish(self, model: LoadedModel) -> None:
        """The model is loaded and warm."""
        with self._lock:
            self._model, self.state, self.error = model, State.AVAILABLE, None

    def fail(self, error: ServingError) -> None:
        """The model cannot be loaded."""
        with self._lock:
            self.state, self.error = State.END, error

    def retire(self) -> None:
        """Take no new requests; free the model as soon as none is running."""
        with self._lock:
            self.state = State.UNLOADING
            model = self._take_if_idle()
        _close(model)

    def lease(self) -> Lease | None:
        """The model for one request; None when the version is not served."""
        with self._lock:
            if self.state is not State.AVAILABLE or self._model is None:
                return None
            self._leases += 1
            return Lease(self, self._model)

    def _give_back(self) -> None:
        with self._lock:
            self._leases -= 1
            idle = self._take_if_idle()
        _close(idle)

    def _take_if_idle(self) -> LoadedModel | None:
        if self._leases or self.state is not State.UNLOADING:
            return None
        model, self._model, self.state = self._model, None, State.END
        return model


class Lease:
    """A request's hold on a loaded version; to be released once, by whichever thread ends the request."""

    __slots__ = ("model", "servable")

    def __init__(self, servable: Servable, model: LoadedModel) -> None:
        self.servable, self.model = servable, model

    def release(self) -> None:
        """The request is done with the model."""
        self.servable._give_back()  # noqa: SLF001 - the two are one thing


def _close(model: LoadedModel | None) -> None:
    if model:
        model.close()
