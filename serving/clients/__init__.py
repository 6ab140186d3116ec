"""Clients of TensorFlow Serving's protocol, one per transport; `serving.client` names them all."""
