"""Processor, memory, disk, network and GPU while a run goes on, by MLflow's own monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

INTERVAL_S = 2


class SystemMetrics:
    """Samples the machine for one run, from the process that records it.

    Args:
        uri: The MLflow that holds the run.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._monitor: SystemMetricsMonitor | None = None

    def watch(self, run_id: str) -> None:
        """Samples for this run from now on, unless it does so already."""
        if run_id and not self._alive():
            self.stop()
            self._start(run_id)

    def stop(self) -> None:
        """Writes what is sampled and ends."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None

    def _alive(self) -> bool:
        # The monitor's thread gives up at the first failure to write.
        thread = getattr(self._monitor, "_process", None)
        return thread is not None and thread.is_alive()

    def _start(self, run_id: str) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(
            run_id, sampling_interval=INTERVAL_S, resume_logging=True, tracking_uri=self.uri
        )
        self._monitor.start()
