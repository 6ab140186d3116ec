"""What was looked at, for Prometheus: a text file for the node exporter's textfile collector, or a page to scrape."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily

from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.monitoring.monitor import Look

    Samples = Iterable[tuple[Sequence[str], float]]

HOST = "127.0.0.1"
PORTS = 1 << 16
_ADDRESS = re.compile(r"(?:(?P<host>[\w.-]+|\[[\da-fA-F:.]+\]):)?(?P<port>\d+)", re.ASCII)
_MODEL = ("model",)
_VERSION = ("model", "version")
_FEATURE = (*_VERSION, "feature", "check", "distance")


class Gauges:
    """A collector of prometheus_client over the newest looks, one for each recipe.

    Attributes:
        looks: Without any there is no champion.
    """

    def __init__(self, looks: Sequence[Look] = ()) -> None:
        self.looks = looks

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All metrics as they are now."""
        yield from _models(self.looks)
        yield from _drift(self.looks)


def registry(gauges: Gauges) -> CollectorRegistry:
    """A registry with nothing else in it."""
    alone = CollectorRegistry()
    alone.register(gauges)
    return alone


def text(looks: Sequence[Look]) -> str:
    """The page of metrics; all are gauges."""
    return generate_latest(registry(Gauges(looks))).decode()


def _models(looks: Sequence[Look]) -> Iterator[GaugeMetricFamily]:
    gauge, models = partial(_gauge, labels=_MODEL), [((one.name,), one) for one in looks]
    live = sum(one.version > 0 for one in looks)
    yield _gauge("champions", "Recipes of which a version is live.", [((), live)])
    yield gauge(
        "champion_version", "The version that is live, 0 for none.", [(key, one.version) for key, one in models]
    )
    yield gauge("request_log", "Whether requests are logged.", [(key, one.logged) for key, one in models])
    yield gauge("monitor_failed", "Whether the comparison failed.", [(key, bool(one.error)) for key, one in models])
    made = [(key, one.made) for key, one in models]
    yield gauge("monitor_look_timestamp_seconds", "When the recipe was last looked at.", made)


def _drift(looks: Sequence[Look]) -> Iterator[GaugeMetricFamily]:
    models = [((one.name, str(one.version)), one.report) for one in looks]
    reports = [(key, report) for key, report in models if report]
    features = [((*key, one.key, one.check, one.distance), one) for key, report in reports for one in report.findings]
    gauge = partial(_gauge, labels=_FEATURE)
    yield gauge("drift_distance", "Distance from the training data.", [(key, one.value) for key, one in features])
    yield gauge("drift_limit", "What the distance may reach.", [(key, one.limit) for key, one in features])
    yield gauge("drift_exceeded", "Whether it is above its limit.", [(key, one.alert) for key, one in features])
    gauge = partial(_gauge, labels=_VERSION)
    alerts = [((one.name, str(one.version)), one.drifts) for one in looks if one.report]
    yield gauge("drift_alert", "Whether there is drift.", alerts)
    rows = [(key, report.rows if report else 0) for key, report in models]
    yield gauge("drift_rows", "Rows of requests that were compared.", rows)
    made = [(key, report.made) for key, report in reports]
    yield gauge("drift_report_timestamp_seconds", "When they were compared.", made)


def _gauge(name: str, words: str, samples: Samples, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"keraspipe_{name}", words, labels=labels)
    for key, value in samples:  # a name that comes from a file may be no text
        family.add_metric([label.encode(errors="replace").decode() for label in key], value)
    return family


def address(text: str) -> tuple[str, int] | None:
    """Host and port that `[HOST:]PORT` names, this machine's own by default; None for the name of a file.

    Raises:
        UsageError: There is no such port.
    """
    found = _ADDRESS.fullmatch(text)
    if not found:
        return None
    if int(found["port"]) >= PORTS:
        raise UsageError("There is no such port.", expected=f"0 to {PORTS - 1}", received=text)
    return (found["host"] or HOST).strip("[]"), int(found["port"])


class Page:
    """A page that shows the newest looks.

    Args:
        port: Port to listen on; 0 for any free one.
        host: Address to listen on.

    Raises:
        PipelineError: The port is taken, or the address is not this machine's.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self._gauges, self._host = Gauges(), host
        try:
            self._server, self._thread = start_http_server(port, host, registry(self._gauges))
        except OSError as error:
            raise PipelineError(
                f"Port {port} of {host} cannot be used.",
                expected="a free port of this machine",
                received=error.strerror or error,
                action="choose another one with --prometheus [HOST:]PORT",
            ) from error

    def show(self, looks: Sequence[Look]) -> None:
        """Has the next scrape see these."""
        self._gauges.looks = looks

    @property
    def url(self) -> str:
        """Its address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
