"""Classify and regress: signatures that take serialized `tf.train.Example`s.

A task is checked before the graph runs (`check`), its result after (`classes`, `values`), so that several tasks over
the same examples share one run (MultiInference).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core.predict import DEFAULT_SIGNATURE
from serving.core.work import Graph, RunArgs
from serving.errors import InvalidArgument, Unimplemented
from serving.wire import dtypes
from serving.wire.strings import Tensor, as_array

if TYPE_CHECKING:
    from serving.core.signature import Signature

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
_INPUTS = "inputs"
_ROWS = 1 << 10  # that are made in one step
_MATRIX = 2  # dimensions: examples, classes
_OUTPUTS = {CLASSIFY: ("classes", "scores"), REGRESS: ("outputs",)}
Outputs = Mapping[str, Tensor]
Classes = Iterator[list[tuple[bytes, float]]]


@dataclass(frozen=True)
class SignatureTask:
    """One classify or regress task, checked against its signature.

    Attributes:
        method: `CLASSIFY` or `REGRESS`.
        signature: Key of the signature.
        feed: Name of the tensor that takes the examples.
        fetches: Names of the result tensors by output name.
    """

    method: str
    signature: str
    feed: str
    fetches: dict[str, str]


def examples(message: Any) -> np.ndarray:
    """The serialized examples of a `tensorflow.serving.Input`: (examples,) objects of bytes.

    With a context, each is the context's bytes and its own: protobuf merges them, the example's features win.

    Raises:
        InvalidArgument: `Input is empty.`
    """
    shared = message.WhichOneof("kind") == "example_list_with_context"
    group = message.example_list_with_context if shared else message.example_list
    context = group.context.SerializeToString() if shared else b""
    serialized = [context + example.SerializeToString() for example in group.examples]
    if not serialized:
        raise InvalidArgument("Input is empty.")
    array = np.empty(len(serialized), dtype=object)
    array[:] = serialized
    return array


def check(model: Graph, method: str, signature_name: str, *, check_method: bool = False) -> SignatureTask:
    """The task that a signature can do.

    Args:
        model: The loaded version.
        method: `CLASSIFY` or `REGRESS`.
        signature_name: Key of the signature; empty for `serving_default`.
        check_method: Whether the signature must have been exported for the method.

    Raises:
        InvalidArgument: No such signature, or not of the form that the method needs.
    """
    name = signature_name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise InvalidArgument(f"No signature was found with the name: {name}")
    signature = model.signatures[name]
    if check_method and signature.method != method:
        kind = "classification" if method == CLASSIFY else "regression"
        raise InvalidArgument(f"Expected {kind} signature method_name to be {method}. Was: {signature.method}")
    return task(signature, method)


def task(signature: Signature, method: str) -> SignatureTask:
    """The task of one signature.

    Raises:
        InvalidArgument: It is not of the form that the method needs.
        Unimplemented: Another method.
    """
    if method not in _OUTPUTS:
        raise Unimplemented(f"Unsupported signature method_name: {method}")
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    fetches = {name: signature.outputs[name].tensor for name in _OUTPUTS[method] if name in signature.outputs}
    _check_form(signature, method, fetches)
    return SignatureTask(method, signature.name, signature.inputs[_INPUTS].tensor, fetches)


def tasks(model: Graph, request: Any) -> list[SignatureTask]:
    """The tasks of a `MultiInferenceRequest`.

    Raises:
        InvalidArgument: Several models, a signature twice, or one that is not there.
        Unimplemented: A task that neither classifies nor regresses.
    """
    result: list[SignatureTask] = []
    for message in request.tasks:
        if message.model_spec.name != request.tasks[0].model_spec.name:
            raise InvalidArgument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = message.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in {known.signature for known in result}:
            raise InvalidArgument(f"Duplicate evaluation of signature: {name}")
        if name not in model.signatures:
            raise InvalidArgument(f"Requested signature not found in model graph: {name}")
        result.append(task(model.signatures[name], message.method_name))
    return result


def _check_form(signature: Signature, method: str, fetches: Mapping[str, str]) -> None:
    count = len(signature.outputs)
    if method == CLASSIFY and count not in {1, 2}:
        raise InvalidArgument(f"Expected one or two output Tensors, found {count}")
    if method == REGRESS and count != 1:
        raise InvalidArgument("Expected one output Tensor.")
    kind = "classification" if method == CLASSIFY else "regression"
    if _INPUTS not in signature.inputs:
        raise InvalidArgument(f"No {kind} inputs found in SignatureDef: ")
    if not fetches and method == CLASSIFY:
        raise InvalidArgument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: "
        )
    if not fetches:
        raise InvalidArgument("No regression outputs found in SignatureDef: ")


def run(model: Graph, tasks: Sequence[SignatureTask], serialized: Tensor) -> list[Outputs]:
    """The outputs of each task, all from one run of the graph.

    Raises:
        ServingError: The graph failed; the code is TensorFlow's.
    """
    fetch = prepare(tasks, serialized)
    return outputs(tasks, fetch, model.run(fetch))


def prepare(tasks: Sequence[SignatureTask], serialized: Tensor) -> RunArgs:
    """One question to the graph for all tasks: the examples, (examples,) strings, to each feed."""
    feeds = tuple(sorted({entry.feed for entry in tasks}))
    fetches = tuple(sorted({tensor for entry in tasks for tensor in entry.fetches.values()}))
    return RunArgs(feeds, fetches, [serialized] * len(feeds))


def outputs(tasks: Sequence[SignatureTask], fetch: RunArgs, values: Sequence[Tensor]) -> list[Outputs]:
    """The outputs of each task by name, from what the graph gave."""
    arrays = dict(zip(fetch.fetches, values, strict=True))
    return [{name: arrays[tensor] for name, tensor in entry.fetches.items()} for entry in tasks]


def classes(outputs: Outputs, count: int) -> Classes:
    """Labels and scores of each of `count` examples; label "" or score 0 where the signature has none.

    Args:
        outputs: `classes` (count, k) strings and/or `scores` (count, k) float32.
        count: Number of examples in the request.

    Raises:
        InvalidArgument: The tensors have other types or shapes.
    """
    for name, wanted in (("classes", "string"), ("scores", "float")):
        if name in outputs:
            _check_matrix(name, wanted, outputs[name], count)
    labels, scores = outputs.get("classes"), outputs.get("scores")
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise InvalidArgument(
            f"Tensors class and score should match in dimensions 1. Got {labels.shape[1]} vs. {scores.shape[1]}"
        )
    return _rows_of_classes(labels, scores, count)


def _rows_of_classes(labels: Tensor | None, scores: Tensor | None, count: int) -> Classes:
    """The rows, of which few are in memory at a time."""
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        some = [as_array(each[rows]) for each in (labels, scores) if each is not None]
        columns = [
            np.full(some[0].shape, b"", dtype=object) if labels is None else some[0],
            np.zeros(some[0].shape, dtype=np.float32) if scores is None else some[-1],
        ]
        for row in zip(*(column.tolist() for column in columns), strict=True):
            yield list(zip(*row, strict=True))


def _check_matrix(name: str, wanted: str, array: Tensor, count: int) -> None:
    given = dtypes.from_array(array).name
    if array.ndim != _MATRIX:
        raise InvalidArgument(f"Expected Tensor shape: [batch_size num_classes] but got {_brackets(array)}")
    if given != wanted:
        raise InvalidArgument(f"Expected {name} Tensor of DT_{wanted.upper()}. Got: DT_{given.upper()}")
    if array.shape[0] != count:
        raise InvalidArgument(f"Expected {name} output batch size of {count}. Got: {array.shape[0]}")


def values(outputs: Outputs, count: int) -> np.ndarray:
    """One number per example.

    Args:
        outputs: `outputs` (count,) or (count, 1) float32.
        count: Number of examples in the request.

    Returns:
        (count,) float32.

    Raises:
        InvalidArgument: The tensor has another type or shape.
    """
    array = outputs["outputs"]
    if array.ndim != 1 and not (array.ndim == _MATRIX and array.shape[1] == 1):
        raise InvalidArgument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got " + _brackets(array)
        )
    if array.shape[0] != count:
        raise InvalidArgument(f"Input batch size did not match output batch size: {count} vs. {array.shape[0]}")
    given = dtypes.from_array(array).name
    if given != "float":
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: DT_{given.upper()}")
    return as_array(array).reshape(-1)


def _brackets(array: Tensor) -> str:
    return f"[{','.join(map(str, array.shape))}]"
