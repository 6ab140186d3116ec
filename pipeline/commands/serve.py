"""`keraspipe serve`: the embedded server on the workspace's live versions.

With `--sync` it starts `keraspipe sync --every` in a process of its own, so that MLflow slows no request.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import console, errors, subprocesses
from pipeline.commands import _common
from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog
from pipeline.registry import serving_config
from pipeline.registry.serving_config import WorkspaceModels
from pipeline.store import champions
from serving.config import command_line as flag_line
from serving.config import security_flags
from serving.config.flags import Flag, FlagError
from serving.config.from_flags import Plan, from_workspace_flags
from serving.errors import ServingError
from serving.logs import log_to_stderr
from serving.process.start import start_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.console import Terminal
    from pipeline.settings import Settings
    from pipeline.store.layout import Workspace
    from serving.process.server import Endpoints


_USAGE = "keraspipe serve [NAME]... [--FLAG=VALUE]..."
_DESCRIPTION = "Serve live models (champions) over REST and gRPC, challengers as NAME-challenger. NAME: a recipe."
_EXAMPLE = "keraspipe serve digits --rest-port 8501"
_OWN_FLAGS = (
    Flag("workspace", "", "folder of the models", "./workspace, or KERASPIPE_WORKSPACE", takes="DIR"),
    Flag(
        "canary",
        "",
        "share of a model's requests that its challenger answers; may be repeated",
        "",
        "NAME=10%",
        repeats=True,
    ),
    Flag(
        "sync", 0.0, "apply aliases changed in MLflow at this interval, in a separate process", "never", "SECONDS", 0.0
    ),
)


def parse(arguments: Sequence[str]) -> Namespace:
    """The command's options; ends the program with exit code 2 where a flag is wrong."""
    try:
        line = flag_line.parse(arguments, _OWN_FLAGS)
    except FlagError as error:
        print(_format_error(error), file=sys.stderr)
        raise SystemExit(UsageError.exit_code) from None
    return Namespace(command="serve", workspace=line.get("workspace", "") or None, line=line)


def command(options: Namespace, settings: Settings) -> int:
    """Serves until it is stopped, or prints what `--help` or `--version` asks for."""
    if options.line["help"]:
        print(flag_line.help_text(_USAGE, _DESCRIPTION, _EXAMPLE, _OWN_FLAGS), end="", flush=True)
        return 0
    if options.line["version"]:
        print(flag_line.version(), flush=True)
        return 0
    return _plan_and_serve(options.line, settings)


def _plan_and_serve(line: flag_line.CommandLine, settings: Settings) -> int:
    try:
        plan = from_workspace_flags(
            line, security_flags.read_environment(), WorkspaceModels(settings.workspace, line.names)
        )
        shares = parse_shares(line.get("canary", ""))
        for name in {*line.names, *shares}:
            _require_published(name, settings)
        settings.workspace.root.mkdir(parents=True, exist_ok=True)
        warnings = (*plan.warnings, *_challenger_warnings(shares, settings), *_decoder_warnings(plan))
        for warning in warnings:
            print(f"keraspipe serve: warning: {warning}", file=sys.stderr)
        with contextlib.suppress(OSError):  # a workspace that is only read is served as it is
            serving_config.write_config(settings.workspace)
        return _serve(plan, shares, line.get("sync", 0.0), settings)
    except FlagError as error:
        print(_format_error(error), file=sys.stderr)
        return UsageError.exit_code
    except ServingError as error:
        raise PipelineError(str(error)) from error


def _serve(plan: Plan, shares: Mapping[str, float], every: float, settings: Settings) -> int:
    with (
        _open_log(settings.workspace) as log,
        console.redirect_output(log) as terminal,
        sync_in_background(settings, every),
        _report_canaries(plan, shares, terminal) as options,
    ):
        log_to_stderr()
        with_notice = replace(options, notice=lambda text: print(text, file=terminal.err, flush=True))
        return start_server(with_notice, lambda endpoints: _announce(endpoints, plan, terminal))


@contextlib.contextmanager
def _open_log(workspace: Workspace) -> Iterator[Path]:
    """Yields the log; if the workspace may only be read, a file elsewhere that the block's end removes."""
    if os.access(workspace.root, os.W_OK):
        yield workspace.serve_log
        return
    with tempfile.NamedTemporaryFile(prefix="keraspipe-serve-", suffix=".txt") as file:
        print(
            f"keraspipe serve: warning: {workspace} cannot be written; it is served as it is, the log is {file.name}",
            file=sys.stderr,
            flush=True,
        )
        yield Path(file.name)


