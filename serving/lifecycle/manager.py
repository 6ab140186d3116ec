"""The ServableManager starts, watches, reloads and stops the models of one server."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from serving.config.models import model_source
from serving.core import models
from serving.core.model import LoadedModel
from serving.core.session import import_tensorflow
from serving.errors import InvalidArgument
from serving.lifecycle import reload, warmup
from serving.lifecycle.reload import ConfigFileWatcher, ConfigReloader
from serving.lifecycle.watcher import Watcher
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving import options
    from serving.core.models import Models
    from serving.options import ServeOptions

_WAIT_S = 0.2


class ServableManager:
    """Keeps the models of one server as its options, its config file and its operators want them.

    Args:
        models: What is served; filled here.
        options: What to serve and how.
        load: Loads a version's folder; without one, a plain `LoadedModel` with the options' session and tags.
        warmed: Called after each warm-up with folder, outcome, seconds and number of records.
        applied: Called when a new list of models is in place, by a call or by the config file; see `configs`.

    Raises:
        InvalidArgument: The config file cannot be parsed, or has invalid settings.
    """

    def __init__(
        self,
        models: Models,
        options: ServeOptions,
        load: Callable[[Path], LoadedModel] | None = None,
        warmed: warmup.WarmupCallback = warmup.ignore,
        applied: Callable[[], None] = lambda: None,
    ) -> None:
        self._models, self._options = models, options
        self._load, self._warmed = load or self._load_plain, warmed
        settling = self._follow_labels if options.source else None
        self._watcher = Watcher(models, model_source(options), self._load_and_warm_up, options.loading, settling)
        self._reload = ConfigReloader(models, self._watcher, labels_ahead=options.loading.labels_ahead, applied=applied)
        file = options.model_config_file
        self._file = ConfigFileWatcher(file, self._reload) if file else None
        self._next_look = 0.0

    def start_up(self) -> None:
        """Load what is to be served now; returns early when `halt` is called meanwhile.

        Without `must_start`, a version counts as failed after its first try (the others come in the background).
        With it, every model is waited for, as upstream: also for its first version, and for all retries.

        Raises:
            ServingError: A model is not available though `must_start`, or a label's version is not.
        """
        # Imported before there are threads, for none to find them half imported; and the first model that is published
        # later is not slow to come.
        import_tensorflow()
        protos.load("apis.prediction_log_pb2")
        loading = self._options.loading
        if loading.load_threads == 0:
            self._watcher.loader.limit(os.cpu_count() or 1)
        if loading.poll_seconds >= 0:
            self._watcher.poll()
        while not (self._watcher.halted.is_set() or self._has_started()):
            self._look_again()
        self._watcher.loader.limit(loading.load_threads or 1)
        if not self._watcher.halted.is_set():
            self._check_start()

    def _has_started(self) -> bool:
        """Waits briefly for a change; returns whether every wanted version is served or has failed."""
        with self._watcher.changed:
            if self._is_settled():
                return True
            self._watcher.changed.wait(_WAIT_S)
        return False

    def _is_settled(self) -> bool:
        watcher, loading = self._watcher, self._options.loading
        if not reload.is_settled(watcher, watcher.configs, first_try=not loading.must_start):
            return False
        may_come = loading.must_start and loading.poll_seconds > 0
        return not (may_come and (watcher.unreadable or reload.absent_models(watcher, watcher.configs)))

    def _look_again(self) -> None:
        """Checks the disk again for models that have no version yet."""
        loading = self._options.loading
        if loading.must_start and loading.poll_seconds > 0 and time.monotonic() > self._next_look:
            self._watcher.poll()
            self._next_look = time.monotonic() + loading.poll_seconds

    def _check_start(self) -> None:
        if self._options.loading.must_start:
            if self._watcher.unreadable:
                raise InvalidArgument(str(self._watcher.unreadable))
            reload.check_available(self._watcher, self._watcher.configs)
        if self._options.source:
            return
        versions_by_label = models.check_labels(
            self._watcher.configs, self._models, ahead=self._options.loading.labels_ahead
        )
        self._models.relabel(versions_by_label)

    def _follow_labels(self, configs: list[options.ModelConfig]) -> None:
        """Move labels to their versions as soon as these are served, and before those are dropped that had them."""
        self._models.relabel(models.follow_labels(configs, self._models))

    def start(self) -> None:
        """Begin to look at the disk and at the config file again and again."""
        self._watcher.start(self._options.loading.poll_seconds)
        if self._file:
            self._file.start(self._options.loading.config_poll_seconds)

    def reload(self, message: Any) -> None:
        """Serve the models of a `ModelServerConfig` and no others; see `ConfigReloader.apply`."""
        self._reload.apply(message)

    @property
    def configs(self) -> list[options.ModelConfig]:
        """The models that are to be served now."""
        return self._watcher.configs

    def halt(self) -> None:
        """Begin nothing new; returns at once, from any thread."""
        if self._file:
            self._file.halt()
        self._watcher.halt()

    def stop(self) -> None:
        """End all threads; waits for the loads that are running."""
        self.halt()
        self._watcher.stop()

    def _load_plain(self, path: Path) -> LoadedModel:
        return LoadedModel(path, self._options.session, self._options.loading.tags)

    def _load_and_warm_up(self, path: Path) -> LoadedModel:
        """A loaded and warmed-up model."""
        model, loading = self._load(path), self._options.loading
        return warmup.warm_up(model, loading.warmup_iterations, self._warmed) if loading.warmup else model
