"""What the server counts: TensorFlow Serving's own metrics and ours, as one Prometheus page."""

from serving.metrics.metrics import Metrics
from serving.metrics.snapshot import Snapshot, merged, text
from serving.metrics.states import record

__all__ = ["Metrics", "Snapshot", "merged", "record", "text"]
