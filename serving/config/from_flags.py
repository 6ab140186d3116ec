"""Convert a command line to `ServeOptions`, for `python -m serving` and for `keraspipe serve`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from serving.config import files
from serving.config.flags import FLAGS_BY_KEY, FlagError
from serving.config.security_flags import is_loopback, listen_host, security_options, security_warnings
from serving.errors import InvalidArgument
from serving.options import Batching, Generation, Limits, Loading, RequestLog, ServeOptions, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.config.command_line import CommandLine
    from serving.config.security_flags import Environment
    from serving.options import ModelConfig

_MB = 2**20
_YEAR_SECONDS = 365.0 * 24 * 3600  # for ever, in a number that every timer takes
_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True)
class Plan:
    """What to start.

    Attributes:
        options: The server's options.
        warnings: Settings that are ignored or unsafe; one line each.
    """

    options: ServeOptions
    warnings: tuple[str, ...] = ()


def from_binary_flags(line: CommandLine, environment: Environment) -> Plan:
    """As tensorflow_model_server understands the line: no REST without a port, a failed load is fatal.

    Raises:
        FlagError: The line cannot be used.
        ServingError: tensorflow_model_server would fail to start; text and code are its own.
    """
    if line.names:
        raise FlagError(f"{line.names[0]!r} is no flag.", expected="--NAME=VALUE; a boolean is --NAME or --NAME=false")
    if not (line["model_config_file"] or line["model_base_path"]):
        raise FlagError("There is no model to serve.", expected="--model_base_path=DIR or --model_config_file=FILE")
    plan = _make_plan(line, environment, rest_port=None, monitoring=None)
    loading = replace(plan.options.loading, must_start=True)
    secured = plan.options.security
    private = is_loopback(plan.options.host) and not secured.token
    secured = replace(secured, control_open=private and not secured.control_token)
    return replace(plan, options=replace(_add_models(plan.options, line), loading=loading, security=secured))


def from_workspace_flags(line: CommandLine, environment: Environment, source: Callable[[], list[ModelConfig]]) -> Plan:
    """As `keraspipe serve` understands the line: REST and metrics are on, the models are those of a workspace.

    Args:
        line: The command line.
        environment: The environment.
        source: Lists the workspace's models.

    Raises:
        FlagError: The line cannot be used.
        ServingError: A file that it names cannot be used.
    """
    plan = _make_plan(line, environment, rest_port=8501, monitoring=files.DEFAULT_MONITORING_PATH)
    plan = replace(plan, options=replace(plan.options, security=replace(plan.options.security, control_open=False)))
    if not (line["model_config_file"] or line["model_base_path"]):
        return replace(plan, options=replace(plan.options, source=source))
    if line.names:
        raise FlagError(
            "Names and another source of models do not go together.",
            expected="either NAMEs out of the workspace, or --model_base_path or --model_config_file",
            received=" ".join(line.names),
        )
    return replace(plan, options=_add_models(plan.options, line))


def _make_plan(line: CommandLine, environment: Environment, rest_port: int | None, monitoring: str | None) -> Plan:
    address, secured = listen_host(line, environment), security_options(line, environment)
    options = ServeOptions(
        host=address,
        rest_port=_port(line, "rest_port", "rest_api_port", rest_port),
        grpc_port=_port(line, "grpc_port", "port", line["port"]),
        grpc_socket=_path(line, "grpc_socket_path"),
        grpc_arguments=_channel_arguments(line["grpc_channel_arguments"]),
        rest_timeout_seconds=line["rest_api_timeout_in_ms"] / 1e3 or _YEAR_SECONDS,
        threads=line.get("threads", line["rest_api_num_threads"]),
        cors=line["rest_api_enable_cors_support"],
        health_service=line["enable_grpc_healthcheck_service"],
        monitoring_path=_monitoring_path(line, monitoring),
        half_in_json=line["half_in_json"],
        tensor_content=line["enable_serialization_as_tensor_content"],
        batching=_batching(line),
        per_model_batching=line["enable_per_model_batching_parameters"],
        workers=line["workers"],
        drain_seconds=line["drain_seconds"],
        loading=_loading(line),
        session=_session(line),
        limits=_limits(line),
        generation=Generation(line["max_waiting_answers"], line["answer_timeout"] or _YEAR_SECONDS),
        security=secured,
        request_log=_request_log(line),
    )
    _check_ports(options)
    return Plan(options, (*_unsupported_warnings(line), *security_warnings(address, secured)))


def _add_models(options: ServeOptions, line: CommandLine) -> ServeOptions:
    """Where the models are; a config file makes name and path ignored, as upstream."""
    config, base = _path(line, "model_config_file"), _path(line, "model_base_path")
    if config or base is None:
        return replace(options, model_config_file=config)
    if "://" in line["model_base_path"]:
        raise FlagError(
            "--model_base_path is not on this machine.", expected="a folder", received=line["model_base_path"]
        )
    return replace(options, model=(line["model_name"], base))


def _path(line: CommandLine, key: str) -> Path | None:
    return Path(line[key]).expanduser().absolute() if line[key] else None


def _port(line: CommandLine, ours: str, theirs: str, default: int | None) -> int | None:
    """A port; 0 is any free one in our flag and none at all in upstream's."""
    if ours in line and theirs in line:
        raise FlagError(f"--{FLAGS_BY_KEY[ours].name} and --{theirs} both say the port.", expected="one of them")
    if ours in line:
        return int(line[ours])
    return (line[theirs] or None) if theirs in line else default


