"""The states of all versions, recorded before a page is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.core.models import ModelSpec
from serving.core.servable import ServableState
from serving.errors import ServingError
from serving.metrics.registry import ENDED_KEPT

if TYPE_CHECKING:
    from serving.core.models import Models
    from serving.core.servable import Servable
    from serving.metrics.registry import Metrics

_MAX_UUID = 256


def record_states(metrics: Metrics, models: Models) -> None:
    """Record the state of each version, and of those newly served also their signatures and ML Metadata keys.

    Cheap where nothing changed; call it after a load and before each page.
    """
    for name in models.names():
        ended = 0
        for _, servable in sorted(models.versions(name).items(), reverse=True):
            ended += servable.state is ServableState.END
            if servable.state is not ServableState.END or ended <= ENDED_KEPT:
                _record_version(metrics, models, servable)


def _record_version(metrics: Metrics, models: Models, servable: Servable) -> None:
    state = servable.state
    if not metrics.state(servable.name, servable.version, state.name) or state is not ServableState.AVAILABLE:
        return
    try:
        with models.lease(ModelSpec(servable.name, servable.version)) as (_, model):
            metrics.add_version(servable.name, servable.version, model.signatures)
    except ServingError:  # it went away meanwhile
        return
    uuid = _read_uuid(servable)
    if uuid:
        metrics.mlmd(servable.name, servable.version, uuid)


def _read_uuid(servable: Servable) -> str:
    try:
        with (servable.path / "assets.extra" / "mlmd_uuid").open(errors="replace") as file:
            return file.read(_MAX_UUID).strip()
    except OSError:  # few versions have one
        return ""
