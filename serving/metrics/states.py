"""What the models say of themselves, written down before a page is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.core.models import Spec
from serving.core.servable import State
from serving.errors import ServingError
from serving.metrics.metrics import ENDED_KEPT

if TYPE_CHECKING:
    from serving.core.models import Models
    from serving.core.servable import Servable
    from serving.metrics.metrics import Metrics

_MAX_UUID = 256


def record(metrics: Metrics, models: Models) -> None:
    """Record the state of each version, and of those newly served also their signatures and ML Metadata keys.

    Cheap where nothing changed; call it after a load and before each page.
    """
    for name in models.names():
        ended = 0
        for _, servable in sorted(models.of(name).items(), reverse=True):
            ended += servable.state is State.END
            if servable.state is not State.END or ended <= ENDED_KEPT:
                _record(metrics, models, servable)


def _record(metrics: Metrics, models: Models, servable: Servable) -> None:
    state = servable.state
    if not metrics.state(servable.name, servable.version, state.name) or state is not State.AVAILABLE:
        return
    try:
        with models.lease(Spec(servable.name, servable.version)) as (_, model):
            metrics.served(servable.name, servable.version, model.signatures)
    except ServingError:  # it went away meanwhile
        return
    uuid = _uuid(servable)
    if uuid:
        metrics.mlmd(servable.name, servable.version, uuid)


def _uuid(servable: Servable) -> str:
    try:
        with (servable.path / "assets.extra" / "mlmd_uuid").open(errors="replace") as file:
            return file.read(_MAX_UUID).strip()
    except OSError:  # few versions have one
        return ""
