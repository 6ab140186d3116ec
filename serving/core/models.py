"""The served models, and the lookup of a request's version by number, label or canary.

A *label* is a name that clients use for a version, such as `stable`. A *canary* is a model with a challenger, a new
version that is tried on a share of the requests; the champion is the version that is live and answers the others. The
challenger is served as `NAME-challenger`. A hash of the request chooses, so that the same request always gets its
answer from the same side. A request that names a version or a label is never moved, nor one to a model without a
challenger.
"""

from __future__ import annotations

import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.core.servable import Servable, ServableHandle, ServableState
from serving.errors import FailedPrecondition, InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from serving.core.model import LoadedModel
    from serving.options import ModelConfig


CHAMPION, CHALLENGER = "champion", "challenger"
_HASHES = 1 << 32
Labels = dict[str, dict[str, int]]  # model -> label -> version


@dataclass(frozen=True)
class ModelSpec:
    """The version or label of a request, or neither for the highest loaded version."""

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
        """Adds a version; replaces one with the same number."""
        with self._lock:
            known = self._versions.get(servable.name, {})
            # Copied, not changed: requests read the old one without a lock.
            self._versions[servable.name] = {**known, servable.version: servable}

    def retire(self, servable: Servable) -> None:
        """Stops serving a version; its replacement, if any, is available already."""
        with self._lock:
            self._retired += 1  # first, so that a request that misses the version looks again
        servable.retire()

    def labels(self, name: str) -> dict[str, int]:
        """Versions of a model by label."""
        return self._labels.get(name, {})

    def relabel(self, labels: dict[str, dict[str, int]]) -> None:
        """Set the labels of all models at once; those not named have none any more."""
        self._labels = labels

    def versions(self, name: str) -> dict[int, Servable]:
        """All versions of a model that were ever seen."""
        return self._versions.get(name, {})

    def names(self) -> list[str]:
        """All models that were ever seen."""
        return sorted(list(self._versions))  # noqa: C414 - a copy first: another thread may add a model

    def available(self) -> dict[str, list[int]]:
        """The versions that are served, by model."""
        served = {
            name: [
                version
                for version, servable in sorted(self.versions(name).items())
                if servable.state is ServableState.AVAILABLE
            ]
            for name in self.names()
        }
        return {name: versions for name, versions in served.items() if versions}

    def list_errors(self) -> dict[str, str]:
        """Error text of each version that could not be loaded (yet), by `NAME/VERSION`."""
        every = [servable for name in self.names() for servable in self.versions(name).values()]
        errors = {f"{entry.name}/{entry.version}": entry.error or entry.last_error for entry in every}
        return {version: error.text for version, error in errors.items() if error}

    def acquire(self, spec: ModelSpec, body: bytes = b"") -> ServableHandle:
        """The version that a request means, kept loaded until the lease is released.

        Args:
            spec: The requested model and version.
            body: What it holds, by which a canary chooses.

        Raises:
            InvalidArgument: No name, or an unknown label.
            NotFound: `Servable not found for request: Latest(NAME)`; clients look for these words.
        """
        if self._canary is not None and spec.version is None and spec.label is None:
            return self._canary.lease(self, spec, body)
        return self.plain(spec)

    def plain(self, spec: ModelSpec) -> ServableHandle:
        """Returns the requested version without asking the canary; raises as `acquire`."""
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        while True:
            retired = self._retired
            lease = self._try_lease(spec)
            if lease:
                return lease
            # A new version may have taken the old one's place between the looks at the two.
            if retired == self._retired:
                raise NotFound(f"Servable not found for request: {self._describe_spec(spec)}")

    def _try_lease(self, spec: ModelSpec) -> ServableHandle | None:
        leases = (servable.lease() for servable in self._candidates(spec))
        return next((lease for lease in leases if lease), None)

    @contextmanager
    def lease(self, spec: ModelSpec) -> Iterator[tuple[Servable, LoadedModel]]:
        """The version that a request means, kept loaded within the block; raises as `acquire`."""
        held = self.plain(spec)
        try:
            yield held.servable, held.model
        finally:
            held.release()

    def _candidates(self, spec: ModelSpec) -> list[Servable]:
        versions = self.versions(spec.name)
        number = self._number(spec)
        if number is None:
            return [versions[number] for number in sorted(versions, reverse=True)]
        return [versions[number]] if number in versions else []

    def _number(self, spec: ModelSpec) -> int | None:
        if spec.label is None:
            return spec.version
        labels = self.labels(spec.name)
        if spec.label not in labels:
            raise InvalidArgument(f"Unrecognized servable version label: {spec.label}")
        return labels[spec.label]

    def _describe_spec(self, spec: ModelSpec) -> str:
        number = self._number(spec)
        return f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"

    def statuses(self, spec: ModelSpec) -> list[Servable]:
        """The versions of a model, highest first, or the one in the request; labels are ignored, as upstream.

        Raises:
            NotFound: `Could not find any versions of model NAME`.
        """
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        versions = self.versions(spec.name)
        if spec.version is not None:
            if spec.version not in versions:
                raise NotFound(f"Could not find version {spec.version} of model {spec.name}")
            return [versions[spec.version]]
        if not versions:
            raise NotFound(f"Could not find any versions of model {spec.name}")
        return [versions[number] for number in sorted(versions, reverse=True)]


