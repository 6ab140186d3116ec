"""The gRPC server: sockets, threads and status codes around the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from serving.errors import Code, InvalidArgument, ServingError

if TYPE_CHECKING:
    from concurrent.futures import Executor

_LOG = logging.getLogger("keraspipe.serving")
_MAX_TEXT = 1024
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = (
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a second server at the port is an error, not a silent sharer
)
Method = tuple[Any, Callable[[Any], Any]]


def server(methods: dict[str, Method], executor: Executor) -> grpc.aio.Server:
    """A server of the methods; add a port and start it."""
    made = grpc.aio.server(options=_OPTIONS)
    made.add_generic_rpc_handlers((_Handlers(methods, executor),))
    return made


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a path; grpc answers UNIMPLEMENTED where there is none."""

    def __init__(self, methods: dict[str, Method], executor: Executor) -> None:
        self._handlers = {path: _handler(method, executor) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handlers.get(handler_call_details.method)


def _handler(method: Method, executor: Executor) -> grpc.RpcMethodHandler:
    async def handle(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
        # Decoding, the model and encoding in one thread: the event loop stays free, also for large tensors.
        answer = await asyncio.get_running_loop().run_in_executor(executor, _answer, method, body)
        if isinstance(answer, ServingError):
            return await context.abort(_CODES[int(answer.code)], truncated(answer.message))
        return answer

    return grpc.unary_unary_rpc_method_handler(handle)


def _answer(method: Method, body: bytes) -> bytes | ServingError:
    kind, handler = method
    try:
        return handler(_parsed(kind, body)).SerializeToString()
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
        _LOG.exception("%s failed", kind.__name__)
        return ServingError(f"{type(error).__name__}: {error}", Code.INTERNAL)


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidArgument(f"The request is no {kind.__name__}: {error}") from error


def truncated(text: str) -> str:
    """A message no longer than what TensorFlow Serving puts in a status."""
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}...TRUNCATED"
