"""Requests and answers of the gRPC API, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from serving.clients import tensor
from serving.clients.call import Call
from serving.clients.failure import unreadable
from serving.clients.reply import Arrays, Classes, VersionStatus, signatures
from serving.errors import Code, of_code
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.clients.target import Target
    from serving.core.signature import Signature

T = TypeVar("T")
FILLS_DEFAULTS = True
_PREDICTION = "PredictionService"


def predict(
    target: Target, signature: Signature, inputs: Arrays, outputs: Sequence[str] | None
) -> Call[dict[str, np.ndarray]]:
    """See `Dialect`; the server computes the wanted outputs only."""
    module = protos.load("apis.predict_pb2")
    request = module.PredictRequest()
    _fill_spec(request.model_spec, target, signature.name)
    request.output_filter.extend(outputs or ())
    for name, array in inputs.items():
        tensor.encode(array, request.inputs[name])

    def read(reply: Any) -> dict[str, np.ndarray]:
        return {name: tensor.decode(reply.outputs[name], name) for name in sorted(reply.outputs)}

    return _call(f"{_PREDICTION}/Predict", request, module.PredictResponse, read)


def classify(target: Target, signature: str, examples: Sequence[Any], context: Any) -> Call[Classes]:
    """See `Dialect`."""
    module = protos.load("apis.classification_pb2")
    request = module.ClassificationRequest()
    _fill_spec(request.model_spec, target, signature)
    _fill_input(request.input, examples, context)
    return _call(
        f"{_PREDICTION}/Classify", request, module.ClassificationResponse, lambda reply: _classes(reply.result)
    )


def regress(target: Target, signature: str, examples: Sequence[Any], context: Any) -> Call[np.ndarray]:
    """See `Dialect`."""
    module = protos.load("apis.regression_pb2")
    request = module.RegressionRequest()
    _fill_spec(request.model_spec, target, signature)
    _fill_input(request.input, examples, context)
    return _call(f"{_PREDICTION}/Regress", request, module.RegressionResponse, lambda reply: _numbers(reply.result))


def multi_inference(
    target: Target, tasks: Mapping[str, str], examples: Sequence[Any], context: Any
) -> Call[dict[str, Any]]:
    """See `Dialect`."""
    module = protos.load("apis.inference_pb2")
    request = module.MultiInferenceRequest()
    for signature, method in tasks.items():
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        _fill_spec(task.model_spec, target, signature)
    _fill_input(request.input, examples, context)

    def read(reply: Any) -> dict[str, Any]:
        return {name: _result(result) for name, result in zip(tasks, reply.results, strict=True)}

    return _call(f"{_PREDICTION}/MultiInference", request, module.MultiInferenceResponse, read)


def metadata(target: Target) -> Call[dict[str, Signature]]:
    """See `Dialect`."""
    module = protos.load("apis.get_model_metadata_pb2")
    request = module.GetModelMetadataRequest(metadata_field=["signature_def"])
    _fill_spec(request.model_spec, target)

    def read(reply: Any) -> dict[str, Signature]:
        message = module.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(message)
        return signatures(message)

    return _call(f"{_PREDICTION}/GetModelMetadata", request, module.GetModelMetadataResponse, read)


def status(target: Target) -> Call[list[VersionStatus]]:
    """See `Dialect`."""
    module = protos.load("apis.get_model_status_pb2")
    request = module.GetModelStatusRequest()
    _fill_spec(request.model_spec, target)
    states = module.ModelVersionStatus.State

    def read(reply: Any) -> list[VersionStatus]:
        found = [
            VersionStatus(entry.version, states.Name(entry.state), entry.status.error_message)
            for entry in reply.model_version_status
        ]
        return sorted(found, key=lambda entry: -entry.version)

    return _call("ModelService/GetModelStatus", request, module.GetModelStatusResponse, read)


def reload(config: Any) -> Call[None]:
    """See `Dialect`; never sent twice, as the first may be under way."""
    module = protos.load("apis.model_management_pb2")
    request = module.ReloadConfigRequest()
    request.config.CopyFrom(config)

    def read(reply: Any) -> None:
        if reply.status.error_code:
            raise of_code(Code(reply.status.error_code), reply.status.error_message)

    return _call("ModelService/HandleReloadConfigRequest", request, module.ReloadConfigResponse, read, repeatable=False)


def _call(method: str, request: Any, reply: Any, read: Callable[[Any], T], *, repeatable: bool = True) -> Call[T]:
    from google.protobuf.message import DecodeError

    def read_bytes(content: bytes) -> T:
        try:
            return read(reply.FromString(content))
        except (DecodeError, ValueError) as error:
            raise unreadable(method, error) from error

    return Call(f"/tensorflow.serving.{method}", request.SerializeToString(), read_bytes, repeatable)


def _fill_spec(message: Any, target: Target, signature: str = "") -> None:
    message.name = target.name
    message.signature_name = signature
    if target.version is not None:
        message.version.value = target.version
    if target.label is not None:
        message.version_label = target.label


def _fill_input(message: Any, examples: Sequence[Any], context: Any) -> None:
    if context is None:
        message.example_list.examples.extend(examples)
        return
    message.example_list_with_context.context.CopyFrom(context)
    message.example_list_with_context.examples.extend(examples)


def _result(result: Any) -> Any:
    if result.WhichOneof("result") == "regression_result":
        return _numbers(result.regression_result)
    return _classes(result.classification_result)


def _classes(result: Any) -> Classes:
    return [[(one.label, one.score) for one in row.classes] for row in result.classifications]


def _numbers(result: Any) -> np.ndarray:
    return np.array([one.value for one in result.regressions], dtype=np.float32)
