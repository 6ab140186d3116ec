"""Clients of TensorFlow Serving's protocol: numpy in, numpy out.

They work against the embedded server and against tensorflow/serving, and never import TensorFlow:

    RestClient().predict("digits", {"image": [png_bytes]})["label"]
"""

from serving.clients.reply import VersionStatus
from serving.clients.rest import RestClient
from serving.clients.rpc import GrpcClient
from serving.errors import ServingError

__all__ = ["GrpcClient", "RestClient", "ServingError", "VersionStatus"]
