"""Read flags, environment and TensorFlow Serving's files into `ServeOptions` and the list of models to serve."""
