"""HandleReloadConfigRequest: an operator's new list of models."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from serving.errors import InvalidArgument, ServingError
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.core.life import Life

PATH = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
_LOG = logging.getLogger("keraspipe.serving")


def method(life: Life, counters: Callable[[], Mapping[str, int]] = dict) -> tuple[Any, Callable[[Any], Any]]:
    """Request type and handler, as in `service.methods`.

    Args:
        life: Whose models are replaced.
        counters: Values of the metrics that only grow, by name.
    """
    kind = protos.load("apis.model_management_pb2").ReloadConfigRequest
    return kind, lambda request: handle(life, request, counters)


def handle(life: Life, request: Any, counters: Callable[[], Mapping[str, int]] = dict) -> Any:
    """A `ReloadConfigResponse`; an error is the call's own status, which leaves the response unsent.

    Raises:
        ServingError: Any config but a list of models, a list that cannot be, or a model that cannot be loaded.
    """
    before = counters() if request.metric_names else {}
    try:
        _apply(life, request.config)
    except ServingError as error:
        _LOG.error("The models' list was not (fully) applied: %s", error.text)
        raise
    response = protos.load("apis.model_management_pb2").ReloadConfigResponse()
    response.status.SetInParent()
    after = counters() if request.metric_names else {}
    for name in request.metric_names:
        if name in after:
            response.metric.add(name=name, int64_value_increase=after[name] - before.get(name, 0))
    return response


def _apply(life: Life, config: Any) -> None:
    if config.WhichOneof("config") != "model_config_list":
        raise InvalidArgument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    life.reload(config)
