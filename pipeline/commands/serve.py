"""`keraspipe serve`: the embedded server on the workspace's published models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import catalogue, champion, quiet
from pipeline.errors import PipelineError, UsageError
from serving.errors import ServingError
from serving.options import ServeOptions

if TYPE_CHECKING:
    from argparse import Namespace

    from pipeline.quiet import Terminal
    from pipeline.settings import Settings
    from serving.server import Endpoints


def command(options: Namespace, settings: Settings) -> int:
    """Serves until it is stopped."""
    from serving.server import serve

    base = settings.workspace / "serving"
    published = [folder.name for folder in sorted(base.glob("*")) if champion.versions(settings.workspace, folder.name)]
    for name in options.names:
        _require_known(name, published, settings)
    base.mkdir(parents=True, exist_ok=True)
    wanted = ServeOptions(base, tuple(options.names), options.host, options.rest_port, options.grpc_port)
    try:
        with quiet.output_to(settings.workspace / "serve.txt") as terminal:
            return serve(wanted, lambda endpoints: _announce(endpoints, terminal))
    except ServingError as error:
        raise PipelineError(str(error)) from error


def _require_known(name: str, published: list[str], settings: Settings) -> None:
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


def _announce(endpoints: Endpoints, terminal: Terminal) -> None:
    names = [f"{name} (version {max(versions)})" for name, versions in endpoints.models.items() if versions]
    print(f"Serving {', '.join(names) or 'no model yet; a published one is found within a second'}", file=terminal.out)
    print(f"  REST  {endpoints.rest}/v1/models/NAME:predict", file=terminal.out)
    print(f"  gRPC  {endpoints.grpc}", file=terminal.out, flush=True)
    for version, error in endpoints.failed.items():
        print(f"Not served: {version}: {error}", file=terminal.err, flush=True)
