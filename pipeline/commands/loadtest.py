"""`keraspipe loadtest`: puts load on a model server and tells how long its answers take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, UsageError
from serving.errors import FailedPrecondition, InvalidArgument, ServingError

if TYPE_CHECKING:
    from argparse import Namespace

    from pipeline.settings import Settings
    from serving.loadtest.load import Load
    from serving.loadtest.result import Result
    from serving.loadtest.target import Target


def command(options: Namespace, settings: Settings) -> int:  # noqa: ARG001 - a server is asked, not the workspace
    """Prints the result; 1 if a request failed."""
    load = _load(options)
    target = _target(options)
    try:
        result = _measured(target, load)
    except ServingError as error:
        raise PipelineError(str(error)) from error
    if options.json:
        print(json.dumps(result.as_json()))
    else:
        from serving.loadtest import report

        print(report.text(result))
    return int(result.failed > 0)


def _load(options: Namespace) -> Load:
    from serving.loadtest.load import Load

    if options.rows < 1 or not options.timeout > 0:
        raise UsageError(
            "This load cannot be made.",
            expected="--rows of at least 1 and a --timeout above 0",
            received=f"--rows {options.rows} --timeout {options.timeout:g}",
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


def _target(options: Namespace) -> Target:
    from serving.loadtest.request import of_model

    token = _token(options.token_file)
    try:
        return of_model(
            options.name,
            url=options.url or "",
            grpc=options.grpc or "",
            signature=options.signature,
            inputs=options.input,
            rows=options.rows,
            token=token,
            timeout_s=options.timeout,
        )
    except (InvalidArgument, FailedPrecondition) as error:
        raise UsageError(str(error)) from error
    except ServingError as error:
        raise PipelineError(str(error)) from error


def _token(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise UsageError("The token cannot be read.", expected="a file with a token", received=error) from error


def _measured(target: Target, load: Load) -> Result:
    from serving.loadtest import generator, probe

    probe.check(target)
    return generator.run(target, load)
