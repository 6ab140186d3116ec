"""The bodies of the REST requests that run a model."""

from __future__ import annotations

import contextlib
import math
import zlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import classify_regress, predict
from serving.core.handler import PreparedRequest
from serving.core.signature import check_reserved
from serving.core.work import MemoryBudget
from serving.errors import InvalidArgument, ServingError
from serving.request_log import records
from serving.rest import documents
from serving.rest.documents import Examples, Expectation, Tensors
from serving.wire import dtypes, json_answers, json_long, json_tensors, protos
from serving.wire.strings import unpack_few

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.core.handler import SlowRead
    from serving.core.models import Models
    from serving.core.reader_process import ReaderProcess
    from serving.core.servable import ServableHandle
    from serving.core.signature import Signature
    from serving.core.work import LogMetadata, RunArgs, Values
    from serving.rest.parser import Request
    from serving.rest.routes import Route
    from serving.wire.strings import Tensor


_MAX_INFLATED = 100 * 2**20  # bytes; upstream's limit
_MAX_RATIO = 1032  # of gzip: RFC 1951 has no shorter code for its longest match
_MAX_UNPACKED = 4  # times the limit of a request, for what its JSON becomes in memory
_FEW_BYTES = 1 << 20  # of memory: what unpacks to less is not counted
_HALF = frozenset({"half", "bfloat16"})


class RequestParser:
    """Reads the requests that run a model.

    Args:
        models: What is served.
        request_bytes: Size of an inflated request at most; None for upstream's 100 MiB.
        half: Whether half and bfloat16 travel as JSON numbers; tensorflow/serving refuses them.
        check_methods: Whether classify and regress need the signature's method name to fit.
        budget: Bytes that requests may take together, in what they unpack to; None for half of the memory.
        process: Reads what is large; None to read all in threads.
    """

    def __init__(
        self,
        models: Models,
        request_bytes: int | None = None,
        *,
        half: bool = False,
        check_methods: bool = False,
        budget: MemoryBudget | None = None,
        process: ReaderProcess | None = None,
    ) -> None:
        self._models, self._half, self._check_methods = models, half, check_methods
        self._request_bytes = _MAX_INFLATED if request_bytes is None else min(request_bytes, _MAX_INFLATED)
        self._unpacked_bytes = math.inf if request_bytes is None else _MAX_UNPACKED * request_bytes
        self._few_bytes = min(_FEW_BYTES, self._unpacked_bytes)
        self._budget = budget or MemoryBudget()
        self._process = process

    def read(self, route: Route, request: Request) -> PreparedRequest | SlowRead:
        """Reads a request, unless that would hold the interpreter for long.

        Raises:
            ServingError: It cannot be read, unpacks to too much, or names a model or signature that does not exist.
        """
        slow, packed = partial(self._read_in_process, route, request), _is_packed(request)
        if not packed:
            return self._read_body(route, request.body, slow)
        if self._process and _is_long(request.body):
            return slow
        # Held at once, not as it grows: the parts of several would fill the memory, and none could be finished.
        with self._budget.hold(self._inflated_bytes(request)):
            return self._read_body(route, documents.inflate(request.body, self._request_bytes), slow)

    def _inflated_bytes(self, request: Request) -> int:
        return min(_MAX_RATIO * len(request.body), self._request_bytes) if _is_packed(request) else 0

    def _read_body(self, route: Route, body: bytes, slow: SlowRead) -> PreparedRequest | SlowRead:
        if json_long.MOST_MEMORY * len(body) <= self._few_bytes:  # most requests
            return self.rows(route, body) or self._read_document(route, body)
        if self._process and len(body) > json_long.HEAVY_BYTES:  # to measure it takes milliseconds, too
            return slow
        size = json_long.measure(body)
        if self._process and size.is_heavy:
            return slow
        if rows := self.rows(route, body):
            return rows
        with self._budget.hold(self._check_size(size.memory)):
            return self._read_document(route, body)

    def _check_size(self, size: int) -> int:
        """Bytes that a body unpacks to."""
        if size > self._unpacked_bytes:
            raise InvalidArgument(f"The request unpacks to {size} bytes, at most {self._unpacked_bytes} are taken")
        return size

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
        document = documents.parse_document(body)
        name = documents.signature_name(document)
        if route.action == "predict":
            lease = self._models.acquire(route.spec, body)
            return self._refuse_or(lease, partial(self._predict, lease, name, document))
        given = json_answers.read_input(document)
        lease = self._models.acquire(route.spec, body)
        examples = partial(classify_regress.examples, given)
        return self._refuse_or(lease, partial(self._infer, lease, route.action, name, examples, lambda: given))

    def _read_in_process(self, route: Route, request: Request, deadline: float) -> PreparedRequest:
        assert self._process
        call, body = partial(self._process.call, deadline=deadline), request.body
        with self._budget.hold(self._inflated_bytes(request)):
            limit = self._request_bytes if _is_packed(request) else None
            size = json_long.measure(body).memory if limit is None else call(documents.measure, body, limit)
            with self._budget.hold(self._check_size(size)):
                lease, refusal = self._find_model(route, body)
                try:
                    read = call(documents.read, body, self._expectation(route, lease), limit)
                except BaseException:
                    if lease:
                        lease.release()
                    raise
        if lease is None:
            raise refusal or InvalidArgument("The request fits no model")
        return self._refuse_or(lease, partial(self._prepare_read, lease, route.action, read))

    def _find_model(self, route: Route, body: bytes) -> tuple[ServableHandle | None, ServingError | None]:
        try:
            return self._models.acquire(route.spec, body), None
        except ServingError as error:  # what is wrong with the body comes first
            return None, error

    def _expectation(self, route: Route, lease: ServableHandle | None) -> Expectation:
        is_predict = route.action == "predict"
        if lease is None:
            return Expectation(is_predict, None)
        signatures = {name: signature.dtypes for name, signature in lease.model.signatures.items()}
        return Expectation(is_predict, signatures, lease.model.columns, self._half)

    def _prepare_read(
        self, lease: ServableHandle, action: str, read: Tensors | Examples | documents.Refusal
    ) -> PreparedRequest:
        if isinstance(read, documents.Refusal):
            raise ServingError(read.message, read.code)
        if isinstance(read, Examples):
            given = partial(_parse_input, read.given)
            return self._infer(lease, action, read.signature, lambda: unpack_few(read.examples), given)
        arrays = {name: unpack_few(each) for name, each in read.arrays.items()}
        return self._prepare_tensors(lease, replace(read, arrays=arrays))

    def _predict(self, lease: ServableHandle, name: str, document: dict[str, Any]) -> PreparedRequest:
        signature = lease.model.signatures.get(name or predict.DEFAULT_SIGNATURE)
        expected = Expectation(is_predict=True, columns=lease.model.columns, half=self._half)
        read = documents.read_tensors(document, name, signature.dtypes if signature else None, expected)
        return self._prepare_tensors(lease, read)

    def _prepare_tensors(self, lease: ServableHandle, read: Tensors) -> PreparedRequest:
        signature = lease.model.signatures[read.signature or predict.DEFAULT_SIGNATURE]
        return _prepare_predict(lease, signature, read.arrays, by_row=read.by_row, half=self._half)

    @staticmethod
    def _refuse_or(lease: ServableHandle, prepare: Callable[[], PreparedRequest]) -> PreparedRequest:
        try:
            return prepare()
        except BaseException as error:
            lease.refuse(error)
            raise

    def _infer(
        self,
        lease: ServableHandle,
        action: str,
        name: str,
        read_examples: Callable[[], Tensor],
        given: Callable[[], Any],
    ) -> PreparedRequest:
        method = classify_regress.CLASSIFY if action == "classify" else classify_regress.REGRESS
        task = classify_regress.check(lease.model, method, name, check_method=self._check_methods)
        examples = read_examples()
        fetch = classify_regress.prepare([task], examples)
        encode = partial(_encode_results, task, fetch, len(examples))
        log = partial(_examples_log, task, fetch, given, len(examples))
        return PreparedRequest(lease, task.signature, fetch, encode, len(examples), log)


