"""The health of models for Prometheus: a text file for the node exporter's textfile collector, or a page to scrape."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily

from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.monitoring.monitor import ModelHealth

    Samples = Iterable[tuple[Sequence[str], float]]

HOST = "127.0.0.1"
PORT_LIMIT = 1 << 16
_ADDRESS = re.compile(r"(?:(?P<host>[\w.-]+|\[[\da-fA-F:.]+\]):)?(?P<port>\d+)", re.ASCII)
_MODEL = ("model",)
_VERSION = ("model", "version")
_FEATURE = (*_VERSION, "feature", "check", "distance")


class Gauges:
    """A collector of prometheus_client for the newest state of each recipe.

    Attributes:
        statuses: One for each recipe.
    """

    def __init__(self, statuses: Sequence[ModelHealth] = ()) -> None:
        self.statuses = statuses

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields the current metrics."""
        yield from _model_gauges(self.statuses)
        yield from _drift_gauges(self.statuses)


def make_registry(gauges: Gauges) -> CollectorRegistry:
    """Returns a registry with these metrics only."""
    alone = CollectorRegistry()
    alone.register(gauges)
    return alone


def render_text(statuses: Sequence[ModelHealth]) -> str:
    """Returns the page of metrics; all are gauges."""
    return generate_latest(make_registry(Gauges(statuses))).decode()


def _model_gauges(statuses: Sequence[ModelHealth]) -> Iterator[GaugeMetricFamily]:
    gauge, models = partial(_make_gauge, labels=_MODEL), [((status.name,), status) for status in statuses]
    live = sum(status.version > 0 for status in statuses)
    yield _make_gauge("champions", "Recipes of which a version is live.", [((), live)])
    yield gauge(
        "champion_version", "The version that is live, 0 for none.", [(key, status.version) for key, status in models]
    )
    yield gauge("request_log", "Whether requests are logged.", [(key, status.logged) for key, status in models])
    yield gauge(
        "monitor_failed", "Whether the comparison failed.", [(key, bool(status.error)) for key, status in models]
    )
    made = [(key, status.made) for key, status in models]
    yield gauge("monitor_look_timestamp_seconds", "When the recipe was last looked at.", made)


def _drift_gauges(statuses: Sequence[ModelHealth]) -> Iterator[GaugeMetricFamily]:
    models = [((entry.name, str(entry.version)), entry.report) for entry in statuses]
    reports = [(key, report) for key, report in models if report]
    features = [
        ((*key, entry.key, entry.check, entry.distance), entry) for key, report in reports for entry in report.findings
    ]
    gauge = partial(_make_gauge, labels=_FEATURE)
    yield gauge("drift_distance", "Distance from the training data.", [(key, entry.value) for key, entry in features])
    yield gauge("drift_limit", "What the distance may reach.", [(key, entry.limit) for key, entry in features])
    yield gauge("drift_exceeded", "Whether it is above its limit.", [(key, entry.alert) for key, entry in features])
    gauge = partial(_make_gauge, labels=_VERSION)
    alerts = [((entry.name, str(entry.version)), entry.has_drift) for entry in statuses if entry.report]
    yield gauge("drift_alert", "Whether there is drift.", alerts)
    rows = [(key, report.rows if report else 0) for key, report in models]
    yield gauge("drift_rows", "Rows of requests that were compared.", rows)
    made = [(key, report.made) for key, report in reports]
    yield gauge("drift_report_timestamp_seconds", "When they were compared.", made)


def _make_gauge(name: str, words: str, samples: Samples, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"keraspipe_{name}", words, labels=labels)
    for key, value in samples:  # a name from a file may not be a string
        family.add_metric([label.encode(errors="replace").decode() for label in key], value)
    return family


def parse_address(text: str) -> tuple[str, int] | None:
    """Parses `[HOST:]PORT` to host and port, by default on this machine; None for the name of a file.

    Raises:
        UsageError: The port is out of range.
    """
    match = _ADDRESS.fullmatch(text)
    if not match:
        return None
    if int(match["port"]) >= PORT_LIMIT:
        raise UsageError(
            "There is no such port.",
            expected=f"0 to {PORT_LIMIT - 1}",
            received=text,
            action="choose another port, or 0 for a free one",
        )
    return (match["host"] or HOST).strip("[]"), int(match["port"])


class MetricsPage:
    """An HTTP page with the newest metrics.

    Args:
        port: Port to listen on; 0 for any free one.
        host: Address to listen on.

    Raises:
        PipelineError: The port is taken, or the address is not of this machine.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self._gauges, self._host = Gauges(), host
        try:
            self._server, self._thread = start_http_server(port, host, make_registry(self._gauges))
        except OSError as error:
            raise PipelineError(
                f"Port {port} of {host} cannot be used.",
                expected="a free port of this machine",
                received=error.strerror or error,
                action="choose another one with --prometheus [HOST:]PORT",
            ) from error

    def show(self, statuses: Sequence[ModelHealth]) -> None:
        """Replaces the states that the next scrape gets."""
        self._gauges.statuses = statuses

    @property
    def url(self) -> str:
        """URL of the page."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
