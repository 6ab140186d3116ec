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

    from pipeline.monitoring.monitor import Look
    from pipeline.monitoring.outputs import Outlet
    from pipeline.monitoring.report import Report
    from pipeline.settings import Settings

DRIFT = 4
STOPPED_BY = (signal.SIGINT, signal.SIGTERM)


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument(
        "--all", action="store_true", help="every recipe that has a published version, in place of NAME"
    )
    parser.add_argument("--log", type=Path, metavar="DIR", help="request log (default: WORKSPACE/request-log)")
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
        "--prometheus",
        metavar="FILE|[HOST:]PORT",
        help="metrics as a file, or with --watch at a port, of this machine only without HOST (0.0.0.0 for all)",
    )
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="look again and again until it is stopped")
    parser.add_argument("--retrain", action="store_true", help="on drift: keraspipe run NAME, and its exit code")
    add_json(parser)


def command(options: Namespace, settings: Settings) -> int:
    """Compares and reports; returns 4 on drift."""
    _check(options, settings)
    outlet = _outlet(options, settings)
    try:
        if options.watch:
            return _watched(options, settings, outlet)
        return _once_all(options, settings, outlet) if options.all else _once(options, settings, outlet)
    finally:
        outlet.close()


def _check(options: Namespace, settings: Settings) -> None:
    _check_name(options, settings)
    if options.watch is not None and not options.watch > 0:
        raise UsageError("--watch takes a pause.", expected="seconds above 0", received=options.watch)
    if not options.watch and _address(options):
        raise UsageError(
            "A port for Prometheus needs a command that goes on.",
            expected="--watch SECONDS beside --prometheus PORT, or a file",
            received=f"--prometheus {options.prometheus}",
            action=f"keraspipe monitor {options.name or '--all'} --watch 60 --prometheus {options.prometheus}",
        )
    _allowed(options)
    _since(options)


def _check_name(options: Namespace, settings: Settings) -> None:
    if options.all == bool(options.name):
        received = f"{options.name} and --all" if options.all else "neither"
        raise UsageError("Which recipe is meant is not clear.", expected="NAME or --all", received=received)
    if options.all and (options.html or options.retrain):
        received = "--html" if options.html else "--retrain"
        raise UsageError("That is for one recipe.", expected=f"NAME beside {received}", received=f"--all {received}")
    if options.name and champions.read_champion(settings.workspace, options.name) is None:
        catalog.find_recipe(options.name, settings)  # an unknown name is told with the ones that come close


def _address(options: Namespace) -> tuple[str, int] | None:
    from pipeline.monitoring import prometheus

    return prometheus.address(options.prometheus) if options.prometheus else None


def _outlet(options: Namespace, settings: Settings) -> Outlet:
    from pipeline.monitoring.outputs import Outlet
    from pipeline.monitoring.prometheus import Page

    address = _address(options)
    scraped = Page(address[1], address[0]) if address else None
    if scraped:
        print(f"Metrics: {scraped.url}", file=sys.stderr, flush=True)
    metrics = Path(options.prometheus) if options.prometheus and not address else None
    return Outlet(settings.workspace, settings.mlflow_uri, options.json, options.html, metrics, scraped)


def _since(options: Namespace) -> float:
    from pipeline.monitoring import monitor

    return monitor.seconds(options.since) if options.since else 0.0


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
    from pipeline.monitoring.monitor import monitored

    return monitored(settings.workspace, options.name, *_period(options, settings))


def _period(options: Namespace, settings: Settings) -> tuple[Path, float, dict[str, float]]:
    """The request log, since when, and what is allowed."""
    return options.log or settings.workspace.request_log, _since(options), _allowed(options)


def _once(options: Namespace, settings: Settings, outlet: Outlet) -> int:
    from pipeline.monitoring.monitor import Look

    report = _report(options, settings)
    look = Look.of(report)
    outlet.show(report)
    outlet.write(report)
    outlet.measure([look])
    print(f"Report: {outlet.keep(report)}", file=sys.stderr, flush=True)
    if not look.drifts:
        return 0
    return _retrained(options, settings) if options.retrain else DRIFT


def _once_all(options: Namespace, settings: Settings, outlet: Outlet) -> int:
    looks = _looks(options, settings)
    _told(looks, {}, options, outlet)
    return DRIFT if any(one.drifts for one in looks) else int(any(one.error for one in looks))


def _watched(options: Namespace, settings: Settings, outlet: Outlet) -> int:
    """Looks again and again; what is told in full, kept and recorded is what differs from the time before."""
    from pipeline.monitoring import monitor

    if options.all:
        outlet.measure(monitor.champions(settings.workspace))  # comparing may take a while
    before: dict[str, object] = {}
    code = 0
    for _ in _ticks(options.watch):
        looks = _looks(options, settings)
        changed = _told(looks, before, options, outlet)
        if options.retrain and any(one.drifts for one in changed):
            _retrained(options, settings)
        code = DRIFT if any(one.drifts for one in looks) else 0
        before = {one.name: one.outcome for one in looks}
    return code


def _looks(options: Namespace, settings: Settings) -> list[Look]:
    """One for each recipe; those of `--all` are found anew each time."""
    from pipeline.monitoring import monitor

    names = monitor.recipes(settings.workspace) if options.all else [options.name]
    return [monitor.look(settings.workspace, name, *_period(options, settings)) for name in names]


def _told(looks: list[Look], before: dict[str, object], options: Namespace, outlet: Outlet) -> list[Look]:
    """Tells looks everywhere; returns those that differ from the time before."""
    outlet.measure(looks)
    outlet.tell(looks, before, together=options.all)
    changed = [one for one in looks if one.outcome != before.get(one.name)]
    for one in looks:
        if one.report:
            outlet.write(one.report)
        if one.report and one in changed:
            outlet.keep(one.report)
    return changed


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
    arguments = ["run", options.name, "--workspace", str(settings.workspace)]
    return subprocesses.run_module(
        "pipeline.cli", arguments, sys.stderr if options.json else None
    )  # stdout is for one object
