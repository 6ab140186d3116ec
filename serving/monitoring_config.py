"""`--monitoring_config_file`: whether and where Prometheus finds the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving import text_proto

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PATH = "/monitoring/prometheus/metrics"


def read(path: Path) -> str | None:
    """The path of the metrics on the REST port; None where the file does not enable them.

    Raises:
        ServingError: The file is missing or is no `MonitoringConfig` in text form.
    """
    prometheus = text_proto.read(path, "MonitoringConfig").prometheus_config
    return (prometheus.path or DEFAULT_PATH) if prometheus.enable else None