def _check_ports(options: ServeOptions) -> None:
    if options.grpc_port is None and options.grpc_socket is None:
        raise InvalidArgument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
        )
    if options.grpc_port and options.grpc_port == options.rest_port:
        raise FlagError("REST and gRPC cannot share a port.", expected="two ports", received=str(options.rest_port))


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not all(name and equals for name, equals, _ in pairs):
        raise FlagError("--grpc_channel_arguments cannot be read.", expected="KEY=VALUE,KEY=VALUE", received=text)
    return tuple((name, _int32(value)) for name, _, value in pairs)


def _int32(text: str) -> int | str:
    """A number where it is one, as gRPC wants it; else the text."""
    is_int32 = re.fullmatch(r"[+-]?[0-9]+", text) and int(text) in _INT32
    return int(text) if is_int32 else text


def _monitoring_path(line: CommandLine, default: str | None) -> str | None:
    path = _path(line, "monitoring_config_file")
    return files.read_monitoring_path(path) if path else default


def _batching(line: CommandLine) -> Batching | bool | None:
    path = _path(line, "batching_parameters_file")
    if line["enable_batching"]:
        return files.read_batching(path) if path else Batching()
    if path:
        raise InvalidArgument(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    return False if "enable_batching" in line or line["no_adaptive_batching"] else None


def _loading(line: CommandLine) -> Loading:
    return Loading(
        poll_seconds=float(line["file_system_poll_wait_seconds"]),
        config_poll_seconds=float(max(0, line["model_config_file_poll_wait_seconds"])),
        max_retries=line["max_num_load_retries"],
        retry_seconds=max(0, line["load_retry_interval_micros"]) / 1e6,
        load_threads=line["num_load_threads"],
        unload_threads=line["num_unload_threads"],
        tags=tuple(tag for tag in line["saved_model_tags"].split(",") if tag) or ("serve",),
        warmup=line["enable_model_warmup"],
        warmup_iterations=max(1, line["num_request_iterations_for_warmup"]),
        labels_ahead=line["allow_version_labels_for_unavailable_models"],
        check_methods=line["enable_signature_method_name_check"],
    )


def _session(line: CommandLine) -> Session:
    """Returns the session options; `tensorflow_session_parallelism` is the default of the other two thread counts."""
    both = line["tensorflow_session_parallelism"]
    intra, inter = line["tensorflow_intra_op_parallelism"], line["tensorflow_inter_op_parallelism"]
    if both and intra and inter:
        raise InvalidArgument(
            "Either configure tensorflow_session_parallelism or tensorflow_intra_op_parallelism and "
            f"tensorflow_inter_op_parallelism, not all three; got {both}, {intra} and {inter}."
        )
    config, share = _path(line, "tensorflow_session_config_file"), line["per_process_gpu_memory_fraction"]
    return Session(intra or both, inter or both, config, share)


def _limits(line: CommandLine) -> Limits:
    return Limits(
        request_bytes=int(line["max_request_mb"] * _MB) or None,
        concurrent=line["max_concurrent_requests"] or None,
        memory_bytes=int(line["max_memory_mb"] * _MB) or None,
    )


def _request_log(line: CommandLine) -> RequestLog | None:
    folder = _path(line, "request_log")
    given = [name for name in ("request_log_rate", "request_log_file_mb", "request_log_total_mb") if name in line]
    if folder is None:
        if given:
            raise FlagError(f"--{FLAGS_BY_KEY[given[0]].name} has nothing to act on.", expected="--request-log DIR too")
        return None
    sizes = [int(line[name] * _MB) for name in ("request_log_file_mb", "request_log_total_mb")]
    return RequestLog(folder, line["request_log_rate"], *sizes)


def _unsupported_warnings(line: CommandLine) -> list[str]:
    flags = [FLAGS_BY_KEY[key] for key in line if key in FLAGS_BY_KEY]
    changed = [flag for flag in flags if flag.unsupported and line[flag.key] != flag.default]
    return [f"--{flag.name} is not supported and has no effect: {flag.unsupported}" for flag in changed]
