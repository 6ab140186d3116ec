"""The models that are served now: look up a version, list states."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.core.servable import Lease, Servable, State
from serving.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.core.canary import Canary
    from serving.model import LoadedModel


@dataclass(frozen=True)
class Spec:
    """What a request asks for: a version, a label, or neither for the highest version that is loaded."""

    name: str
    version: int | None = None
    label: str | None = None


class Models:
    """All versions by model and number; read by every request, written by the watcher only.

    Args:
        canary: Has a share of some models' requests answered by their challengers; None for none.
    """

    def __init__(self, canary: Canary | None = None) -> None:
        self._canary = canary
        self._versions: dict[str, dict[int, Servable]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._retired = 0
        self._lock = threading.Lock()

    def add(self, servable: Servable) -> None:
        """Know a version; one of the same number is replaced."""
        with self._lock:
            known = self._versions.get(servable.name, {})
            # Copied, not changed: requests read the old one without a lock.
            self._versions[servable.name] = {**known, servable.version: servable}

    def retire(self, servable: Servable) -> None:
        """Serve a version no more; if another is to take its place, that one is available by now."""
        with self._lock:
            self._retired += 1  # first, so that a request that misses the version looks again
        servable.retire()

    def labels(self, name: str) -> dict[str, int]:
        """Versions of a model by label."""
        return self._labels.get(name, {})

    def relabel(self, labels: dict[str, dict[str, int]]) -> None:
        """Set the labels of all models at once; those not named have none any more."""
        self._labels = labels

    def of(self, name: str) -> dict[int, Servable]:
        """All versions of a model that were ever seen."""
        return self._versions.get(name, {})

    def names(self) -> list[str]:
        """All models that were ever seen."""
        return sorted(list(self._versions))  # noqa: C414 - a copy first: another thread may add a model

    def available(self) -> dict[str, list[int]]:
        """The versions that are served, by model."""
        served = {
            name: [version for version, servable in sorted(self.of(name).items()) if servable.state is State.AVAILABLE]
            for name in self.names()
        }
        return {name: versions for name, versions in served.items() if versions}

    def failed(self) -> dict[str, str]:
        """Error text of each version that could not be loaded (yet), by `NAME/VERSION`."""
        every = [servable for name in self.names() for servable in self.of(name).values()]
        errors = {f"{one.name}/{one.version}": one.error or one.trouble for one in every}
        return {version: error.text for version, error in errors.items() if error}

    def acquire(self, spec: Spec, body: bytes = b"") -> Lease:
        """The version that a request means, kept loaded until the lease is released.

        Args:
            spec: What it asks for.
            body: What it holds, by which a canary chooses.

        Raises:
            InvalidArgument: No name, or an unknown label.
            NotFound: `Servable not found for request: Latest(NAME)`; clients look for these words.
        """
        if self._canary is not None and spec.version is None and spec.label is None:
            return self._canary.lease(self, spec, body)
        return self.plain(spec)

    def plain(self, spec: Spec) -> Lease:
        """The version that a request means, whatever it holds; raises as `acquire`."""
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        while True:
            retired = self._retired
            lease = self._leased(spec)
            if lease:
                return lease
            # A new version may have taken the old one's place between the looks at the two.
            if retired == self._retired:
                raise NotFound(f"Servable not found for request: {self._asked(spec)}")

    def _leased(self, spec: Spec) -> Lease | None:
        leases = (servable.lease() for servable in self._candidates(spec))
        return next((lease for lease in leases if lease), None)

    @contextmanager
    def lease(self, spec: Spec) -> Iterator[tuple[Servable, LoadedModel]]:
        """The version that a request means, kept loaded within the block; raises as `acquire`."""
        held = self.plain(spec)
        try:
            yield held.servable, held.model
        finally:
            held.release()

    def _candidates(self, spec: Spec) -> list[Servable]:
        versions = self.of(spec.name)
        number = self._number(spec)
        if number is None:
            return [versions[number] for number in sorted(versions, reverse=True)]
        return [versions[number]] if number in versions else []

    def _number(self, spec: Spec) -> int | None:
        if spec.label is None:
            return spec.version
        labels = self.labels(spec.name)
        if spec.label not in labels:
            raise InvalidArgument(f"Unrecognized servable version label: {spec.label}")
        return labels[spec.label]

    def _asked(self, spec: Spec) -> str:
        number = self._number(spec)
        return f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"

    def statuses(self, spec: Spec) -> list[Servable]:
        """The versions of a model, highest first, or the one asked for; labels are ignored, as upstream.

        Raises:
            NotFound: `Could not find any versions of model NAME`.
        """
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        versions = self.of(spec.name)
        if spec.version is not None:
            if spec.version not in versions:
                raise NotFound(f"Could not find version {spec.version} of model {spec.name}")
            return [versions[spec.version]]
        if not versions:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        return [versions[number] for number in sorted(versions, reverse=True)]
