"""Write requests and responses as `tensorflow.serving.PredictionLog`, and read them from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.errors import DataLoss
from serving.request_log import tfrecord
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from serving.core.classify_regress import Classes
    from serving.core.work import LogMetadata
    from serving.wire.strings import Tensor

_FIELDS = {"Predict": "predict", "Classify": "classify", "Regress": "regress", "MultiInference": "multi_inference"}


def predict_log(answered: LogMetadata, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Any:
    """The log of a predict request.

    Args:
        answered: Who answered.
        inputs: Tensors by input name, any shapes.
        outputs: Tensors by output name.
    """
    log = _new_log(answered)
    _fill_model_spec(log.predict_log.request.model_spec, answered)
    _fill_model_spec(log.predict_log.response.model_spec, answered)
    for arrays, target in ((inputs, log.predict_log.request.inputs), (outputs, log.predict_log.response.outputs)):
        for name, array in arrays.items():
            tensor_proto.encode(array, target[name])
    return log


def classify_log(answered: LogMetadata, examples: Any, classes: Classes) -> Any:
    """The log of a classify request.

    Args:
        answered: Who answered.
        examples: The `tensorflow.serving.Input`.
        classes: Labels and scores of each example.
    """
    log = _new_log(answered)
    _fill_examples(log.classify_log, answered, examples)
    result = log.classify_log.response.result
    for row in classes:
        group = result.classifications.add()
        for label, score in row:
            group.classes.add(label=label, score=score)
    return log


def regress_log(answered: LogMetadata, examples: Any, values: np.ndarray) -> Any:
    """The log of a regress request.

    Args:
        answered: Who answered.
        examples: The `tensorflow.serving.Input`.
        values: (count,) one number per example.
    """
    log = _new_log(answered)
    _fill_examples(log.regress_log, answered, examples)
    for value in values.tolist():
        log.regress_log.response.result.regressions.add(value=value)
    return log


def from_wire(answered: LogMetadata, method: str, request: bytes, response: bytes) -> Any:
    """The log of a gRPC call, from its bytes.

    Args:
        answered: Who answered; the first task's signature for MultiInference.
        method: `Predict`, `Classify`, `Regress` or `MultiInference`.
        request: The serialized request.
        response: The serialized response.
    """
    log = _new_log(answered)
    call = getattr(log, f"{_FIELDS[method]}_log")
    call.request.MergeFromString(request)
    call.response.MergeFromString(response)
    return log


def from_messages(answered: LogMetadata, request: Any, response: Any) -> Any:
    """The log of a gRPC call, from its messages; the request's type says which."""
    log = _new_log(answered)
    kinds = {"PredictRequest": "Predict", "ClassificationRequest": "Classify", "RegressionRequest": "Regress"}
    method = kinds.get(request.DESCRIPTOR.name, "MultiInference")
    call = getattr(log, f"{_FIELDS[method]}_log")
    call.request.CopyFrom(request)
    call.response.CopyFrom(response)
    return log


def _new_log(answered: LogMetadata) -> Any:
    log = protos.load("apis.prediction_log_pb2").PredictionLog()
    metadata = log.log_metadata
    _fill_model_spec(metadata.model_spec, answered)
    metadata.sampling_config.sampling_rate = answered.rate
    metadata.saved_model_tags.extend(answered.tags)
    metadata.timestamp_secs = answered.timestamp
    return log


def _fill_model_spec(message: Any, answered: LogMetadata) -> None:
    message.name = answered.model
    message.signature_name = answered.signature
    message.version.value = answered.version


def _fill_examples(call: Any, answered: LogMetadata, examples: Any) -> None:
    _fill_model_spec(call.request.model_spec, answered)
    _fill_model_spec(call.response.model_spec, answered)
    call.request.input.CopyFrom(examples)


def read_logs(path: Path) -> Iterator[Any]:
    """The `PredictionLog`s of a file, one after the other; does not import TensorFlow.

    Raises:
        DataLoss: The file is cut off or damaged, or holds other records; the logs before that were given.
        OSError: It cannot be read.
    """
    from google.protobuf.message import DecodeError

    kind = protos.load("apis.prediction_log_pb2").PredictionLog
    with path.open("rb") as file:
        for record in tfrecord.read_records(file):
            try:
                log = kind.FromString(record)
            except DecodeError as error:
                raise DataLoss(f"{path} holds a record that is no PredictionLog: {error}") from error
            yield log
