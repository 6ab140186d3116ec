"""The bodies of the REST requests that run a model."""

from __future__ import annotations

import math
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import classify_regress, predict
from serving.core.handler import PreparedRequest
from serving.core.work import MemoryBudget
from serving.errors import InvalidArgument, ServingError
from serving.request_log import records
from serving.wire import dtypes, json_answers, json_long, json_parser, json_tensors, json_writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.core.models import Models
    from serving.core.servable import ServableHandle
    from serving.core.signature import Signature
    from serving.core.work import LogMetadata, RunArgs, Values
    from serving.rest.parser import Request
    from serving.rest.routes import Route
    from serving.wire.dtypes import Dtype


_MAX_INFLATED = 100 * 2**20  # bytes; upstream's limit
_MAX_RATIO = 1032  # of gzip: RFC 1951 has no shorter code for its longest match
_MAX_UNPACKED = 4  # times the limit of a request, for what its JSON becomes in memory
_HALF = frozenset({"half", "bfloat16"})


class RequestParser:
    """Reads the requests that run a model.

    Args:
        models: What is served.
        request_bytes: Size of an inflated request at most; None for upstream's 100 MiB.
        half: Whether half and bfloat16 travel as JSON numbers; tensorflow/serving refuses them.
        check_methods: Whether classify and regress need the signature's method name to fit.
        budget: Bytes that requests may take together, in what they unpack to; None for half of the memory.
    """

    def __init__(
        self,
        models: Models,
        request_bytes: int | None = None,
        *,
        half: bool = False,
        check_methods: bool = False,
        budget: MemoryBudget | None = None,
    ) -> None:
        self._models, self._half, self._check_methods = models, half, check_methods
        self._request_bytes = _MAX_INFLATED if request_bytes is None else min(request_bytes, _MAX_INFLATED)
        self._unpacked_bytes = math.inf if request_bytes is None else _MAX_UNPACKED * request_bytes
        self._budget = budget or MemoryBudget()

    def read(self, route: Route, request: Request) -> PreparedRequest:
        """Reads a request.

        Raises:
            ServingError: It cannot be read, unpacks to too much, or names a model or signature that does not exist.
        """
        if request.headers.get("content-encoding", "").lower() != "gzip":
            return self._read_body(route, request.body)
        # Held at once, not as it grows: the parts of several would fill the memory, and none could be finished.
        with self._budget.hold(min(_MAX_RATIO * len(request.body), self._request_bytes)):
            return self._read_body(route, _inflate(request.body, self._request_bytes))

    def _read_body(self, route: Route, body: bytes) -> PreparedRequest:
        if rows := self.rows(route, body):
            return rows
        size = json_long.count_bytes(body)
        if size > self._unpacked_bytes:
            raise InvalidArgument(f"The request unpacks to {size} bytes, at most {self._unpacked_bytes} are taken")
        with self._budget.hold(size):
            return self._read_document(route, body)

    def rows(self, route: Route, body: bytes) -> PreparedRequest | None:
        """Fast path for a predict request of many numbers; None if it is another request or has an error."""
        name = json_tensors.match_signature(body) if route.action == "predict" else None
        if name is None:
            return None
        try:
            lease = self._models.acquire(route.spec, body)
        except ServingError:  # what is wrong with the body would come first
            return None
        try:
            prepared = _prepare_rows(lease, name, body, half=self._half)
        except BaseException as error:
            lease.refuse(error)
            raise
        if prepared is None:
            lease.release()
        return prepared

    def _read_document(self, route: Route, body: bytes) -> PreparedRequest:
        document = _parse_document(body)
        name = _signature_name(document)
        if route.action == "predict":
            return self._predict(self._models.acquire(route.spec, body), name, document)
        given = json_answers.read_input(document)
        method = classify_regress.CLASSIFY if route.action == "classify" else classify_regress.REGRESS
        return self._infer(self._models.acquire(route.spec, body), method, name, given)

    def _predict(self, lease: ServableHandle, name: str, document: dict[str, Any]) -> PreparedRequest:
        try:
            return _prepare_document(lease, name, document, half=self._half)
        except BaseException as error:
            lease.refuse(error)
            raise

    def _infer(self, lease: ServableHandle, method: str, name: str, given: Any) -> PreparedRequest:
        try:
            task = classify_regress.check(lease.model, method, name, check_method=self._check_methods)
            examples = classify_regress.examples(given)
            fetch = classify_regress.prepare([task], examples)
        except BaseException as error:
            lease.refuse(error)
            raise
        encode = partial(_encode_results, task, fetch, len(examples))
        log = partial(_examples_log, task, fetch, given, len(examples))
        return PreparedRequest(lease, task.signature, fetch, encode, len(examples), log)


