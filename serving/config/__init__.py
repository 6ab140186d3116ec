"""From flags, environment and TensorFlow Serving's files to `ServeOptions` and the models to serve."""
