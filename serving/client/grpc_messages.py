"""Requests and answers of the gRPC API, as bytes.

Arrays travel as one block of bytes, whatever their type.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from serving.client.calls import Call
from serving.client.errors import unreadable_error
from serving.client.types import Arrays, Classes, VersionStatus, read_signatures
from serving.errors import Code, error_from_code
from serving.wire import dtypes, proto_fields, protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.client.types import ModelRef
    from serving.core.signature import Signature


T = TypeVar("T")
FILLS_DEFAULTS = True
_PREDICTION = "PredictionService"
# The field of each type, and its number << 3 | 2 (length-delimited).
_PACKED = {"float": ("float_val", b"\x2a"), "double": ("double_val", b"\x32"), "bool": ("bool_val", b"\x5a")}


def predict(
    ref: ModelRef, signature: Signature, inputs: Arrays, outputs: Sequence[str] | None
) -> Call[dict[str, np.ndarray]]:
    """See `Codec`; the server computes the wanted outputs only."""
    module = protos.load("apis.predict_pb2")
    request = module.PredictRequest()
    _fill_spec(request.model_spec, ref, signature.name)
    request.output_filter.extend(outputs or ())
    for name, array in inputs.items():
        encode_tensor(array, request.inputs[name])

    def read(reply: Any) -> dict[str, np.ndarray]:
        return {name: decode_tensor(reply.outputs[name], name) for name in sorted(reply.outputs)}

    return _make_call(f"{_PREDICTION}/Predict", request, module.PredictResponse, read)


def classify(ref: ModelRef, signature: str, examples: Sequence[Any], context: Any) -> Call[Classes]:
    """See `Codec`."""
    module = protos.load("apis.classification_pb2")
    request = module.ClassificationRequest()
    _fill_spec(request.model_spec, ref, signature)
    _fill_input(request.input, examples, context)
    return _make_call(
        f"{_PREDICTION}/Classify", request, module.ClassificationResponse, lambda reply: _read_classes(reply.result)
    )


def regress(ref: ModelRef, signature: str, examples: Sequence[Any], context: Any) -> Call[np.ndarray]:
    """See `Codec`."""
    module = protos.load("apis.regression_pb2")
    request = module.RegressionRequest()
    _fill_spec(request.model_spec, ref, signature)
    _fill_input(request.input, examples, context)
    return _make_call(
        f"{_PREDICTION}/Regress", request, module.RegressionResponse, lambda reply: _read_numbers(reply.result)
    )


def multi_inference(
    ref: ModelRef, tasks: Mapping[str, str], examples: Sequence[Any], context: Any
) -> Call[dict[str, Any]]:
    """See `Codec`."""
    module = protos.load("apis.inference_pb2")
    request = module.MultiInferenceRequest()
    for signature, method in tasks.items():
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        _fill_spec(task.model_spec, ref, signature)
    _fill_input(request.input, examples, context)

    def read(reply: Any) -> dict[str, Any]:
        return {name: _read_result(result) for name, result in zip(tasks, reply.results, strict=True)}

    return _make_call(f"{_PREDICTION}/MultiInference", request, module.MultiInferenceResponse, read)


def metadata(ref: ModelRef) -> Call[dict[str, Signature]]:
    """See `Codec`."""
    module = protos.load("apis.get_model_metadata_pb2")
    request = module.GetModelMetadataRequest(metadata_field=["signature_def"])
    _fill_spec(request.model_spec, ref)

    def read(reply: Any) -> dict[str, Signature]:
        message = module.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(message)
        return read_signatures(message)

    return _make_call(f"{_PREDICTION}/GetModelMetadata", request, module.GetModelMetadataResponse, read)


def status(ref: ModelRef) -> Call[list[VersionStatus]]:
    """See `Codec`."""
    module = protos.load("apis.get_model_status_pb2")
    request = module.GetModelStatusRequest()
    _fill_spec(request.model_spec, ref)
    states = module.ModelVersionStatus.State

    def read(reply: Any) -> list[VersionStatus]:
        versions = [
            VersionStatus(entry.version, states.Name(entry.state), entry.status.error_message)
            for entry in reply.model_version_status
        ]
        return sorted(versions, key=lambda entry: -entry.version)

    return _make_call("ModelService/GetModelStatus", request, module.GetModelStatusResponse, read)


def reload(config: Any) -> Call[None]:
    """See `Codec`; never sent twice, as the first may be under way."""
    module = protos.load("apis.model_management_pb2")
    request = module.ReloadConfigRequest()
    request.config.CopyFrom(config)

    def read(reply: Any) -> None:
        if reply.status.error_code:
            raise error_from_code(Code(reply.status.error_code), reply.status.error_message)

    return _make_call(
        "ModelService/HandleReloadConfigRequest", request, module.ReloadConfigResponse, read, repeatable=False
    )


def _make_call(method: str, request: Any, reply: Any, read: Callable[[Any], T], *, repeatable: bool = True) -> Call[T]:
    from google.protobuf.message import DecodeError

    def read_bytes(content: bytes) -> T:
        try:
            return read(reply.FromString(content))
        except (DecodeError, ValueError) as error:
            raise unreadable_error(method, error) from error

    runs_model = method.startswith(_PREDICTION) and not method.endswith("GetModelMetadata")
    return Call(f"/tensorflow.serving.{method}", request.SerializeToString(), read_bytes, repeatable, runs_model)


def _fill_spec(message: Any, ref: ModelRef, signature: str = "") -> None:
    message.name = ref.name
    message.signature_name = signature
    if ref.version is not None:
        message.version.value = ref.version
    if ref.label is not None:
        message.version_label = ref.label


def _fill_input(message: Any, examples: Sequence[Any], context: Any) -> None:
    if context is None:
        message.example_list.examples.extend(examples)
        return
    message.example_list_with_context.context.CopyFrom(context)
    message.example_list_with_context.examples.extend(examples)


def _read_result(result: Any) -> Any:
    if result.WhichOneof("result") == "regression_result":
        return _read_numbers(result.regression_result)
    return _read_classes(result.classification_result)


def _read_classes(result: Any) -> Classes:
    return [[(entry.label, entry.score) for entry in row.classes] for row in result.classifications]


def _read_numbers(result: Any) -> np.ndarray:
    return np.array([regression.value for regression in result.regressions], dtype=np.float32)


def encode_tensor(array: np.ndarray, proto: Any) -> None:
    """Write an array into an empty TensorProto.

    Args:
        array: Any shape, of a tensor's type; strings as objects of bytes.
        proto: The `tensorflow.TensorProto`.
    """
    dtype = dtypes.from_array(array)
    if dtype.numpy is None or dtype is dtypes.STRING:
        tensor_proto.encode(array, proto)
        return
    proto.dtype = dtype.number
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = np.ascontiguousarray(array).astype(dtype.numpy.newbyteorder("<"), copy=False).tobytes()


def decode_tensor(proto: Any, name: str) -> np.ndarray:
    """The array of a TensorProto, which the caller may write into."""
    array = _packed_array(proto)
    if array is None:
        array = tensor_proto.decode(proto, name)
    return array if array.flags.writeable else array.copy()


def _packed_array(proto: Any) -> np.ndarray | None:
    """The array of float, double or bool values, whose packed form is its memory; None for all else.

    Python reads a repeated field value by value; written out again, it ends in one block: a
    million floats take 1.4 ms instead of 55.
    """
    dtype = dtypes.from_number(proto.dtype)
    if dtype.name not in _PACKED or proto.tensor_content:
        return None
    field, tag = _PACKED[dtype.name]
    assert dtype.numpy is not None
    shape = [dim.size for dim in proto.tensor_shape.dim]
    size = len(getattr(proto, field)) * dtype.numpy.itemsize
    content = proto.SerializeToString()
    start = tag + proto_fields.varint(size)
    whole = size and size == math.prod(shape) * dtype.numpy.itemsize and min(shape, default=0) >= 0
    if not whole or not content[: len(content) - size].endswith(start):
        return None
    block = np.frombuffer(content, dtype.numpy.newbyteorder("<"), offset=len(content) - size)
    return block.astype(dtype.numpy).reshape(shape)
