"""`python -m serving`: the embedded server in place of tensorflow_model_server, with its flags and its exit codes."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from serving.config import from_flags, security_flags
from serving.config.command_line import help_text, parse, version
from serving.config.flags import FlagError
from serving.config.security_flags import is_loopback
from serving.errors import ServingError
from serving.logs import log_to_stderr
from serving.process.start import start_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.config.command_line import CommandLine
    from serving.options import ServeOptions
    from serving.process.server import Endpoints

USAGE_ERROR = 2
START_ERROR = 255  # upstream's -1
_EXAMPLE = "python -m serving --rest_api_port=8501 --model_name=digits --model_base_path=workspace/serving/digits"
_DESCRIPTION = """\
Serves models over TensorFlow Serving's protocol, as tensorflow_model_server does. Unlike it, the server listens
on this machine only: --host or KERASPIPE_SERVING_HOST opens it, and then it needs a token."""
_LOG = logging.getLogger("keraspipe.serving")


def main(arguments: Sequence[str]) -> int:
    """Serves; returns 0 after a drain, 2 for a wrong command line, 255 when the server cannot start."""
    try:
        return _run_command(parse(arguments))
    except FlagError as error:
        lines = str(error) if "\nNext: " in str(error) else f"{error}\nNext: python -m serving --help"
        print(f"python -m serving: {lines}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:  # before the server listens to signals
        return 0
    except BrokenPipeError:  # the reader of the help has left
        sys.stdout = None  # type: ignore[assignment]
        return 0


def _run_command(line: CommandLine) -> int:
    if line["help"]:
        print(help_text("python -m serving [--FLAG=VALUE]...", _DESCRIPTION, _EXAMPLE), end="", flush=True)
        return 0
    if line["version"]:
        print(version(), flush=True)
        return 0
    return _serve(line)


def _serve(line: CommandLine) -> int:
    log_to_stderr()
    try:
        plan = from_flags.from_binary_flags(line, security_flags.read_environment())
        for warning in plan.warnings:
            _LOG.warning(warning)
        return start_server(plan.options, lambda endpoints: _announce(endpoints, plan.options))
    except ServingError as error:
        print(f"Failed to start server. Error: {error.text}", flush=True)
        return START_ERROR


def _announce(endpoints: Endpoints, wanted: ServeOptions) -> None:
    """The lines that scripts wait for; upstream says localhost wherever it listens."""
    if wanted.grpc_port is not None:
        print(f"Running gRPC ModelServer at {endpoints.grpc} ...")
    if wanted.grpc_socket:
        print(f"Running gRPC ModelServer at UNIX socket {wanted.grpc_socket} ...")
    if wanted.rest_port is not None:
        print(f"Exporting HTTP/REST API at:{_upstream_address(str(endpoints.rest))} ...")
    sys.stdout.flush()


def _upstream_address(url: str) -> str:
    address = url.partition("://")[2]
    host, _, port = address.rpartition(":")
    return f"localhost:{port}" if is_loopback(host) or host in ("0.0.0.0", "[::]") else address  # noqa: S104 - compared


def script() -> None:
    """Serves and leaves at once; TensorFlow takes seconds to take itself apart."""
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    script()
