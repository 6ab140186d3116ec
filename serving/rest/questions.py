"""From a REST request that runs a model to what to run, and from what the graph gave to the answer's JSON."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import infer, predict
from serving.core.inference import Question
from serving.errors import InvalidArgument, ServingError
from serving.requestlog import prediction
from serving.wire import dtype as dtypes
from serving.wire import example_json, json_document, json_text, number_rows, predictions, tensor_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.core.models import Models
    from serving.core.servable import Lease
    from serving.core.signature import Signature
    from serving.core.work import Answered, Fetch, Values
    from serving.rest.message import Request
    from serving.rest.route import Route
    from serving.wire.dtype import Dtype

_MAX_INFLATED = 100 * 2**20  # bytes; upstream's limit
_HALF = frozenset({"half", "bfloat16"})


class Questions:
    """Reads the requests that run a model.

    Args:
        models: What is served.
        request_bytes: Size of an inflated request at most; None for upstream's 100 MiB.
        half: Whether half and bfloat16 travel as JSON numbers; tensorflow/serving refuses them.
        check_methods: Whether classify and regress need the signature's method name to fit.
    """

    def __init__(
        self, models: Models, request_bytes: int | None = None, *, half: bool = False, check_methods: bool = False
    ) -> None:
        self._models, self._half, self._check_methods = models, half, check_methods
        self._request_bytes = _MAX_INFLATED if request_bytes is None else min(request_bytes, _MAX_INFLATED)

    def read(self, found: Route, request: Request) -> Question:
        """What a request asks.

        Raises:
            ServingError: It cannot be read, or asks for what is not there.
        """
        body = _inflated(request, self._request_bytes)
        return self.rows(found, body) or self._document(found, body)

    def rows(self, found: Route, body: bytes) -> Question | None:
        """What a predict request of many numbers asks; None where it is another one, or anything is wrong with it."""
        name = number_rows.signature_name(body) if found.action == "predict" else None
        if name is None:
            return None
        try:
            lease = self._models.acquire(found.spec, body)
        except ServingError:  # what is wrong with the body would come first
            return None
        try:
            question = _rows(lease, name, body, half=self._half)
        except BaseException as error:
            lease.refuse(error)
            raise
        if question is None:
            lease.release()
        return question

    def _document(self, found: Route, body: bytes) -> Question:
        document = _document(body)
        name = _signature_name(document)
        if found.action == "predict":
            return self._predict(self._models.acquire(found.spec, body), name, document)
        given = example_json.from_body(document)
        method = infer.CLASSIFY if found.action == "classify" else infer.REGRESS
        return self._infer(self._models.acquire(found.spec, body), method, name, given)

    def _predict(self, lease: Lease, name: str, document: dict[str, Any]) -> Question:
        try:
            return _prediction(lease, name, document, half=self._half)
        except BaseException as error:
            lease.refuse(error)
            raise

    def _infer(self, lease: Lease, method: str, name: str, given: Any) -> Question:
        try:
            task = infer.check(lease.model, method, name, check_method=self._check_methods)
            examples = infer.examples(given)
            fetch = infer.prepare([task], examples)
        except BaseException as error:
            lease.refuse(error)
            raise
        word = partial(_results, task, fetch, len(examples))
        log = partial(_inference_log, task, fetch, given, len(examples))
        return Question(lease, task.signature, fetch, word, len(examples), log)


def _prediction(lease: Lease, name: str, document: dict[str, Any], *, half: bool) -> Question:
    signature = lease.model.signatures.get(name or predict.DEFAULT)
    if signature is None:
        raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
    if not signature.inputs:
        raise InvalidArgument(f"Failed to get input map for signature: {name}")
    inputs, by_row = _tensors(document, signature.dtypes, half=half)
    return _question(lease, signature, inputs, by_row=by_row, half=half)


def _rows(lease: Lease, name: str, body: bytes, *, half: bool) -> Question | None:
    signature = lease.model.signatures.get(name or predict.DEFAULT)
    if signature is None or len(signature.inputs) != 1:
        return None
    [(alias, dtype)] = signature.dtypes.items()
    array = number_rows.tensor(body, dtype)
    return None if array is None else _question(lease, signature, {alias: array}, by_row=True, half=half)


def _question(
    lease: Lease, signature: Signature, inputs: dict[str, np.ndarray], *, by_row: bool, half: bool
) -> Question:
    fetch, names = predict.prepare(lease.model, signature.name, inputs)

    def word(values: Values) -> bytes:
        outputs = dict(zip(names, map(_wide, values) if half else values, strict=True))
        return predictions.in_rows(outputs) if by_row else predictions.in_columns(outputs)

    def log(answered: Answered, values: Values, _: bytes) -> Any:
        return prediction.predict(answered, inputs, dict(zip(names, values, strict=True)))

    return Question(lease, signature.name, fetch, word, log=log)


def _tensors(
    document: dict[str, Any], wanted: Mapping[str, Dtype], *, half: bool
) -> tuple[dict[str, np.ndarray], bool]:
    """Inputs by name, and whether the answer is to be in rows; narrow floats are read as float32 and rounded."""
    narrow = [name for name, dtype in wanted.items() if dtype.name in _HALF] if half else []
    if not narrow:
        return tensor_json.from_body(document, wanted)
    arrays, by_row = tensor_json.from_body(document, {**wanted, **dict.fromkeys(narrow, dtypes.FLOAT)})
    with np.errstate(over="ignore"):
        return {**arrays, **{name: arrays[name].astype(wanted[name].numpy) for name in narrow}}, by_row


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if dtypes.of_array(array).name in _HALF else array


def _inference_log(
    task: infer.Task, fetch: Fetch, given: Any, count: int, answered: Answered, values: Values, _: bytes
) -> Any:
    [outputs] = infer.outputs([task], fetch, values)
    if task.method == infer.CLASSIFY:
        return prediction.classify(answered, given, infer.classes(outputs, count))
    return prediction.regress(answered, given, infer.values(outputs, count))


def _results(task: infer.Task, fetch: Fetch, count: int, values: Values) -> bytes:
    [outputs] = infer.outputs([task], fetch, values)
    if task.method == infer.CLASSIFY:
        return example_json.classes(infer.classes(outputs, count))
    return example_json.values(infer.values(outputs, count))


def _document(body: bytes) -> dict[str, Any]:
    document = json_document.loads(body)
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {json_text.debug(document)} Is not object")
    return document


def _inflated(request: Request, limit: int) -> bytes:
    """The body without its compression; empty where that fails or grows beyond the limit, as upstream."""
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return request.body
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(request.body, limit)
    except zlib.error:
        return b""
    return body if inflate.eof else b""


def _signature_name(document: dict[str, Any]) -> str:
    name = document.get("signature_name", predict.DEFAULT)
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {json_text.debug(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name
