"""gRPC methods: from a request's bytes to what to run, or to the answer; knows no sockets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from serving.core import describe, predict
from serving.core.inference import Question
from serving.errors import InvalidArgument
from serving.requestlog import prediction
from serving.rpc import inference, spec
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.core.models import Models
    from serving.core.servable import Lease
    from serving.core.work import Values
    from serving.rpc.inference import Acquire

_PREFIX = "/tensorflow.serving."


def inferring(
    models: Models, *, tensor_content: bool = False, check_methods: bool = False
) -> dict[str, Callable[[bytes], Question]]:
    """What reads the requests that run a model, by the method's path.

    Args:
        models: What is served.
        tensor_content: Whether answers carry tensors as `tensor_content`.
        check_methods: Whether classify and regress need the signature's method name to fit.
    """
    table: dict[str, tuple[str, str, Callable[[Acquire, Any], Question]]] = {
        "Predict": ("predict", "PredictRequest", partial(_predict, tensor_content)),
        "Classify": ("classification", "ClassificationRequest", partial(inference.classify, check_methods)),
        "Regress": ("regression", "RegressionRequest", partial(inference.regress, check_methods)),
        "MultiInference": ("inference", "MultiInferenceRequest", inference.multi),
    }
    return {
        f"{_PREFIX}PredictionService/{name}": partial(_read, name, _message(module, kind), handler, models)
        for name, (module, kind, handler) in table.items()
    }


def telling(models: Models, reload: Callable[[Any], Any]) -> dict[str, Callable[[bytes], bytes]]:
    """What answers the other requests, by the method's path.

    Args:
        models: What is served.
        reload: From a `ReloadConfigRequest` to a `ReloadConfigResponse`.
    """
    metadata = _message("get_model_metadata", "GetModelMetadataRequest")
    status = _message("get_model_status", "GetModelStatusRequest")
    config = _message("model_management", "ReloadConfigRequest")
    return {
        f"{_PREFIX}PredictionService/GetModelMetadata": partial(
            _tell, metadata, lambda asked: describe.metadata(models, spec.of(asked), asked.metadata_field)
        ),
        f"{_PREFIX}ModelService/GetModelStatus": partial(
            _tell, status, lambda asked: describe.status(models, spec.of(asked))
        ),
        f"{_PREFIX}ModelService/HandleReloadConfigRequest": partial(_tell, config, reload),
    }


def _message(module: str, kind: str) -> Any:
    return getattr(protos.load(f"apis.{module}_pb2"), kind)


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidArgument(f"The request is no {kind.__name__}: {error}") from error


def _tell(kind: Any, answer: Callable[[Any], Any], body: bytes) -> bytes:
    told: bytes = answer(_parsed(kind, body)).SerializeToString()
    return told


def _read(method: str, kind: Any, handler: Callable[[Acquire, Any], Question], models: Models, body: bytes) -> Question:
    question = handler(partial(models.acquire, body=body), _parsed(kind, body))
    question.log = lambda answered, _, answer: prediction.of_wire(answered, method, body, answer)
    return question


def _predict(tensor_content: bool, acquire: Acquire, request: Any) -> Question:
    lease = acquire(spec.of(request))
    try:
        signature = request.model_spec.signature_name or predict.DEFAULT
        predict.check_names(lease.model, signature, request.inputs)  # before anything large is made of a few bytes
        inputs = {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}
        fetch, names = predict.prepare(lease.model, signature, inputs, list(request.output_filter))
    except BaseException as error:
        lease.refuse(error)
        raise
    word = partial(_prediction, lease, signature, names, tensor_content)
    return Question(lease, signature, fetch, word)


def _prediction(lease: Lease, signature: str, names: list[str], tensor_content: bool, values: Values) -> bytes:
    response = protos.load("apis.predict_pb2").PredictResponse()
    spec.fill(response.model_spec, lease.name, signature, lease.servable.version)
    for name, array in zip(names, values, strict=True):
        tensor_proto.encode(array, response.outputs[name], as_content=tensor_content)
    told: bytes = response.SerializeToString()
    return told