def challenger_name(name: str) -> str:
    """The name under which a model's challenger is served."""
    return f"{name}-{CHALLENGER}"


def choose_side(body: bytes, share: float) -> str:
    """Which side answers a request: `champion` or `challenger`."""
    return CHALLENGER if zlib.crc32(body) < share * _HASHES else CHAMPION


class Canary:
    """Chooses who answers.

    Args:
        shares: Share of the challenger's requests by model, 0 to 1.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.shares = dict(shares)

    def lease(self, models: Models, spec: ModelSpec, body: bytes) -> ServableHandle:
        """The version that is to answer a request without version and label.

        Raises:
            NotFound: Neither side is served.
        """
        share = self.shares.get(spec.name)
        if share is None:
            return models.plain(spec)
        chosen = choose_side(body, share)
        if chosen == CHALLENGER:
            try:
                return _mark_side(models.plain(ModelSpec(challenger_name(spec.name))), spec.name, CHALLENGER)
            except NotFound:  # there is none, or none any more
                pass
        return _mark_side(models.plain(spec), spec.name, CHAMPION)


def _mark_side(lease: ServableHandle, name: str, chosen: str) -> ServableHandle:
    lease.name, lease.side = name, chosen
    return lease


def check_labels(configs: Iterable[ModelConfig], models: Models, *, ahead: bool) -> Labels:
    """The labels of a list of models.

    Args:
        configs: The models that are to be served.
        models: Those that are served now.
        ahead: Whether a label may name a version that is not served, if the label is new or stays as it is.

    Raises:
        FailedPrecondition: A label names a version that is not served.
    """
    labels: Labels = {}
    for config in configs:
        for label, version in config.labels.items():
            _check_label(config.name, label, version, models, ahead)
        if config.labels:
            labels[config.name] = dict(config.labels)
    return labels


def follow_labels(configs: Iterable[ModelConfig], models: Models) -> Labels:
    """The labels of a list of models, as far as their versions are served; until then a label stays where it is."""
    labels: Labels = {}
    for config in configs:
        before = models.labels(config.name)
        for label, version in config.labels.items():
            where = version if _is_available(config.name, version, models) else before.get(label)
            if where is not None:
                labels.setdefault(config.name, {})[label] = where
    return labels


def _is_available(name: str, version: int, models: Models) -> bool:
    servable = models.versions(name).get(version)
    return servable is not None and servable.state is ServableState.AVAILABLE


def _check_label(name: str, label: str, version: int, models: Models, ahead: bool) -> None:
    if ahead and models.labels(name).get(label, version) == version:
        return
    if not _is_available(name, version, models):
        raise FailedPrecondition(
            f"Request to assign label to version {version} of model {name}, which is not currently available for "
            "inference"
        )
