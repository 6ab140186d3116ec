"""gRPC methods to their handlers: messages in, messages out; knows no sockets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serving.core import describe, predict
from serving.rpc import inference, spec
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.core.models import Models


def methods(models: Models) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
    """Request type and handler of every method that is served, by its full path."""
    table: dict[str, tuple[str, str, Callable[[Models, Any], Any]]] = {
        "PredictionService/Predict": ("predict", "PredictRequest", _predict),
        "PredictionService/Classify": ("classification", "ClassificationRequest", inference.classify),
        "PredictionService/Regress": ("regression", "RegressionRequest", inference.regress),
        "PredictionService/MultiInference": ("inference", "MultiInferenceRequest", inference.multi),
        "PredictionService/GetModelMetadata": ("get_model_metadata", "GetModelMetadataRequest", _metadata),
        "ModelService/GetModelStatus": ("get_model_status", "GetModelStatusRequest", _status),
    }
    return {
        f"/tensorflow.serving.{path}": (
            getattr(protos.load(f"apis.{module}_pb2"), kind),
            partial(handler, models),
        )
        for path, (module, kind, handler) in table.items()
    }


def _predict(models: Models, request: Any) -> Any:
    signature = request.model_spec.signature_name or predict.DEFAULT
    with models.lease(spec.of(request)) as (servable, model):
        inputs = {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}
        outputs = predict.run(model, signature, inputs, list(request.output_filter))
    response = protos.load("apis.predict_pb2").PredictResponse()
    spec.fill(response.model_spec, servable.name, signature, servable.version)
    for name, array in outputs.items():
        tensor_proto.encode(array, response.outputs[name])
    return response


def _metadata(models: Models, request: Any) -> Any:
    return describe.metadata(models, spec.of(request), request.metadata_field)


def _status(models: Models, request: Any) -> Any:
    return describe.status(models, spec.of(request))
