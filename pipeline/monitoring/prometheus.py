"""The report for Prometheus: a text file for the node exporter's textfile collector, or a page to scrape.

Format: https://prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.monitoring import report as reports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.monitoring.report import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HOST = "127.0.0.1"


def text(report: Report) -> str:
    """The page of metrics; all are gauges."""
    model = {"model": report.name, "version": str(report.version)}
    labels = [{**model, "feature": one.key, "check": one.check, "distance": one.distance} for one in report.findings]
    families = {
        "distance": ("Distance of the requests from the training data.", [one.value for one in report.findings]),
        "limit": ("What the distance may reach.", [one.limit for one in report.findings]),
    }
    lines = [line for name, (words, values) in families.items() for line in _family(name, words, labels, values)]
    lines += _family("alert", "Whether there is drift.", [model], [report.status == reports.ALERT])
    lines += _family("rows", "Rows that were compared.", [model], [report.rows])
    lines += _family("report_timestamp_seconds", "When they were compared.", [model], [report.made])
    return "\n".join(lines) + "\n"


def _family(name: str, words: str, labels: list[dict[str, str]], values: Iterable[float]) -> list[str]:
    full = f"keraspipe_drift_{name}"
    samples = [f"{full}{{{_labels(one)}}} {float(value):.9g}" for one, value in zip(labels, values, strict=True)]
    return [f"# HELP {full} {words}", f"# TYPE {full} gauge", *samples]


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Page:
    """A page on this machine that shows the newest report.

    Args:
        port: Port to listen on; 0 for any free one.

    Raises:
        PipelineError: The port is taken.
    """

    def __init__(self, port: int) -> None:
        self.text = ""
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing of requests."""

        try:
            self._server = ThreadingHTTPServer((HOST, port), Handler)
        except OSError as error:
            raise PipelineError(
                f"Port {port} of {HOST} cannot be used.",
                expected="a free port",
                received=error.strerror or error,
                action="choose another one with --prometheus PORT",
            ) from error
        threading.Thread(target=self._server.serve_forever, name="prometheus", daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
