"""Classify, Regress and MultiInference over gRPC."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serving.core import infer
from serving.core.inference import Question
from serving.core.models import Spec
from serving.rpc import spec
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.core.servable import Lease
    from serving.core.work import Fetch, Values

    Acquire = Callable[[Spec], Lease]


def classify(check_method: bool, acquire: Acquire, request: Any) -> Question:
    """What a `ClassificationRequest` asks."""
    return _one(acquire, request, infer.CLASSIFY, check_method=check_method)


def regress(check_method: bool, acquire: Acquire, request: Any) -> Question:
    """What a `RegressionRequest` asks."""
    return _one(acquire, request, infer.REGRESS, check_method=check_method)


def _one(acquire: Acquire, request: Any, method: str, *, check_method: bool) -> Question:
    lease = acquire(spec.of(request))
    try:
        task = infer.check(lease.model, method, request.model_spec.signature_name, check_method=check_method)
        examples = infer.examples(request.input)
        fetch = infer.prepare([task], examples)
    except BaseException as error:
        lease.refuse(error)
        raise
    word = partial(_result, lease, task, fetch, len(examples))
    return Question(lease, task.signature, fetch, word, len(examples))


def _result(lease: Lease, task: infer.Task, fetch: Fetch, count: int, values: Values) -> bytes:
    if task.method == infer.REGRESS:
        response = protos.load("apis.regression_pb2").RegressionResponse()
    else:
        response = protos.load("apis.classification_pb2").ClassificationResponse()
    [outputs] = infer.outputs([task], fetch, values)
    response.result.SetInParent()
    _fill(response.result, task, outputs, count)
    spec.fill(response.model_spec, lease.name, task.signature, lease.servable.version)
    told: bytes = response.SerializeToString()
    return told


def _fill(result: Any, task: infer.Task, outputs: infer.Outputs, count: int) -> None:
    if task.method == infer.REGRESS:
        for value in infer.values(outputs, count).tolist():
            result.regressions.add(value=value)
        return
    for row in infer.classes(outputs, count):
        classes = result.classifications.add().classes
        for label, score in row:
            classes.add(label=label, score=score)


def multi(acquire: Acquire, request: Any) -> Question:
    """What a `MultiInferenceRequest` asks: several tasks of one model over the same examples, in one run."""
    first = spec.of_message(request.tasks[0].model_spec) if request.tasks else Spec("")
    lease = acquire(first)
    try:
        tasks = infer.tasks(lease.model, request)
        examples = infer.examples(request.input)
        fetch = infer.prepare(tasks, examples)
    except BaseException as error:
        lease.refuse(error)
        raise
    word = partial(_results, lease, tasks, fetch, len(examples))
    return Question(lease, tasks[0].signature, fetch, word, len(examples))


def _results(lease: Lease, tasks: list[infer.Task], fetch: Fetch, count: int, values: Values) -> bytes:
    response = protos.load("apis.inference_pb2").MultiInferenceResponse()
    for task, outputs in zip(tasks, infer.outputs(tasks, fetch, values), strict=True):
        result = response.results.add()
        spec.fill(result.model_spec, lease.name, task.signature, lease.servable.version)
        part = result.regression_result if task.method == infer.REGRESS else result.classification_result
        part.SetInParent()
        _fill(part, task, outputs, count)
    told: bytes = response.SerializeToString()
    return told
