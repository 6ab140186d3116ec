"""`keraspipe monitor`: whether a model's requests still look like what it has learnt from."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import subprocesses
from pipeline.commands._common import add_json
from pipeline.errors import UsageError
from pipeline.recipes import catalog
from pipeline.store import champions

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from pipeline.monitoring.monitor import ModelHealth
    from pipeline.monitoring.outputs import Sinks
    from pipeline.monitoring.report import Report
    from pipeline.settings import Settings

DRIFT_EXIT_CODE = 4
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a recipe with a published version")
    parser.add_argument("--all", action="store_true", help="monitor every recipe that has a published version")
    parser.add_argument("--log", type=Path, metavar="DIR", help="request log (default: WORKSPACE/request-log)")
    parser.add_argument("--since", metavar="TIME", help="read only requests since then: 2h, 7d, 2026-11-21T09:30")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="FEATURE=DISTANCE",
        help="harmless distance beyond chance (default: L-infinity 0.05, Jensen-Shannon 0.02); may be repeated",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report to this file, too")
    parser.add_argument(
        "--prometheus",
        metavar="FILE|[HOST:]PORT",
        help="write metrics to a file, or with --watch serve them at a port (default HOST: this machine only)",
    )
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="repeat with this pause until stopped")
    parser.add_argument("--retrain", action="store_true", help="on drift run the recipe, and return its exit code")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Compares and reports; returns 4 on drift."""
    _check(options, settings)
    sinks = _make_sinks(options, settings)
    try:
        if options.watch:
            return _watch(options, settings, sinks)
        return _check_all_once(options, settings, sinks) if options.all else _check_once(options, settings, sinks)
    finally:
        sinks.close()


def _check(options: Namespace, settings: Settings) -> None:
    _check_name(options, settings)
    if options.watch is not None and not options.watch > 0:
        raise UsageError(
            "--watch needs a pause.", expected="seconds above 0", received=options.watch, action="correct --watch"
        )
    if not options.watch and _prometheus_address(options):
        raise UsageError(
            "A port for Prometheus needs --watch, which keeps the command running.",
            expected="--watch SECONDS with --prometheus PORT, or a file",
            received=f"--prometheus {options.prometheus}",
            action=f"keraspipe monitor {options.name or '--all'} --watch 60 --prometheus {options.prometheus}",
        )
    _parse_tolerances(options)
    _start_time(options)


def _check_name(options: Namespace, settings: Settings) -> None:
    if options.all == bool(options.name):
        received = f"{options.name} and --all" if options.all else "neither"
        raise UsageError(
            "The command needs one recipe, or --all.",
            expected="NAME or --all",
            received=received,
            action="name a recipe, or add --all",
        )
    if options.all and (options.html or options.retrain):
        received = "--html" if options.html else "--retrain"
        raise UsageError(
            f"{received} works for one recipe only.",
            expected=f"NAME {received}",
            received=f"--all {received}",
            action="replace --all by the name of a recipe",
        )
    if options.name and champions.read_champion(settings.workspace, options.name) is None:
        catalog.find_recipe(options.name, settings)  # an unknown name is an error with similar names


def _prometheus_address(options: Namespace) -> tuple[str, int] | None:
    from pipeline.monitoring import prometheus

    return prometheus.parse_address(options.prometheus) if options.prometheus else None


def _make_sinks(options: Namespace, settings: Settings) -> Sinks:
    from pipeline.monitoring.outputs import Sinks
    from pipeline.monitoring.prometheus import MetricsPage

    address = _prometheus_address(options)
    page = MetricsPage(address[1], address[0]) if address else None
    if page:
        print(f"Metrics: {page.url}", file=sys.stderr, flush=True)
    metrics = Path(options.prometheus) if options.prometheus and not address else None
    return Sinks(settings.workspace, settings.mlflow_uri, options.json, options.html, metrics, page)


def _start_time(options: Namespace) -> float:
    from pipeline.monitoring import monitor

    return monitor.parse_since(options.since) if options.since else 0.0


