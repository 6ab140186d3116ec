"""Labels: names that clients use for versions, such as `stable` and `canary`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.core.servable import State
from serving.errors import FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.config import ModelConfig
    from serving.core.models import Models

Labels = dict[str, dict[str, int]]  # model -> label -> version


def checked(configs: Iterable[ModelConfig], models: Models, *, ahead: bool) -> Labels:
    """The labels of a list of models.

    Args:
        configs: The models that are to be served.
        models: Those that are served now.
        ahead: Whether a label may name a version that is not served, if the label is new or stays as it is.

    Raises:
        FailedPrecondition: A label names a version that is not served.
    """
    found: Labels = {}
    for config in configs:
        for label, version in config.labels.items():
            _check(config.name, label, version, models, ahead)
        if config.labels:
            found[config.name] = dict(config.labels)
    return found


def following(configs: Iterable[ModelConfig], models: Models) -> Labels:
    """The labels of a list of models, as far as their versions are served; until then a label stays where it is."""
    found: Labels = {}
    for config in configs:
        before = models.labels(config.name)
        for label, version in config.labels.items():
            where = version if _serves(config.name, version, models) else before.get(label)
            if where is not None:
                found.setdefault(config.name, {})[label] = where
    return found


def _serves(name: str, version: int, models: Models) -> bool:
    servable = models.of(name).get(version)
    return servable is not None and servable.state is State.AVAILABLE


def _check(name: str, label: str, version: int, models: Models, ahead: bool) -> None:
    if ahead and models.labels(name).get(label, version) == version:
        return
    if not _serves(name, version, models):
        raise FailedPrecondition(
            f"Request to assign label to version {version} of model {name}, which is not currently available for "
            "inference"
        )
