"""The same road on a Kubeflow Pipelines cluster: its specification, and what a task does in its container."""
