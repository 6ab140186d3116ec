"""`keraspipe monitor`: whether a model's requests still look like what it has learnt from."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import catalogue, champion
from pipeline.commands.options import add_json
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pipeline.monitoring.outlet import Outlet
    from pipeline.monitoring.report import Report
    from pipeline.settings import Settings

DRIFT = 4
LOG = "request-log"
STOPPED_BY = (signal.SIGINT, signal.SIGTERM)


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--log", type=Path, metavar="DIR", help=f"request log (default: WORKSPACE/{LOG})")
    parser.add_argument("--since", metavar="TIME", help="only requests since: 2h, 7d, 2026-11-21T09:30")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="FEATURE=DISTANCE",
        help="drift without harm, beyond chance (default: L-infinity 0.05, Jensen-Shannon 0.02); may be repeated",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report there, too")
    parser.add_argument(
        "--prometheus", metavar="FILE|PORT", help="metrics as a file, or with --watch at a port of this machine"
    )
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="look again and again until it is stopped")
    parser.add_argument("--retrain", action="store_true", help="on drift: keraspipe run NAME, and its exit code")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Compares and reports; returns 4 on drift."""
    _check(options, settings)
    outlet = _outlet(options, settings)
    try:
        return _watched(options, settings, outlet) if options.watch else _once(options, settings, outlet)
    finally:
        outlet.close()


def _check(options: Namespace, settings: Settings) -> None:
    if champion.read(settings.workspace, options.name) is None:
        catalogue.source(options.name, settings)  # an unknown name is told with the ones that come close
    if options.watch is not None and not options.watch > 0:
        raise UsageError("--watch takes a pause.", expected="seconds above 0", received=options.watch)
    if not options.watch and (options.prometheus or "").isdigit():
        raise UsageError(
            "A port for Prometheus needs a command that goes on.",
            expected="--watch SECONDS beside --prometheus PORT, or a file",
            received=f"--prometheus {options.prometheus}",
            action=f"keraspipe monitor {options.name} --watch 60 --prometheus {options.prometheus}",
        )
    _allowed(options)
    _since(options)


def _outlet(options: Namespace, settings: Settings) -> Outlet:
    from pipeline.monitoring.outlet import Outlet
    from pipeline.monitoring.prometheus import Page

    port = options.prometheus if (options.prometheus or "").isdigit() else ""
    scraped = Page(int(port)) if port else None
    if scraped:
        print(f"Metrics: {scraped.url}", file=sys.stderr, flush=True)
    metrics = Path(options.prometheus) if options.prometheus and not port else None
    return Outlet(settings.workspace, settings.mlflow_uri, options.json, options.html, metrics, scraped)


def _since(options: Namespace) -> float:
    from pipeline.monitoring import since

    return since.seconds(options.since) if options.since else 0.0


def _allowed(options: Namespace) -> dict[str, float]:
    found = {}
    for text in options.allow:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = -1.0
        if not name or not 0 <= found[name] <= 1:
            raise UsageError("--allow takes a feature and a distance.", expected="age=0.1, 0 to 1", received=text)
    return found


def _report(options: Namespace, settings: Settings) -> Report:
    from pipeline.monitoring.requests import monitored

    log = options.log or settings.workspace / LOG
    return monitored(settings.workspace, options.name, log, _since(options), _allowed(options))


def _once(options: Namespace, settings: Settings, outlet: Outlet) -> int:
    from pipeline.monitoring.report import ALERT

    report = _report(options, settings)
    outlet.show(report)
    outlet.write(report)
    print(f"Report: {outlet.keep(report)}", file=sys.stderr, flush=True)
    if report.status != ALERT:
        return 0
    return _retrained(options, settings) if options.retrain else DRIFT


def _watched(options: Namespace, settings: Settings, outlet: Outlet) -> int:
    """Looks again and again; what is told in full, kept and recorded is what differs from the time before."""
    from pipeline.monitoring.report import ALERT, features

    before: object = None
    code = 0
    for _ in _ticks(options.watch):
        try:
            report = _report(options, settings)
        except UsageError:
            raise
        except PipelineError as error:  # no log yet, for instance
            print(f"keraspipe: {error}", file=sys.stderr, flush=True)
            continue
        now = (report.version, report.status, features(report))
        outlet.show(report, briefly=now == before)
        outlet.write(report)
        if now != before:
            outlet.keep(report)
        code = DRIFT if report.status == ALERT else 0
        if code and now != before and options.retrain:
            _retrained(options, settings)
        before = now
    return code


def _ticks(seconds: float) -> Iterator[None]:
    """One at once, then one after each pause, until Ctrl-C or SIGTERM; both are the usual way to leave."""
    over = threading.Event()
    before = [signal.signal(number, lambda *_: over.set()) for number in STOPPED_BY]
    try:
        yield
        while not over.wait(seconds):
            yield
    finally:
        for number, handler in zip(STOPPED_BY, before, strict=True):
            signal.signal(number, handler)


def _retrained(options: Namespace, settings: Settings) -> int:
    """Runs the recipe in a process of its own and returns its exit code."""
    print(f"Drift: keraspipe run {options.name}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pipeline.cli", "run", options.name, "--workspace", str(settings.workspace)]
    output = sys.stderr if options.json else None  # stdout is for one object
    return subprocess.run(command, check=False, stdout=output).returncode  # noqa: S603  (our own program)
