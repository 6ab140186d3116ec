"""Keeps what is served equal to what lies on disk, without a gap.

Each look lists the versions that are wanted, loads the new ones (highest first) and only then drops the
others, and those only if a wanted one is available: a broken version leaves the old one serving.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from serving.core import storage, warmup
from serving.core.servable import Servable, State
from serving.errors import Code, ServingError, of_code
from serving.model import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.config import ModelConfig
    from serving.core.models import Models

_LOG = logging.getLogger("keraspipe.serving")


class Watcher:
    """Loads and drops versions.

    Args:
        models: What to keep up to date.
        source: Lists the models to serve.
    """

    def __init__(self, models: Models, source: Callable[[], list[ModelConfig]]) -> None:
        self._models = models
        self._source = source
        self._broken: dict[tuple[str, int], object] = {}
        self._complaint = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, poll_seconds: float) -> None:
        """Look again every `poll_seconds`, in a thread of its own."""
        self._thread = threading.Thread(target=self._watch, args=(poll_seconds,), name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for a load that is running."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _watch(self, poll_seconds: float) -> None:
        while not self._stop.wait(poll_seconds):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the watch goes on, whatever a folder holds
                _LOG.exception("The look at the models failed; the next one comes in %s s.", poll_seconds)

    def look(self) -> None:
        """One look at the disk: load what is new, drop what is gone."""
        try:
            configs = self._source()
            found = [(config, _versions(config)) for config in configs]
        except OSError as error:
            # As upstream: a folder that cannot be read changes nothing of what is served.
            self._complain(f"Cannot read the served models, they stay as they are: {error}")
            return
        self._complaint = ""
        for config, folders in found:
            if self._stop.is_set():
                return
            self._update(config, folders)
        for name in set(self._models.names()) - {config.name for config in configs}:
            self._drop(name, keep=set())

    def _complain(self, text: str) -> None:
        """Warn, once as long as nothing changes: a folder may stay away for days."""
        if text != self._complaint:
            _LOG.warning(text)
        self._complaint = text

    def _update(self, config: ModelConfig, folders: dict[int, Path]) -> None:
        wanted = config.wanted(list(folders))
        for version in wanted:
            if self._is_new(config.name, version, folders[version]):
                self._load(Servable(config.name, version, folders[version]))
        self._models.label(config.name, config.labels)
        served = self._models.available().get(config.name, [])
        if not wanted or set(wanted) & set(served):
            self._drop(config.name, keep=set(wanted))

    def _is_new(self, name: str, version: int, path: Path) -> bool:
        """Never seen, ended by its removal, or broken and changed since."""
        known = self._models.of(name).get(version)
        if known is None:
            return True
        if known.state is not State.END:
            return False
        return known.error is None or self._broken.get((name, version)) != storage.fingerprint(path)

    def _load(self, servable: Servable) -> None:
        mark = storage.fingerprint(servable.path)
        self._models.add(servable)
        servable.state = State.LOADING
        try:
            servable.publish(_loaded(servable.path))
        except ServingError as error:
            self._broken[servable.name, servable.version] = mark
            servable.fail(error)
            _LOG.error("%s version %s cannot be served: %s", servable.name, servable.version, error)
        else:
            _LOG.info("%s version %s is served", servable.name, servable.version)

    def _drop(self, name: str, keep: set[int]) -> None:
        for version, servable in self._models.of(name).items():
            if version not in keep and servable.state is State.AVAILABLE:
                servable.retire()
                _LOG.info("%s version %s is served no more", name, version)


def _versions(config: ModelConfig) -> dict[int, Path]:
    """The model's version folders; none when its folder is not there (yet)."""
    try:
        return storage.numbered(config.base_path)
    except FileNotFoundError:
        return {}


def _loaded(path: Path) -> LoadedModel:
    """A loaded and warmed-up model."""
    try:
        model = LoadedModel(path)
    except ServingError:
        raise
    except Exception as error:
        raise of_code(Code.INTERNAL, str(error)) from error
    try:
        warmup.run(model)
    except BaseException:
        model.close()
        raise
    return model
