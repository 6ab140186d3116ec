"""The methods of PredictionService and ModelService: from a request's bytes to what to run, or to the answer.

`predict_methods` prepare a run of a model, `control_methods` answer at once. No sockets here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from serving.core import classify_regress, predict
from serving.core.handler import PreparedRequest
from serving.core.metadata import metadata_response, status_response
from serving.core.models import ModelSpec
from serving.errors import InvalidArgument
from serving.request_log import records
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.core.models import Models
    from serving.core.servable import ServableHandle
    from serving.core.work import RunArgs, Values

    Acquire = Callable[[ModelSpec], ServableHandle]


_PREFIX = "/tensorflow.serving."


def predict_methods(
    models: Models, *, tensor_content: bool = False, check_methods: bool = False
) -> dict[str, Callable[[bytes], PreparedRequest]]:
    """What reads the requests that run a model, by the method's path.

    Args:
        models: What is served.
        tensor_content: Whether answers carry tensors as `tensor_content`.
        check_methods: Whether classify and regress need the signature's method name to fit.
    """
    table: dict[str, tuple[str, str, Callable[[Acquire, Any], PreparedRequest]]] = {
        "Predict": ("predict", "PredictRequest", partial(_prepare_predict, tensor_content)),
        "Classify": ("classification", "ClassificationRequest", partial(prepare_classify, check_methods)),
        "Regress": ("regression", "RegressionRequest", partial(prepare_regress, check_methods)),
        "MultiInference": ("inference", "MultiInferenceRequest", prepare_multi_inference),
    }
    return {
        f"{_PREFIX}PredictionService/{name}": partial(
            _prepare_request, name, _message_class(module, kind), handler, models
        )
        for name, (module, kind, handler) in table.items()
    }


def control_methods(models: Models, reload: Callable[[Any], Any]) -> dict[str, Callable[[bytes], bytes]]:
    """What answers the other requests, by the method's path.

    Args:
        models: What is served.
        reload: From a `ReloadConfigRequest` to a `ReloadConfigResponse`.
    """
    metadata = _message_class("get_model_metadata", "GetModelMetadataRequest")
    status = _message_class("get_model_status", "GetModelStatusRequest")
    config = _message_class("model_management", "ReloadConfigRequest")
    return {
        f"{_PREFIX}PredictionService/GetModelMetadata": partial(
            _answer_control,
            metadata,
            lambda request: metadata_response(models, read_model_spec(request), request.metadata_field),
        ),
        f"{_PREFIX}ModelService/GetModelStatus": partial(
            _answer_control, status, lambda request: status_response(models, read_model_spec(request))
        ),
        f"{_PREFIX}ModelService/HandleReloadConfigRequest": partial(_answer_control, config, reload),
    }


def _message_class(module: str, kind: str) -> Any:
    return getattr(protos.load(f"apis.{module}_pb2"), kind)


def _parse(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidArgument(f"The request is no {kind.__name__}: {error}") from error


def _answer_control(kind: Any, answer: Callable[[Any], Any], body: bytes) -> bytes:
    serialized: bytes = answer(_parse(kind, body)).SerializeToString()
    return serialized


def _prepare_request(
    method: str, kind: Any, handler: Callable[[Acquire, Any], PreparedRequest], models: Models, body: bytes
) -> PreparedRequest:
    prepared = handler(partial(models.acquire, body=body), _parse(kind, body))
    prepared.log = lambda metadata, _, answer: records.from_wire(metadata, method, body, answer)
    return prepared


def _prepare_predict(tensor_content: bool, acquire: Acquire, request: Any) -> PreparedRequest:
    lease = acquire(read_model_spec(request))
    try:
        signature = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
        predict.check_names(lease.model, signature, request.inputs)  # before anything large is made of a few bytes
        inputs = {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}
        fetch, names = predict.prepare(lease.model, signature, inputs, list(request.output_filter))
    except BaseException as error:
        lease.refuse(error)
        raise
    encode = partial(_encode_prediction, lease, signature, names, tensor_content)
    return PreparedRequest(lease, signature, fetch, encode)


def _encode_prediction(
    lease: ServableHandle, signature: str, names: list[str], tensor_content: bool, values: Values
) -> bytes:
    response = protos.load("apis.predict_pb2").PredictResponse()
    fill_model_spec(response.model_spec, lease.name, signature, lease.servable.version)
    for name, array in zip(names, values, strict=True):
        tensor_proto.encode(array, response.outputs[name], as_content=tensor_content)
    serialized: bytes = response.SerializeToString()
    return serialized


def prepare_classify(check_method: bool, acquire: Acquire, request: Any) -> PreparedRequest:
    """Prepares the run of a `ClassificationRequest`."""
    return _prepare_task(acquire, request, classify_regress.CLASSIFY, check_method=check_method)


def prepare_regress(check_method: bool, acquire: Acquire, request: Any) -> PreparedRequest:
    """Prepares the run of a `RegressionRequest`."""
    return _prepare_task(acquire, request, classify_regress.REGRESS, check_method=check_method)


def _prepare_task(acquire: Acquire, request: Any, method: str, *, check_method: bool) -> PreparedRequest:
    lease = acquire(read_model_spec(request))
    try:
        task = classify_regress.check(lease.model, method, request.model_spec.signature_name, check_method=check_method)
        examples = classify_regress.examples(request.input)
        fetch = classify_regress.prepare([task], examples)
    except BaseException as error:
        lease.refuse(error)
        raise
    encode = partial(_encode_result, lease, task, fetch, len(examples))
    return PreparedRequest(lease, task.signature, fetch, encode, len(examples))


def _encode_result(
    lease: ServableHandle, task: classify_regress.SignatureTask, fetch: RunArgs, count: int, values: Values
) -> bytes:
    if task.method == classify_regress.REGRESS:
        response = protos.load("apis.regression_pb2").RegressionResponse()
    else:
        response = protos.load("apis.classification_pb2").ClassificationResponse()
    [outputs] = classify_regress.outputs([task], fetch, values)
    response.result.SetInParent()
    _fill_result(response.result, task, outputs, count)
    fill_model_spec(response.model_spec, lease.name, task.signature, lease.servable.version)
    serialized: bytes = response.SerializeToString()
    return serialized


def _fill_result(
    result: Any, task: classify_regress.SignatureTask, outputs: classify_regress.Outputs, count: int
) -> None:
    if task.method == classify_regress.REGRESS:
        for value in classify_regress.values(outputs, count).tolist():
            result.regressions.add(value=value)
        return
    for row in classify_regress.classes(outputs, count):
        classes = result.classifications.add().classes
        for label, score in row:
            classes.add(label=label, score=score)


def prepare_multi_inference(acquire: Acquire, request: Any) -> PreparedRequest:
    """Prepares a `MultiInferenceRequest`: several tasks of one model over the same examples, in one run."""
    first = model_spec_from_message(request.tasks[0].model_spec) if request.tasks else ModelSpec("")
    lease = acquire(first)
    try:
        tasks = classify_regress.tasks(lease.model, request)
        examples = classify_regress.examples(request.input)
        fetch = classify_regress.prepare(tasks, examples)
    except BaseException as error:
        lease.refuse(error)
        raise
    encode = partial(_encode_results, lease, tasks, fetch, len(examples))
    return PreparedRequest(lease, tasks[0].signature, fetch, encode, len(examples))


def _encode_results(
    lease: ServableHandle, tasks: list[classify_regress.SignatureTask], fetch: RunArgs, count: int, values: Values
) -> bytes:
    response = protos.load("apis.inference_pb2").MultiInferenceResponse()
    for task, outputs in zip(tasks, classify_regress.outputs(tasks, fetch, values), strict=True):
        result = response.results.add()
        fill_model_spec(result.model_spec, lease.name, task.signature, lease.servable.version)
        part = result.regression_result if task.method == classify_regress.REGRESS else result.classification_result
        part.SetInParent()
        _fill_result(part, task, outputs, count)
    serialized: bytes = response.SerializeToString()
    return serialized


def read_model_spec(request: Any) -> ModelSpec:
    """Returns the requested model.

    Raises:
        InvalidArgument: `Missing ModelSpec`.
    """
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    return model_spec_from_message(request.model_spec)


def model_spec_from_message(message: Any) -> ModelSpec:
    """A ModelSpec as the core's own."""
    choice = message.WhichOneof("version_choice")
    return ModelSpec(
        message.name,
        message.version.value if choice == "version" else None,
        message.version_label if choice == "version_label" else None,
    )


def fill_model_spec(message: Any, name: str, signature: str, version: int) -> None:
    """Say which version answered; never by its label."""
    message.name = name
    message.signature_name = signature
    message.version.value = version
