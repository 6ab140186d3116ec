"""Classify, Regress and MultiInference over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.core import infer
from serving.core.models import Spec
from serving.rpc import spec
from serving.wire import protos

if TYPE_CHECKING:
    from serving.core.models import Models


def classify(models: Models, request: Any) -> Any:
    """A `ClassificationResponse`."""
    response = protos.load("apis.classification_pb2").ClassificationResponse()
    _one(models, request, infer.CLASSIFY, response)
    return response


def regress(models: Models, request: Any) -> Any:
    """A `RegressionResponse`."""
    response = protos.load("apis.regression_pb2").RegressionResponse()
    _one(models, request, infer.REGRESS, response)
    return response


def _one(models: Models, request: Any, method: str, response: Any) -> None:
    with models.lease(spec.of(request)) as (servable, model):
        task = infer.check(model, method, request.model_spec.signature_name)
        examples = infer.examples(request.input)
        [outputs] = infer.run(model, [task], examples)
    _fill(response.result, task, outputs, len(examples))
    spec.fill(response.model_spec, servable.name, task.signature, servable.version)


def _fill(result: Any, task: infer.Task, outputs: infer.Outputs, count: int) -> None:
    if task.method == infer.REGRESS:
        for value in infer.values(outputs, count).tolist():
            result.regressions.add(value=value)
        return
    for row in infer.classes(outputs, count):
        classes = result.classifications.add().classes
        for label, score in row:
            classes.add(label=label, score=score)


def multi(models: Models, request: Any) -> Any:
    """A `MultiInferenceResponse`: several tasks of one model over the same examples, in one run."""
    first = spec.of_message(request.tasks[0].model_spec) if request.tasks else Spec("")
    response = protos.load("apis.inference_pb2").MultiInferenceResponse()
    with models.lease(first) as (servable, model):
        tasks = infer.tasks(model, request)
        examples = infer.examples(request.input)
        found = infer.run(model, tasks, examples)
    for task, outputs in zip(tasks, found, strict=True):
        result = response.results.add()
        spec.fill(result.model_spec, servable.name, task.signature, servable.version)
        part = result.regression_result if task.method == infer.REGRESS else result.classification_result
        part.SetInParent()
        _fill(part, task, outputs, len(examples))
    return response
