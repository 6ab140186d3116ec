"""The same values as requests of each protocol."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from serving.loadtest.target import GRPC_PREDICT, Target
from serving.wire import protos, tensor_proto

INPUT = {"mlp": "input", "image": "image_bytes", "digits": "image_bytes"}
TIMEOUT_S = 30.0


def numbers(rows: int) -> np.ndarray:
    """Returns rows for the MLP."""
    return np.random.default_rng(1).random((rows, 16), dtype=np.float32).round(4)


def texts(content: bytes) -> np.ndarray:
    """Returns one value of bytes."""
    return np.array([content], dtype=object)


def of_rest(url: str, model: str, values: np.ndarray, path: str = "") -> Target:
    """Returns a request in TensorFlow Serving's row format; `path` for a server with another path."""
    body = json.dumps({"instances": [_jsonable(row) for row in values.tolist()]}).encode()
    return Target(url, path or f"/v1/models/{model}:predict", body, model=model, timeout_s=TIMEOUT_S)


def of_v2(url: str, model: str, values: np.ndarray) -> Target:
    """Returns a request of the Open Inference Protocol, for MLServer."""
    is_bytes = values.dtype == object
    data = [base64.b64encode(item).decode() for item in values] if is_bytes else values.reshape(-1).tolist()
    tensor = {"name": INPUT[model], "shape": list(values.shape), "datatype": "BYTES" if is_bytes else "FP32"}
    body = json.dumps({"inputs": [{**tensor, "data": data}]}).encode()
    return Target(url, f"/v2/models/{model}/infer", body, model=model, timeout_s=TIMEOUT_S)


def of_grpc(address: str, model: str, values: np.ndarray) -> Target:
    """Returns a PredictRequest."""
    request = protos.load("apis.predict_pb2").PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "serving_default"
    tensor_proto.encode(values, request.inputs[INPUT[model]])
    return Target(address, GRPC_PREDICT, request.SerializeToString(), "grpc", model=model, timeout_s=TIMEOUT_S)


def _jsonable(row: Any) -> Any:
    return {"b64": base64.b64encode(row).decode()} if isinstance(row, bytes) else row
