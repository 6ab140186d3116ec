"""`keraspipe loadtest`: puts load on a model server and measures how long its answers take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands._common import add_json
from pipeline.errors import PipelineError, UsageError
from serving.errors import FailedPrecondition, InvalidArgument, ServingError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pipeline.settings import Settings
    from serving.loadtest.result import Result
    from serving.loadtest.target import Load, Target


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a served model")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="the REST API (default: http://127.0.0.1:8501); https://HOST for TLS")
    where.add_argument("--grpc", metavar="HOST:PORT", help="the gRPC API instead; grpcs://HOST:PORT for TLS")
    loop = parser.add_mutually_exclusive_group()
    loop.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="open loop: send so many requests per second, even if the server is slow",
    )
    loop.add_argument(
        "--concurrency", type=int, metavar="N", help="closed loop: clients that wait for each answer (default: 16)"
    )
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds to measure (default: 10)")
    parser.add_argument(
        "--warmup", type=float, default=1.0, metavar="S", help="seconds of load before measuring (default: 1)"
    )
    parser.add_argument(
        "--arrivals",
        default="poisson",
        metavar="HOW",
        help="arrivals of the open loop: poisson or constant (default: poisson)",
    )
    parser.add_argument(
        "--connections", type=int, metavar="N", help="connections of the open loop (default: 64, gRPC: 4)"
    )
    parser.add_argument("--signature", default="serving_default", help="signature of the model (default: %(default)s)")
    parser.add_argument(
        "--input",
        nargs="+",
        default=[],
        metavar="FILE",
        help="files to send (default: random values that fit the signature)",
    )
    parser.add_argument("--rows", type=int, default=1, metavar="N", help="rows of each request (default: 1)")
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds until a request fails (default: 30)"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="PEM file of the certificate authorities to trust with TLS (default: the system's)"
    )
    parser.add_argument("--token-file", metavar="FILE", help="file with the server's bearer token")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:  # noqa: ARG001 - it needs no workspace
    """Prints the result; 1 if a request failed."""
    load = _make_load(options)
    target = _make_target(options)
    try:
        result = _run_load(target, load)
    except ServingError as error:
        raise PipelineError(str(error)) from error
    if options.json:
        print(json.dumps(result.as_json()))
    else:
        from serving.loadtest.result import render_text

        print(render_text(result))
    return int(result.failures > 0)


def _make_load(options: Namespace) -> Load:
    from serving.loadtest.target import Load

    if options.rows < 1 or not options.timeout > 0:
        raise UsageError(
            "--rows or --timeout is too small.",
            expected="--rows of at least 1 and a --timeout above 0",
            received=f"--rows {options.rows} --timeout {options.timeout:g}",
            action="correct the value",
        )
    try:
        return Load(
            rate=options.rate,
            concurrency=options.concurrency,
            duration_s=options.duration,
            warmup_s=options.warmup,
            arrivals=options.arrivals,
            connections=options.connections,
        )
    except ServingError as error:
        raise UsageError(str(error)) from error


def _make_target(options: Namespace) -> Target:
    from serving.loadtest.request import target_for_model

    token = _read_token(options.token_file)
    try:
        return target_for_model(
            options.name,
            url=options.url or "",
            grpc=options.grpc or "",
            signature=options.signature,
            inputs=options.input,
            rows=options.rows,
            token=token,
            timeout_s=options.timeout,
            ca=options.ca or "",
        )
    except (InvalidArgument, FailedPrecondition) as error:
        raise UsageError(str(error)) from error
    except ServingError as error:
        raise PipelineError(str(error)) from error


def _read_token(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise UsageError(
            "The token cannot be read.", expected="a file with a token", received=error, action="correct --token-file"
        ) from error


def _run_load(target: Target, load: Load) -> Result:
    from serving.loadtest import generator

    generator.check_target(target)
    return generator.run(target, load)
