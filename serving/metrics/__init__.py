"""What the server counts: TensorFlow Serving's own metrics and ours, as one Prometheus page."""

from serving.metrics.exposition import Snapshot, merge_snapshots, render_page
from serving.metrics.model_states import record_states
from serving.metrics.registry import Metrics

__all__ = ["Metrics", "Snapshot", "merge_snapshots", "record_states", "render_page"]
