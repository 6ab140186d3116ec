"""HandleReloadConfigRequest, an operator's new list of models, and gRPC's health service.

The two health messages are one field each, so they are read and written here instead of through another package.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.errors import InvalidArgument, NotFound, ServingError
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from serving.lifecycle.manager import ServableManager
    from serving.options import ModelConfig, ServeOptions


_LOG = logging.getLogger("keraspipe.serving")
# The full names are what clients of other servers ask for.
_SERVICE_NAMES = frozenset(
    prefix + name for name in (b"ModelService", b"PredictionService") for prefix in (b"", b"tensorflow.serving.")
) | {b""}
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"  # HealthCheckResponse{status}


@dataclass(frozen=True)
class ReloadBounds:
    """What a call may name: nothing outside of what the server was started with.

    Attributes:
        models: Folders that hold its models.
        logs: Folders of its request log.
    """

    models: tuple[Path, ...]
    logs: tuple[Path, ...]


def bounds_of_start(options: ServeOptions, configs: Iterable[ModelConfig]) -> ReloadBounds:
    """The bounds of a server: the folders around the models that it was started with, and its request logs."""
    known = list(configs)
    models = {config.base_path.parent for config in known} | ({options.base_path} if options.base_path else set())
    prefixes = [config.logging.log_collector_config.filename_prefix for config in known if config.logging]
    logs = {Path(prefix) for prefix in prefixes if prefix}
    return ReloadBounds(tuple(models), tuple(logs | ({options.request_log.folder} if options.request_log else set())))


def check_bounds(config: Any, bounds: ReloadBounds) -> None:
    """Refuse a list of models that names other folders.

    Raises:
        InvalidArgument: With the folder.
    """
    for model in config.model_config_list.config:
        if Path(model.base_path).is_absolute():  # upstream has a text of its own for others
            _check_folder(model.base_path, bounds.models, "models")
        _check_folder(model.logging_config.log_collector_config.filename_prefix, bounds.logs, "request log")


def _check_folder(text: str, allowed: tuple[Path, ...], what: str) -> None:
    path = Path(text).resolve() if text else None
    if path is None or any(path.is_relative_to(folder.resolve()) for folder in allowed):
        return
    folders = ", ".join(sorted(map(str, allowed))) or "none"
    raise InvalidArgument(
        f"A call may not name another folder than the server was started with.\nExpected: below {folders} ({what})\n"
        f"Received: {text}\nNext: name a folder below these, or start the server with this one"
    )


def handle_reload(manager: ServableManager, request: Any, counters: Callable[[], Mapping[str, int]] = dict) -> Any:
    """A `ReloadConfigResponse`; an error is the call's own status, which leaves the response unsent.

    Raises:
        ServingError: Any config but a list of models, a list that cannot be, or a model that cannot be loaded.
    """
    before = counters() if request.metric_names else {}
    try:
        _apply_config(manager, request.config)
    except ServingError as error:
        _LOG.error("The new list of models was not fully applied: %s", error.text)
        raise
    response = protos.load("apis.model_management_pb2").ReloadConfigResponse()
    response.status.SetInParent()
    after = counters() if request.metric_names else {}
    for name in request.metric_names:
        if name in after:
            response.metric.add(name=name, int64_value_increase=after[name] - before.get(name, 0))
    return response


def _apply_config(manager: ServableManager, config: Any) -> None:
    if config.WhichOneof("config") != "model_config_list":
        raise InvalidArgument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    manager.reload(config)


def health_methods(draining: Callable[[], bool]) -> dict[str, Callable[[bytes], bytes]]:
    """What answers health checks, by the method's path (grpc/health/v1/health.proto)."""

    def check(request: bytes) -> bytes:
        if _requested_service(request) not in _SERVICE_NAMES:
            raise NotFound("unknown service")
        return _NOT_SERVING if draining() else _SERVING

    return {"/grpc.health.v1.Health/Check": check}


def _requested_service(request: bytes) -> bytes:
    """The one field of a `HealthCheckRequest`; nothing else is expected in it.

    Its length fills one byte for every name that is known; what is longer is none of them.
    """
    return request[2:] if request.startswith(b"\x0a") else b""
