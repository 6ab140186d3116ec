"""`keraspipe serve`: the embedded server on the workspace's published models."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from pipeline import catalogue, champion, quiet
from pipeline.errors import PipelineError, UsageError
from serving import environment
from serving.errors import ServingError
from serving.flags import help as flag_help
from serving.flags import line as flag_line
from serving.flags.flag import Flag, FlagError
from serving.flags.options import Plan, of_workspace
from serving.start import log_to_stderr, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.quiet import Terminal
    from pipeline.settings import Settings
    from serving.server import Endpoints

_USAGE = "keraspipe serve [NAME]... [--FLAG=VALUE]..."
_DESCRIPTION = "Serve the published models over REST and gRPC. NAME: a published model; all of them without one."
_EXAMPLE = "keraspipe serve digits --rest-port 8501"
_WORKSPACE = (Flag("workspace", "", "folder of the models", "./workspace, or KERASPIPE_WORKSPACE", takes="DIR"),)


def parse(arguments: Sequence[str]) -> Namespace:
    """The command's options; ends the program with exit code 2 where a flag is wrong."""
    try:
        line = flag_line.parse(arguments, _WORKSPACE)
    except FlagError as error:
        print(_in_words(error), file=sys.stderr)
        raise SystemExit(UsageError.exit_code) from None
    return Namespace(command="serve", workspace=line.get("workspace", "") or None, line=line)


def command(options: Namespace, settings: Settings) -> int:
    """Serves until it is stopped, or prints what `--help` or `--version` asks for."""
    if options.line["help"]:
        print(flag_help.text(_USAGE, _DESCRIPTION, _EXAMPLE, _WORKSPACE), end="", flush=True)
        return 0
    if options.line["version"]:
        print(flag_help.version(), flush=True)
        return 0
    return _served(options.line, settings)


def _served(line: flag_line.CommandLine, settings: Settings) -> int:
    base = settings.workspace / "serving"
    try:
        plan = of_workspace(line, environment.read(), base)
        for name in plan.options.names:
            _require_known(name, settings)
        base.mkdir(parents=True, exist_ok=True)
        for warning in plan.warnings:
            print(f"keraspipe serve: warning: {warning}", file=sys.stderr)
        return _serve(plan, settings)
    except FlagError as error:
        print(_in_words(error), file=sys.stderr)
        return UsageError.exit_code
    except ServingError as error:
        raise PipelineError(str(error)) from error


def _serve(plan: Plan, settings: Settings) -> int:
    with quiet.output_to(settings.workspace / "serve.txt") as terminal:
        log_to_stderr()
        return start(plan.options, lambda endpoints: _announce(endpoints, plan, terminal))


def _in_words(error: FlagError) -> str:
    text = f"keraspipe serve: {error}"
    return text if "\nNext: " in text else f"{text}\nNext: keraspipe serve --help"


def _require_known(name: str, settings: Settings) -> None:
    folders = sorted((settings.workspace / "serving").glob("*"))
    published = [folder.name for folder in folders if champion.versions(settings.workspace, folder.name)]
    if name in published:
        return
    known = catalogue.paths(settings)
    raise UsageError(
        f"No model {name!r} is published in {settings.workspace}.",
        expected=f"one of {', '.join(published)}" if published else "a published model",
        received=name,
        action=f"run: keraspipe run {name}"
        if name in known
        else catalogue.did_you_mean(name, [*published, *known]) or "list them with: keraspipe models",
    )


def _announce(endpoints: Endpoints, plan: Plan, terminal: Terminal) -> None:
    names = [f"{name} (version {max(versions)})" for name, versions in endpoints.models.items() if versions]
    print(f"Serving {', '.join(names) or 'no model yet; a published one is found within a second'}", file=terminal.out)
    if plan.options.rest_port is not None:
        print(f"  REST  {endpoints.rest}/v1/models/NAME:predict", file=terminal.out)
    if plan.options.grpc_port is not None:
        print(f"  gRPC  {endpoints.grpc}", file=terminal.out)
    if plan.options.grpc_socket:
        print(f"  gRPC  unix:{plan.options.grpc_socket}", file=terminal.out)
    terminal.out.flush()
    for version, error in endpoints.failed.items():
        print(f"Not served: {version}: {error}", file=terminal.err, flush=True)
