"""Clients of TensorFlow Serving's protocol: numpy in, numpy out.

They work against the embedded server and against tensorflow/serving, and never import TensorFlow:

    Client("http://127.0.0.1:8501").predict("digits", {"image_bytes": [Path("seven.png")]})["label"]
"""

from serving.clients.async_client import AsyncClient
from serving.clients.client import Client
from serving.clients.reply import VersionStatus
from serving.errors import ServingError

__all__ = ["AsyncClient", "Client", "ServingError", "VersionStatus"]
