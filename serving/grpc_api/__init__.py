"""TensorFlow Serving's gRPC API over the core."""
