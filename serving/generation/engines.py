"""The engines of all loaded versions: made at a version's first request, and gone with it."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from serving.core.servable import ServableState
from serving.generation.engine import Engine
from serving.generation.language_model import LanguageCalls

if TYPE_CHECKING:
    from serving.core.servable import ServableHandle

_LAST_WORDS_S = 1.0  # before the end of a drain, for answers that end unfinished to say so


class GenerationMetrics(Protocol):
    """What is recorded of the answers that versions generate."""

    def streams(self, model: str, version: int, active: int, waiting: int) -> None:
        """So many answers are generated, and so many wait."""

    def generation(
        self, model: str, version: int, reason: str, prompt: int, tokens: int, first_token_s: float, seconds: float
    ) -> None:
        """An answer ended."""


class Engines:
    """Finds the engine of a version.

    Args:
        metrics: Record what is generated; None for no such record.
        waiting: Answers that may wait, of each version.
        grace_s: How long the answers of a version that is unloaded may go on.
    """

    def __init__(self, metrics: GenerationMetrics | None = None, waiting: int = 1024, grace_s: float = 30.0) -> None:
        self._metrics, self._waiting, self._grace_s = metrics, waiting, grace_s
        self._lock = threading.Lock()
        self._made: weakref.WeakSet[Engine] = weakref.WeakSet()

    def engine(self, lease: ServableHandle) -> Engine:
        """The engine of the version that is held.

        Raises:
            InvalidArgument: It is no language model.
        """
        with self._lock:
            if lease.model.engine is None:
                lease.model.engine = self._make(lease)
            engine: Engine = lease.model.engine
            return engine

    def _make(self, lease: ServableHandle) -> Engine:
        servable = lease.servable
        engine = Engine(
            LanguageCalls(lease.model),
            self._waiting,
            _VersionMetrics(self._metrics, servable.name, servable.version) if self._metrics else None,
            lambda: servable.state is not ServableState.AVAILABLE,
            self._grace_s,
            f"Version {servable.version} of {servable.name}",
        )
        self._made.add(engine)
        return engine

    def stop(self, seconds: float) -> None:
        """The server is going away: what is generated may go on for so long, and then ends in words."""
        with self._lock:
            for engine in self._made:
                engine.stop(max(0.0, seconds - _LAST_WORDS_S))


class _VersionMetrics:
    """The metrics of one version."""

    def __init__(self, metrics: GenerationMetrics, model: str, version: int) -> None:
        self._metrics, self._model, self._version = metrics, model, version
        self._shown = (-1, -1)

    def streams(self, active: int, waiting: int) -> None:
        if (active, waiting) != self._shown:
            self._shown = active, waiting
            self._metrics.streams(self._model, self._version, active, waiting)

    def generation(self, reason: str, prompt: int, tokens: int, first_token_s: float, seconds: float) -> None:
        self._metrics.generation(self._model, self._version, reason, prompt, tokens, first_token_s, seconds)
