"""What the server counts: TensorFlow Serving's own metrics and ours, as one Prometheus page."""
