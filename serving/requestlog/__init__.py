"""A sample of the traffic on disk, to see later whether it drifts from what a model was trained on."""
