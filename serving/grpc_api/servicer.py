"""The methods of PredictionService and ModelService: from a request's bytes to what to run, or to the answer.

`predict_methods` prepare a run of a model, `control_methods` answer at once. No sockets here.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from serving.core import classify_regress, predict
from serving.core.classify_regress import CLASSIFY, REGRESS
from serving.core.handler import PreparedRequest
from serving.core.metadata import metadata_response, status_response
from serving.core.models import ModelSpec
from serving.core.signature import check_reserved
from serving.errors import InvalidArgument
from serving.grpc_api.contents import Contents, contents_of, distant_contents, is_heavy, parse
from serving.request_log import records
from serving.wire import protos, tensor_proto
from serving.wire.proto_fields import delimited
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serving.core.handler import SlowRead
    from serving.core.models import Models
    from serving.core.reader_process import ReaderProcess
    from serving.core.servable import ServableHandle
    from serving.core.work import RunArgs, Values

    Acquire = Callable[[ModelSpec], ServableHandle]


_PREFIX = "/tensorflow.serving."
_ROWS = 1 << 10  # of a result that are written in one step
# Numbers of fields: of PredictResponse and the entries of its map, of the other responses, and of InferenceResult.
_OUTPUTS, _KEY, _VALUE = 1, 1, 2
_RESULT, _RESULTS = 1, 1
_CLASSIFICATION, _REGRESSION = 2, 3


def predict_methods(
    models: Models, *, tensor_content: bool = False, check_methods: bool = False, process: ReaderProcess | None = None
) -> dict[str, Callable[[bytes], PreparedRequest | SlowRead]]:
    """What reads the requests that run a model, by the method's path.

    Args:
        models: What is served.
        tensor_content: Whether answers carry tensors as `tensor_content`.
        check_methods: Whether classify and regress need the signature's method name to fit.
        process: Reads what is large; None to read all in threads.
    """
    classify, regress = (partial(_prepare_task, check_methods, each) for each in (CLASSIFY, REGRESS))
    methods = [
        PredictMethod("Predict", "apis.predict_pb2.PredictRequest", partial(_prepare_predict, tensor_content)),
        PredictMethod("Classify", "apis.classification_pb2.ClassificationRequest", classify),
        PredictMethod("Regress", "apis.regression_pb2.RegressionRequest", regress),
        PredictMethod("MultiInference", "apis.inference_pb2.MultiInferenceRequest", _prepare_multi_inference),
    ]
    return {
        f"{_PREFIX}PredictionService/{method.name}": partial(_read_request, method, models, process)
        for method in methods
    }


@dataclass(frozen=True)
class PredictMethod:
    """A method that runs a model.

    Attributes:
        name: Of the method.
        kind: Module and name of its message.
        prepare: From the message and what it carries to what to run.
    """

    name: str
    kind: str
    prepare: Callable[[Acquire, Any, Contents], PreparedRequest]


def _read_request(
    method: PredictMethod, models: Models, process: ReaderProcess | None, body: bytes
) -> PreparedRequest | SlowRead:
    if process and is_heavy(method.kind, body):
        return partial(_read_in_process, method, models, process, body)
    request = parse(method.kind, body)
    return _prepare_request(method, models, body, request, contents_of(request))


def _read_in_process(
    method: PredictMethod, models: Models, process: ReaderProcess, body: bytes, deadline: float
) -> PreparedRequest:
    light, contents = distant_contents(process, method.kind, body, deadline)
    return _prepare_request(method, models, body, parse(method.kind, light), contents)


def _prepare_request(
    method: PredictMethod, models: Models, body: bytes, request: Any, contents: Contents
) -> PreparedRequest:
    prepared = method.prepare(partial(models.acquire, body=body), request, contents)
    prepared.log = lambda metadata, _, answer: records.from_wire(metadata, method.name, body, answer)
    return prepared


def control_methods(models: Models, reload: Callable[[Any], Any]) -> dict[str, Callable[[bytes], bytes]]:
    """What answers the other requests, by the method's path.

    Args:
        models: What is served.
        reload: From a `ReloadConfigRequest` to a `ReloadConfigResponse`.
    """
    metadata = "apis.get_model_metadata_pb2.GetModelMetadataRequest"
    status = "apis.get_model_status_pb2.GetModelStatusRequest"
    config = "apis.model_management_pb2.ReloadConfigRequest"
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


def _answer_control(kind: str, answer: Callable[[Any], Any], body: bytes) -> bytes:
    serialized: bytes = answer(parse(kind, body)).SerializeToString()
    return serialized


def _prepare_predict(tensor_content: bool, acquire: Acquire, request: Any, contents: Contents) -> PreparedRequest:
    lease = acquire(read_model_spec(request))
    try:
        signature = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
        check_reserved(lease.model.reserved, signature)
        predict.check_names(lease.model, signature, contents.names)  # before anything large is made of a few bytes
        fetch, names = predict.prepare(lease.model, signature, contents.arrays(), list(request.output_filter))
    except BaseException as error:
        lease.refuse(error)
        raise
    encode = partial(_encode_prediction, lease, signature, names, tensor_content)
    return PreparedRequest(lease, signature, fetch, encode)


def _encode_prediction(
    lease: ServableHandle, signature: str, names: list[str], tensor_content: bool, values: Values
) -> bytes:
    message = protos.load("apis.predict_pb2").PredictResponse
    response, many = message(), []
    fill_model_spec(response.model_spec, lease.name, signature, lease.servable.version)
    for name, tensor in zip(names, values, strict=True):
        if isinstance(tensor, Strings):
            content = tensor_proto.serialize(tensor, message().outputs[name])
            many.append(delimited(_OUTPUTS, delimited(_KEY, name.encode()) + delimited(_VALUE, content)))
        else:
            tensor_proto.encode(tensor, response.outputs[name], as_content=tensor_content)
    return b"".join([*many, response.SerializeToString()])


def _prepare_task(
    check_method: bool, method: str, acquire: Acquire, request: Any, contents: Contents
) -> PreparedRequest:
    lease = acquire(read_model_spec(request))
    try:
        task = classify_regress.check(lease.model, method, request.model_spec.signature_name, check_method=check_method)
        examples = contents.examples()
        fetch = classify_regress.prepare([task], examples)
    except BaseException as error:
        lease.refuse(error)
        raise
    encode = partial(_encode_result, lease, task, fetch, len(examples))
    return PreparedRequest(lease, task.signature, fetch, encode, len(examples))


def _encode_result(
    lease: ServableHandle, task: classify_regress.SignatureTask, fetch: RunArgs, count: int, values: Values
) -> bytes:
    if task.method == REGRESS:
        response = protos.load("apis.regression_pb2").RegressionResponse()
    else:
        response = protos.load("apis.classification_pb2").ClassificationResponse()
    [outputs] = classify_regress.outputs([task], fetch, values)
    fill_model_spec(response.model_spec, lease.name, task.signature, lease.servable.version)
    return delimited(_RESULT, _serialize_result(task, outputs, count)) + response.SerializeToString()


def _serialize_result(task: classify_regress.SignatureTask, outputs: classify_regress.Outputs, count: int) -> bytes:
    """A ClassificationResult or RegressionResult, some rows at a time: others may come between."""
    if task.method == REGRESS:
        values = classify_regress.values(outputs, count)
        parts: Iterator[bytes] = (_serialize_values(values[at : at + _ROWS].tolist()) for at in range(0, count, _ROWS))
    else:
        rows = classify_regress.classes(outputs, count)
        parts = map(_serialize_classes, iter(lambda: list(itertools.islice(rows, _ROWS)), []))
    return b"".join(parts)


def _serialize_values(values: list[float]) -> bytes:
    result = protos.load("apis.regression_pb2").RegressionResult()
    for value in values:
        result.regressions.add(value=value)
    return bytes(result.SerializeToString())


def _serialize_classes(rows: list[list[tuple[bytes, float]]]) -> bytes:
    result = protos.load("apis.classification_pb2").ClassificationResult()
    for row in rows:
        classes = result.classifications.add().classes
        for label, score in row:
            classes.add(label=label, score=score)
    return bytes(result.SerializeToString())


def _prepare_multi_inference(acquire: Acquire, request: Any, contents: Contents) -> PreparedRequest:
    """Prepares a `MultiInferenceRequest`: several tasks of one model over the same examples, in one run."""
    first = model_spec_from_message(request.tasks[0].model_spec) if request.tasks else ModelSpec("")
    lease = acquire(first)
    try:
        tasks = classify_regress.tasks(lease.model, request)
        examples = contents.examples()
        fetch = classify_regress.prepare(tasks, examples)
    except BaseException as error:
        lease.refuse(error)
        raise
    encode = partial(_encode_results, lease, tasks, fetch, len(examples))
    return PreparedRequest(lease, tasks[0].signature, fetch, encode, len(examples))


def _encode_results(
    lease: ServableHandle, tasks: list[classify_regress.SignatureTask], fetch: RunArgs, count: int, values: Values
) -> bytes:
    parts = []
    for task, outputs in zip(tasks, classify_regress.outputs(tasks, fetch, values), strict=True):
        result = protos.load("apis.inference_pb2").InferenceResult()
        fill_model_spec(result.model_spec, lease.name, task.signature, lease.servable.version)
        number = _REGRESSION if task.method == REGRESS else _CLASSIFICATION
        content = delimited(number, _serialize_result(task, outputs, count))
        parts.append(delimited(_RESULTS, result.SerializeToString() + content))
    return b"".join(parts)


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