def _prepare_document(lease: ServableHandle, name: str, document: dict[str, Any], *, half: bool) -> PreparedRequest:
    signature = lease.model.signatures.get(name or predict.DEFAULT_SIGNATURE)
    if signature is None:
        raise InvalidArgument(f'Serving signature name: "{name}" not found in signature def')
    if not signature.inputs:
        raise InvalidArgument(f"Failed to get input map for signature: {name}")
    try:
        inputs, by_row = _read_inputs(document, signature.dtypes, half=half)
    except InvalidArgument:
        fitted = lease.model.columns.fit(document, signature.dtypes)
        if fitted is None:
            raise
        inputs, by_row = _read_inputs(fitted, signature.dtypes, half=half)
    return _prepare_predict(lease, signature, inputs, by_row=by_row, half=half)


def _prepare_rows(lease: ServableHandle, name: str, body: bytes, *, half: bool) -> PreparedRequest | None:
    signature = lease.model.signatures.get(name or predict.DEFAULT_SIGNATURE)
    if signature is None or len(signature.inputs) != 1:
        return None
    [(alias, dtype)] = signature.dtypes.items()
    array = json_tensors.read_number_rows(body, dtype)
    return None if array is None else _prepare_predict(lease, signature, {alias: array}, by_row=True, half=half)


def _prepare_predict(
    lease: ServableHandle, signature: Signature, inputs: dict[str, np.ndarray], *, by_row: bool, half: bool
) -> PreparedRequest:
    fetch, names = predict.prepare(lease.model, signature.name, inputs)

    def encode(values: Values) -> bytes:
        outputs = dict(zip(names, map(_widen, values) if half else values, strict=True))
        return json_answers.write_rows(outputs) if by_row else json_answers.write_columns(outputs)

    def log(metadata: LogMetadata, values: Values, _: bytes) -> Any:
        return records.predict_log(metadata, inputs, dict(zip(names, values, strict=True)))

    return PreparedRequest(lease, signature.name, fetch, encode, log=log)


def _read_inputs(
    document: dict[str, Any], wanted: Mapping[str, Dtype], *, half: bool
) -> tuple[dict[str, np.ndarray], bool]:
    """Inputs by name, and whether the answer is to be in rows; narrow floats are read as float32 and rounded."""
    narrow = [name for name, dtype in wanted.items() if dtype.name in _HALF] if half else []
    if not narrow:
        return json_tensors.read_inputs(document, wanted)
    arrays, by_row = json_tensors.read_inputs(document, {**wanted, **dict.fromkeys(narrow, dtypes.FLOAT)})
    with np.errstate(over="ignore"):
        return {**arrays, **{name: arrays[name].astype(wanted[name].numpy) for name in narrow}}, by_row


def _widen(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if dtypes.from_array(array).name in _HALF else array


def _examples_log(
    task: classify_regress.SignatureTask,
    fetch: RunArgs,
    given: Any,
    count: int,
    metadata: LogMetadata,
    values: Values,
    _: bytes,
) -> Any:
    [outputs] = classify_regress.outputs([task], fetch, values)
    if task.method == classify_regress.CLASSIFY:
        return records.classify_log(metadata, given, classify_regress.classes(outputs, count))
    return records.regress_log(metadata, given, classify_regress.values(outputs, count))


def _encode_results(task: classify_regress.SignatureTask, fetch: RunArgs, count: int, values: Values) -> bytes:
    [outputs] = classify_regress.outputs([task], fetch, values)
    if task.method == classify_regress.CLASSIFY:
        return json_answers.write_classes(classify_regress.classes(outputs, count))
    return json_answers.write_values(classify_regress.values(outputs, count))


def _parse_document(body: bytes) -> dict[str, Any]:
    document = json_parser.loads(body)
    if not isinstance(document, dict):
        raise InvalidArgument(f"JSON Value: {json_writer.debug_text(document)} Is not object")
    return document


def _inflate(packed: bytes, limit: int) -> bytes:
    """A body without its gzip; empty where that fails or grows beyond the limit, as upstream."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(packed, limit)
    except zlib.error:
        return b""
    return body if inflate.eof else b""


def _signature_name(document: dict[str, Any]) -> str:
    name = document.get("signature_name", predict.DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise InvalidArgument(
            f"JSON Value: {json_writer.debug_text(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name