def _parse_tolerances(options: Namespace) -> dict[str, float]:
    tolerances = {}
    for text in options.allow:
        name, _, number = text.rpartition("=")
        try:
            tolerances[name] = float(number)
        except ValueError:
            tolerances[name] = -1.0
        if not name or not 0 <= tolerances[name] <= 1:
            raise UsageError(
                "--allow needs a feature and a distance.",
                expected="FEATURE=DISTANCE with a distance from 0 to 1, such as age=0.1",
                received=text,
                action="correct --allow",
            )
    return tolerances


def _compare(options: Namespace, settings: Settings) -> Report:
    from pipeline.monitoring.monitor import compare_requests

    return compare_requests(settings.workspace, options.name, *_period(options, settings))


def _period(options: Namespace, settings: Settings) -> tuple[Path, float, dict[str, float]]:
    """Returns the request log, the start time, and the tolerances."""
    return options.log or settings.workspace.request_log, _start_time(options), _parse_tolerances(options)


def _check_once(options: Namespace, settings: Settings, sinks: Sinks) -> int:
    from pipeline.monitoring.monitor import ModelHealth

    report = _compare(options, settings)
    health = ModelHealth.from_report(report)
    sinks.show(report)
    sinks.write_html(report)
    sinks.write_metrics([health])
    print(f"Report: {sinks.save(report)}", file=sys.stderr, flush=True)
    if not health.has_drift:
        return 0
    return _retrain(options, settings) if options.retrain else DRIFT_EXIT_CODE


def _check_all_once(options: Namespace, settings: Settings, sinks: Sinks) -> int:
    statuses = _check_health(options, settings)
    _publish(statuses, {}, options, sinks)
    return (
        DRIFT_EXIT_CODE
        if any(status.has_drift for status in statuses)
        else int(any(status.error for status in statuses))
    )


def _watch(options: Namespace, settings: Settings, sinks: Sinks) -> int:
    """Compares repeatedly; prints in full, stores and records only reports that differ from the one before."""
    from pipeline.monitoring import monitor

    if options.all:
        sinks.write_metrics(monitor.list_champions(settings.workspace))  # comparing may take a while
    before: dict[str, object] = {}
    code = 0
    for _ in _ticks(options.watch):
        statuses = _check_health(options, settings)
        changed = _publish(statuses, before, options, sinks)
        if options.retrain and any(status.has_drift for status in changed):
            _retrain(options, settings)
        code = DRIFT_EXIT_CODE if any(status.has_drift for status in statuses) else 0
        before = {status.name: status.outcome for status in statuses}
    return code


def _check_health(options: Namespace, settings: Settings) -> list[ModelHealth]:
    """Checks each recipe; those of `--all` are listed again each time."""
    from pipeline.monitoring import monitor

    names = monitor.list_recipes(settings.workspace) if options.all else [options.name]
    return [monitor.check_health(settings.workspace, name, *_period(options, settings)) for name in names]


def _publish(
    statuses: list[ModelHealth], before: dict[str, object], options: Namespace, sinks: Sinks
) -> list[ModelHealth]:
    """Writes states to all outputs; returns the new outcomes by recipe."""
    sinks.write_metrics(statuses)
    sinks.print_statuses(statuses, before, together=options.all)
    changed = [status for status in statuses if status.outcome != before.get(status.name)]
    for status in statuses:
        if status.report:
            sinks.write_html(status.report)
        if status.report and status in changed:
            sinks.save(status.report)
    return changed


def _ticks(seconds: float) -> Iterator[None]:
    """Yields at once, then after each pause, until Ctrl-C or SIGTERM, which are the usual ways to stop."""
    over = threading.Event()
    before = [signal.signal(number, lambda *_: over.set()) for number in STOP_SIGNALS]
    try:
        yield
        while not over.wait(seconds):
            yield
    finally:
        for number, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _retrain(options: Namespace, settings: Settings) -> int:
    """Runs the recipe in a separate process and returns its exit code."""
    print(f"Drift: keraspipe run {options.name}", file=sys.stderr, flush=True)
    arguments = ["run", options.name, "--workspace", str(settings.workspace)]
    return subprocesses.run_module(
        "pipeline.cli", arguments, sys.stderr if options.json else None
    )  # stdout is for one JSON object
