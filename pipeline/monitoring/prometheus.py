"""What was looked at, for Prometheus: a text file for the node exporter's textfile collector, or a page to scrape.

Format: https://prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4.
"""

from __future__ import annotations

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.monitoring.comparison import Finding
    from pipeline.monitoring.look import Look

    Samples = Sequence[tuple[Mapping[str, str], float]]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HOST = "127.0.0.1"
PORTS = 1 << 16
_ADDRESS = re.compile(r"(?:(?P<host>[\w.-]+|\[[\da-fA-F:.]+\]):)?(?P<port>\d+)", re.ASCII)


def text(looks: Sequence[Look]) -> str:
    """The page of metrics; all are gauges.

    Args:
        looks: One for each recipe. Without any the page says that there is no champion.
    """
    lines = (line for one in (_models(looks), _drift(looks)) for family in one for line in _family(*family))
    return "\n".join(lines) + "\n"


def _models(looks: Sequence[Look]) -> Iterator[tuple[str, str, Samples]]:
    def each(values: Mapping[str, float]) -> Samples:
        return [({"model": name}, value) for name, value in values.items()]

    yield "champions", "Recipes of which a version is live.", [({}, sum(one.version > 0 for one in looks))]
    yield "champion_version", "The version that is live, 0 for none.", each({one.name: one.version for one in looks})
    yield "request_log", "Whether requests are logged.", each({one.name: one.logged for one in looks})
    yield "monitor_failed", "Whether the comparison failed.", each({one.name: bool(one.error) for one in looks})
    yield (
        "monitor_look_timestamp_seconds",
        "When the recipe was last looked at.",
        each({one.name: one.made for one in looks}),
    )


def _drift(looks: Sequence[Look]) -> Iterator[tuple[str, str, Samples]]:
    models = [(one, {"model": one.name, "version": str(one.version)}) for one in looks]
    reports = [(one.report, model) for one, model in models if one.report]
    found = [({**model, **_labels_of(one)}, one) for report, model in reports for one in report.findings]
    yield "drift_distance", "Distance from the training data.", [(labels, one.value) for labels, one in found]
    yield "drift_limit", "What the distance may reach.", [(labels, one.limit) for labels, one in found]
    yield "drift_exceeded", "Whether it is above its limit.", [(labels, one.alert) for labels, one in found]
    yield "drift_alert", "Whether there is drift.", [(model, one.drifts) for one, model in models if one.report]
    rows = [(model, one.report.rows if one.report else 0) for one, model in models]
    yield "drift_rows", "Rows of requests that were compared.", rows
    made = [(model, report.made) for report, model in reports]
    yield "drift_report_timestamp_seconds", "When they were compared.", made


def _labels_of(one: Finding) -> dict[str, str]:
    return {"feature": one.key, "check": one.check, "distance": one.distance}


def _family(name: str, words: str, samples: Samples) -> Iterator[str]:
    full = f"keraspipe_{name}"
    yield f"# HELP {full} {words}"
    yield f"# TYPE {full} gauge"
    for labels, value in samples:
        yield f"{full}{_labels(labels)} {float(value)!r}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


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


class _Server(ThreadingHTTPServer):
    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        super().__init__((host, port), handler)


class Page:
    """A page that shows the newest looks.

    Args:
        port: Port to listen on; 0 for any free one.
        host: Address to listen on.

    Raises:
        PipelineError: The port is taken, or the address is not this machine's.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self.text = text([])
        page = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 30  # seconds for a request to come in

            def do_GET(self) -> None:
                body = page.text.encode(errors="replace")  # a file name may be no text
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing of requests."""

        self._host = host
        try:
            self._server = _Server(host, port, Handler)
        except OSError as error:
            raise PipelineError(
                f"Port {port} of {host} cannot be used.",
                expected="a free port of this machine",
                received=error.strerror or error,
                action="choose another one with --prometheus [HOST:]PORT",
            ) from error
        threading.Thread(target=self._server.serve_forever, name="prometheus", daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
