"""gRPC requests to answers: messages in, messages out; knows no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serving.core import describe, predict
from serving.core.models import Models, Spec
from serving.errors import InvalidArgument
from serving.wire import protos, tensor_proto


def methods(models: Models) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
    """Request type and handler of every method that is served, by its full path."""
    service = _Service(models)
    prediction, model = "/tensorflow.serving.PredictionService", "/tensorflow.serving.ModelService"
    return {
        f"{prediction}/Predict": (protos.load("apis.predict_pb2").PredictRequest, service.predict),
        f"{prediction}/GetModelMetadata": (
            protos.load("apis.get_model_metadata_pb2").GetModelMetadataRequest,
            service.metadata,
        ),
        f"{model}/GetModelStatus": (protos.load("apis.get_model_status_pb2").GetModelStatusRequest, service.status),
    }


class _Service:
    def __init__(self, models: Models) -> None:
        self._models = models
        self._predict_response = protos.load("apis.predict_pb2").PredictResponse

    def predict(self, request: Any) -> Any:
        with self._models.lease(spec(request)) as (servable, model):
            inputs = {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}
            signature = request.model_spec.signature_name or predict.DEFAULT
            outputs = predict.run(model, signature, inputs, list(request.output_filter))
        response = self._predict_response()
        fill_spec(response.model_spec, servable.name, signature, servable.version)
        for name, array in outputs.items():
            tensor_proto.encode(array, response.outputs[name])
        return response

    def metadata(self, request: Any) -> Any:
        return describe.metadata(self._models, spec(request), request.metadata_field)

    def status(self, request: Any) -> Any:
        return describe.status(self._models, spec(request))


def spec(request: Any) -> Spec:
    """The model that a request asks for.

    Raises:
        InvalidArgument: `Missing ModelSpec`.
    """
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    return spec_of(request.model_spec)


def spec_of(message: Any) -> Spec:
    """A `tensorflow.serving.ModelSpec` as the core's own."""
    choice = message.WhichOneof("version_choice")
    return Spec(
        message.name,
        message.version.value if choice == "version" else None,
        message.version_label if choice == "version_label" else None,
    )


def fill_spec(message: Any, name: str, signature: str, version: int) -> None:
    """Say which version answered; never by its label."""
    message.name = name
    message.signature_name = signature
    message.version.value = version
