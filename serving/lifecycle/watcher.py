"""Keep the served versions equal to those on disk, without an interruption.

Each check lists the wanted versions and has the new ones loaded, the highest first. The others are dropped only when a
wanted one is available: a broken version leaves the old one serving.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from serving.config import version_folders
from serving.core.servable import Servable, ServableState
from serving.lifecycle import warmup
from serving.lifecycle.loader import Loader, Unloader
from serving.options import Loading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from serving.config.version_folders import Fingerprint
    from serving.core.model import LoadedModel
    from serving.core.models import Models
    from serving.options import ModelConfig

_LOG = logging.getLogger("keraspipe.serving")
_JOIN_S = 30.0
_PENDING = (ServableState.START, ServableState.LOADING)


class Watcher:
    """Has versions loaded and dropped.

    Args:
        models: What to keep up to date.
        source: Lists the models to serve.
        load: Loads a version's folder and warms the model up; raises when it cannot be served.
        options: Threads, retries and pauses.
        settling: Called with the models that are wanted before others are dropped; a model that is wanted no more then
            stays until all that are wanted are served, because it may answer for one of them. None to drop it at once.

    Attributes:
        loader: Who loads.
        unreadable: Why the last look saw nothing.
        changed: Notified whenever a version got somewhere, or the watch is over.
        halted: Set once the watch is over.
    """

    def __init__(
        self,
        models: Models,
        source: Callable[[], list[ModelConfig]],
        load: Callable[[Path], LoadedModel] | None = None,
        options: Loading | None = None,
        settling: Callable[[list[ModelConfig]], None] | None = None,
    ) -> None:
        self._models, self._source, self._follow = models, source, settling
        options = options or Loading()
        self.loader = Loader(load or warmup.load_and_warm_up, self._after_try, options)
        self._unloader = Unloader(options.unload_threads or 1)
        self._configs: list[ModelConfig] = []
        self._wanted: dict[str, set[int]] = {}
        self._seen: dict[Servable, Fingerprint] = {}
        self.unreadable: OSError | None = None
        self._looking = threading.RLock()  # one look, or change of the source, at a time
        self._settling = threading.Lock()  # short: never held during a load or a look at the disk
        self.changed = threading.Condition()
        self.halted = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def configs(self) -> list[ModelConfig]:
        """The models of the last look."""
        return self._configs

    def select(self, name: str) -> list[Servable]:
        """The versions of a model that are to be served, highest first."""
        versions, wanted = self._models.versions(name), self._wanted.get(name, set())
        return [versions[number] for number in sorted(wanted, reverse=True) if number in versions]

    def start(self, poll_seconds: float) -> None:
        """Checks every `poll_seconds`, in a background thread; 0 or less for no further check."""
        if poll_seconds > 0:
            self._thread = threading.Thread(target=self._watch, args=(poll_seconds,), name="watcher", daemon=True)
            self._thread.start()

    def halt(self) -> None:
        """Look and load no more; returns at once."""
        self.halted.set()
        self.loader.halt()
        with self.changed:
            self.changed.notify_all()

    def stop(self, timeout_s: float = _JOIN_S) -> None:
        """Look no more; waits for the loads that are running."""
        self.halt()
        if self._thread:
            self._thread.join(timeout_s)
        self.loader.join(timeout_s)

    def _watch(self, poll_seconds: float) -> None:
        while not self.halted.wait(poll_seconds):
            try:
                self.poll()
            except Exception:  # noqa: BLE001 - keep watching, whatever a folder contains
                _LOG.exception("The check for new versions failed; the next one is in %s s.", poll_seconds)

    def look(self) -> None:
        """Checks the disk once, and waits until loading of each new version was attempted."""
        self.poll()
        with self.changed:
            while not (self.halted.is_set() or self.loader.idle):
                self.changed.wait(0.1)
        self._settle_all()

    def replace(self, source: Callable[[], list[ModelConfig]]) -> None:
        """Serve the models of another source from now on, with a first look at them."""
        with self._looking:
            self._source = source
            self.poll()

    def poll(self) -> None:
        """One look at the disk: have loaded what is new, drop what is gone.

        As upstream, a folder that cannot be read leaves everything as it is, also the other models.
        """
        with self._looking:
            try:
                configs = self._source()
                folders_by_model = {config.name: _wanted_folders(config) for config in configs}
            except OSError as error:
                self._complain(error)
                return
            self.unreadable = None
            with self._settling:
                self._configs = configs
                self._wanted = {name: set(folders) for name, folders in folders_by_model.items()}
            for name, folders in folders_by_model.items():
                self._begin(name, folders)
            self._settle_all()

    def _complain(self, error: OSError) -> None:
        """Warn, once as long as nothing changes: a folder may stay away for days."""
        if str(error) != str(self.unreadable):
            _LOG.warning("Cannot read the list of models; the served models stay unchanged: %s", error)
        self.unreadable = error

    def _begin(self, name: str, folders: Mapping[int, Path]) -> None:
        known = self._models.versions(name)
        for version, path in folders.items():
            servable = known.get(version)
            if servable is None or self._has_ended(servable):
                fresh = Servable(name, version, path, self._unloader.free)
                self._models.add(fresh)
                self.loader.begin(fresh)
                continue
            servable.is_requested = True
            if servable.state in _PENDING and self._is_repaired(servable):
                self.loader.retry_now(servable)

    def _has_ended(self, servable: Servable) -> bool:
        """Whether a version that is wanted has ended, or is about to, and is to be loaded again."""
        if servable.state not in {ServableState.UNLOADING, ServableState.END}:
            return False
        return servable.error is None or not servable.is_requested or self._is_repaired(servable)

    def _is_repaired(self, servable: Servable) -> bool:
        """Whether the files of a version that failed are others now, and at rest since the last look."""
        if not (servable.error or servable.last_error):
            return False
        mark = version_folders.folder_fingerprint(servable.path)
        before = self._seen.get(servable)
        self._seen[servable] = mark
        return mark == before and mark != servable.mark

    def _after_try(self, servable: Servable) -> None:
        """A try to load is over, in a thread of the loader."""
        self._settle(servable.name)
        with self.changed:
            self.changed.notify_all()

    def _settle_all(self) -> None:
        for name in self._models.names():
            self._settle(name)
        self._seen = {servable: mark for servable, mark in self._seen.items() if servable.is_requested}

    def _settle(self, name: str) -> None:
        """Drop what is not wanted, if what is wanted can take its place."""
        with self._settling:
            if self._follow:
                self._follow(self._configs)
            wanted = self._wanted.get(name, set())
            versions = self._models.versions(name)
            replaced = any(_is_available(versions.get(number)) for number in wanted) if wanted else self._may_drop_all()
            for number, servable in versions.items():
                if number not in wanted:
                    self._drop(servable, replaced)

    def _may_drop_all(self) -> bool:
        """Whether a model of which nothing is wanted may be dropped."""
        wanted = [servable for config in self._configs for servable in self.select(config.name)]
        return self._follow is None or not any(servable.state in _PENDING for servable in wanted)

    def _drop(self, servable: Servable, replaced: bool) -> None:
        if servable.state in _PENDING:
            self.loader.forget(servable)
        elif servable.state is ServableState.AVAILABLE and replaced:
            self._models.retire(servable)
            _LOG.info(
                "%s version %s is no longer served, requests in flight: %s",
                servable.name,
                servable.version,
                servable.in_flight,
            )
        servable.is_requested = False


def _is_available(servable: Servable | None) -> bool:
    return servable is not None and servable.state is ServableState.AVAILABLE


def _wanted_folders(config: ModelConfig) -> dict[int, Path]:
    """The folders of the versions to serve, highest first.

    Raises:
        OSError: The model's folder cannot be read, and it is not one that may be missing.
    """
    try:
        names = version_folders.list_versions(config.base_path)
    except FileNotFoundError as error:
        if config.optional:
            return {}
        raise FileNotFoundError(f"Could not find base path {config.base_path} for servable {config.name}") from error
    return {number: config.base_path / names[number] for number in config.select(names)}
