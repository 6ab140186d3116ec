"""The embedded model server: TensorFlow Serving's protocol over REST and gRPC, and its clients.

Nothing heavy is imported here: TensorFlow comes with `serving.server.serve` and `serving.model.LoadedModel`
only.
"""