def _prepare_rows(lease: ServableHandle, name: str, body: bytes, *, half: bool) -> PreparedRequest | None:
    signature = lease.model.signatures.get(name or predict.DEFAULT_SIGNATURE)
    if signature is None or len(signature.inputs) != 1:
        return None
    [(alias, dtype)] = signature.dtypes.items()
    array = json_tensors.read_number_rows(body, dtype)
    return None if array is None else _prepare_predict(lease, signature, {alias: array}, by_row=True, half=half)


def _prepare_predict(
    lease: ServableHandle, signature: Signature, inputs: Mapping[str, Tensor], *, by_row: bool, half: bool
) -> PreparedRequest:
    check_reserved(lease.model.reserved, signature.name)
    fetch, names = predict.prepare(lease.model, signature.name, inputs)

    def encode(values: Values) -> bytes:
        outputs = dict(zip(names, map(_widen, values) if half else values, strict=True))
        return json_answers.write_rows(outputs) if by_row else json_answers.write_columns(outputs)

    def log(metadata: LogMetadata, values: Values, _: bytes) -> Any:
        return records.predict_log(metadata, inputs, dict(zip(names, values, strict=True)))

    return PreparedRequest(lease, signature.name, fetch, encode, log=log)


def _widen(tensor: Tensor) -> Tensor:
    if isinstance(tensor, np.ndarray) and dtypes.from_array(tensor).name in _HALF:
        return tensor.astype(np.float32)
    return tensor


def _examples_log(
    task: classify_regress.SignatureTask,
    fetch: RunArgs,
    given: Callable[[], Any],
    count: int,
    metadata: LogMetadata,
    values: Values,
    _: bytes,
) -> Any:
    [outputs] = classify_regress.outputs([task], fetch, values)
    if task.method == classify_regress.CLASSIFY:
        return records.classify_log(metadata, given(), classify_regress.classes(outputs, count))
    return records.regress_log(metadata, given(), classify_regress.values(outputs, count))


def _encode_results(task: classify_regress.SignatureTask, fetch: RunArgs, count: int, values: Values) -> bytes:
    [outputs] = classify_regress.outputs([task], fetch, values)
    if task.method == classify_regress.CLASSIFY:
        return json_answers.write_classes(classify_regress.classes(outputs, count))
    return json_answers.write_values(classify_regress.values(outputs, count))


def _parse_input(given: bytes) -> Any:
    return protos.load("apis.input_pb2").Input.FromString(bytes(given))


def _is_packed(request: Request) -> bool:
    return request.headers.get("content-encoding", "").lower() == "gzip"


def _is_long(packed: bytes) -> bool:
    """Whether a body unpacks to more than is read here; what comes after the first pieces is not unpacked."""
    inflate = zlib.decompressobj(wbits=31)
    with contextlib.suppress(zlib.error):
        return len(inflate.decompress(packed, json_long.HEAVY_BYTES + 1)) > json_long.HEAVY_BYTES
    return False