@contextlib.contextmanager
def _report_canaries(plan: Plan, shares: Mapping[str, float], terminal: Terminal) -> Iterator[Any]:
    """Yields the server's options with canaries; prints a summary of both versions at the end."""
    if not shares:
        yield plan.options
        return
    from serving.metrics import canary

    with tempfile.TemporaryDirectory(prefix="keraspipe-") as folder:
        yield replace(plan.options, canary=shares, canary_report=Path(folder))
        for text in canary.report_lines(canary.read_report(Path(folder), shares)):
            print(text, file=terminal.err, flush=True)


def parse_shares(text: str) -> dict[str, float]:
    """Shares by name out of `NAME=10%,NAME=0.1`.

    Raises:
        FlagError: It cannot be read.
    """
    return dict(_parse_share(part) for part in text.split(",") if part)


def _parse_share(text: str) -> tuple[str, float]:
    name, equals, written = text.partition("=")
    try:
        share = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not (name and equals and 0 <= share <= 1):
        raise FlagError(
            "--canary cannot be read.", expected="NAME=SHARE with a share of 0% to 100%, or 0 to 1", received=text
        )
    return name, share


def _challenger_warnings(shares: Mapping[str, float], settings: Settings) -> Iterator[str]:
    for name in shares:
        if champions.current_entry(settings.workspace, name).challenger is None:
            yield f"{name} has no challenger; until then the champion answers all requests"


def _decoder_warnings(plan: Plan) -> Iterator[str]:
    """Names the versions that would be served whose decoders take any bytes."""
    from serving.core.graph import find_unchecked_decoders

    with contextlib.suppress(OSError):  # a record cannot be read, which the server says
        for model in plan.options.source() if plan.options.source else ():
            for version in model.specific or ():
                if find_unchecked_decoders(model.base_path / str(version)):
                    yield (
                        f"{model.base_path.name}@{version} decodes whatever is sent, and few bytes can end the server; "
                        f"publish it anew: keraspipe run {model.base_path.name}"
                    )


def _format_error(error: FlagError) -> str:
    text = f"keraspipe serve: {error}"
    return text if "\nNext: " in text else f"{text}\nNext: keraspipe serve --help"


def _require_published(name: str, settings: Settings) -> None:
    known, home = catalog.recipe_paths(settings), settings.workspace
    published = [model for model in champions.recipe_names(home) if champions.current_entry(home, model).aliases]
    if name in published:
        return
    raise UsageError(
        f"No model {name!r} is published in {home}.",
        expected=f"one of {', '.join(published)}" if published else "a published model",
        received=_common.describe_quick(home, name) or name,
        action=f"run: keraspipe run {name}"
        if name in known
        else errors.did_you_mean(name, [*published, *known]) or "list them with: keraspipe models",
    )


def _announce(endpoints: Endpoints, plan: Plan, terminal: Terminal) -> None:
    names = [f"{name} (version {max(versions)})" for name, versions in endpoints.models.items() if versions]
    print(
        f"Serving {', '.join(names) or 'no model yet; a new version is found within a second after it is published'}",
        file=terminal.out,
    )
    if plan.options.rest_port is not None:
        print(f"  REST  {endpoints.rest}/v1/models/NAME:predict", file=terminal.out)
    if plan.options.grpc_port is not None:
        print(f"  gRPC  {endpoints.grpc}", file=terminal.out)
    if plan.options.grpc_socket:
        print(f"  gRPC  unix:{plan.options.grpc_socket}", file=terminal.out)
    terminal.out.flush()
    for version, error in endpoints.failed.items():
        print(f"Not served: {version}: {error}", file=terminal.err, flush=True)


@contextlib.contextmanager
def sync_in_background(settings: Settings, every: float) -> Iterator[None]:
    """Runs the sync process every `every` seconds, until the block or this process ends; not at all for 0."""
    if not every > 0:
        yield
        return
    home = settings.workspace
    arguments = ["sync", "--every", f"{every:g}", "--parent", str(os.getpid()), "--workspace", str(home)]
    process = subprocesses.start_module("pipeline.cli", arguments, cwd=home.root, env=subprocesses.environment())
    try:
        yield
    finally:
        process.terminate()
        process.wait()
