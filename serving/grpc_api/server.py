"""The gRPC server: port and socket, deadlines, status codes, token and memory budget around the methods."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from serving import security, sockets
from serving.core.handler import RequestContext
from serving.core.work import FULL_TEXT, MemoryBudget
from serving.errors import PortTaken, ResourceExhausted, ServingError, unexpected_error
from serving.grpc_api.arrival import Arrivals, RefusedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from serving.core.handler import Answer, PreparedRequest, RequestHandler, SlowRead
    from serving.options import ServeOptions

    Read = Callable[[bytes], PreparedRequest | SlowRead]
    Method = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[Answer]]


_LOG = logging.getLogger("keraspipe.serving")
_MAX_MESSAGE = 2**31 - 1
_MAX_TEXT = 1024  # characters of an error, as in TensorFlow Serving
_MAX_TEXT_BYTES = 7 * 1024 // 3  # gRPC sends a byte as up to three, and drops a call beyond 8 KiB of metadata
_PLAIN = 1  # the bit of "identity" among the compressions that are taken
_HANDSHAKE_MS = 10_000  # for which a connection may say nothing
_IDLE_MS = 300_000  # for which it may have no call; clients connect anew without a word
_SMALL_BODY = 1 << 16  # bytes that are parsed on the event loop
_LOST_S = 1.0  # after which a call that no handler has got is lost
_OPEN = frozenset({"/grpc.health.v1.Health/Check"})  # probes of orchestrators carry no token
_CONTROL = frozenset({"/tensorflow.serving.ModelService/HandleReloadConfigRequest"})  # change what is served
_SMALL_EXAMPLES = 1 << 14  # the same, of Examples, which may be of a few bytes each
_CODES = {code.value[0]: code for code in grpc.StatusCode}


_DENIED, _FULL = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED
_UNKNOWN_CALLER = grpc.StatusCode.UNAUTHENTICATED
_REFUSALS = {
    _UNKNOWN_CALLER: "The request carries no valid bearer token. Send the metadata: authorization: Bearer TOKEN",
    _DENIED: "Calls that change what is served need a token of their own: start the server with --control-token-file "
    "FILE, and send the metadata: authorization: Bearer TOKEN",
    _FULL: FULL_TEXT,
}


class GrpcServer:
    """Takes calls on a port and on a UNIX socket.

    Args:
        options: Limits, TLS, channel arguments.
        handlers: Finds the handler of a path.
        shared: Whether other processes of this server have the port too.
    """

    def __init__(self, options: ServeOptions, handlers: RpcHandlers, *, shared: bool) -> None:
        self._options, self._shared = options, shared
        arguments: dict[str, int | str] = {
            "grpc.max_receive_message_length": handlers.message_bytes,
            "grpc.max_send_message_length": -1,
            # gRPC unpacks a message before anybody can count it: a hundred kilobytes would take 128 MB, in each call.
            "grpc.compression_enabled_algorithms_bitset": _PLAIN,
            "grpc.max_allowed_incoming_connections": max(1, sockets.raise_file_limit() // 4),  # REST has half of them
            "grpc.server_handshake_timeout_ms": _HANDSHAKE_MS,
            "grpc.max_connection_idle_ms": _IDLE_MS,
            "grpc.so_reuseport": int(shared),  # without it a second server at the port is an error
        }
        self._handlers = handlers
        self._server = grpc.aio.server(options=tuple((arguments | dict(options.grpc_arguments)).items()))
        self._server.add_generic_rpc_handlers((handlers,))

    async def listen(self, holder: socket.socket | None, path: Path | None) -> None:
        """Take calls on a bound socket's port, and on a UNIX socket.

        Raises:
            PortTaken: grpc cannot have the port.
            InvalidArgument: TLS cannot be set up.
        """
        if holder:
            where = sockets.address(holder)
            if not self._shared:
                holder.close()  # grpc binds for itself; the port was ours until now
            self._add(where)
        if path:
            self._add(f"unix:{path}")
        await self._server.start()

    def _add(self, address: str) -> None:
        credentials = security.grpc_credentials(self._options.security)
        try:
            if credentials:
                self._server.add_secure_port(address, credentials)
            else:
                self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise PortTaken(sockets.cannot_listen(address, "gRPC", "--grpc-port", error)) from error

    async def drain(self, seconds: float) -> None:
        """Answer what is in flight, close the port; after so many seconds end all calls.

        In about one of 200 stops gRPC loses a call that comes meanwhile: it is neither refused nor handed over. As it
        would be waited for, too, all calls end once no handler is at work.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        stopping = asyncio.ensure_future(self._server.stop(seconds + _LOST_S))
        while not stopping.done():
            await asyncio.wait([stopping], timeout=min(_LOST_S, max(0.0, deadline - loop.time())))
            in_flight = self._handlers.in_flight
            if not stopping.done() and (not in_flight or loop.time() >= deadline):
                if in_flight:
                    _LOG.warning("Drained for %g s; calls that ended without an answer: %d", seconds, in_flight)
                await self._server.stop(None)


class RpcHandlers(grpc.GenericRpcHandler):
    """The handler of each path; grpc answers UNIMPLEMENTED where there is none.

    Args:
        handler: Runs the models.
        predict_methods: Functions that read a request to run, by path.
        control_methods: Functions that answer any other request, in a thread, by path.
        executor: Threads for the latter; no model runs in them.
        budget: Bytes of requests that the server holds.
        options: Limits and tokens.

    Attributes:
        message_bytes: Size of a message at most.
        in_flight: Calls whose answer is not sent yet.
    """

    def __init__(
        self,
        handler: RequestHandler,
        predict_methods: dict[str, Read],
        control_methods: dict[str, Callable[[bytes], bytes]],
        executor: Executor,
        budget: MemoryBudget,
        options: ServeOptions,
    ) -> None:
        self.message_bytes = min(options.limits.request_bytes or _MAX_MESSAGE, max(budget.limit, 1))
        self.in_flight = 0
        self._arrivals = Arrivals(MemoryBudget(budget.limit // 2), self.message_bytes)
        self._allows = security.token_check(options.security.token)
        self._allows_control = security.control_check(options.security)
        self._budget = budget
        # Not unary: that would receive the whole message before it is refused.
        self._refusals = {
            code: grpc.stream_unary_rpc_method_handler(partial(_refuse, code, text)) for code, text in _REFUSALS.items()
        }
        self._handlers = {
            path: self._with_message(_predict_method(path, read, handler, budget))
            for path, read in predict_methods.items()
        } | {
            path: self._with_message(_control_method(answer, None if path in _OPEN else executor), path in _OPEN)
            for path, answer in control_methods.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a call."""
        method = handler_call_details.method
        token = str(dict(handler_call_details.invocation_metadata or ()).get("authorization", ""))
        if method in _CONTROL and self._allows_control(token):
            return self._handlers.get(method)
        if method not in _OPEN and not self._allows(token):
            return self._refusals[_UNKNOWN_CALLER]
        if method in _CONTROL:
            return self._refusals[_DENIED]
        if method not in _OPEN and not self._budget.fits(0):  # before any byte of the message is accepted
            return self._refusals[_FULL]
        return self._handlers.get(method)

    def _with_message(self, method: Method, is_probe: bool = False) -> grpc.RpcMethodHandler:
        """The handler of a method. Not unary: that would receive any number of messages at a time."""

        async def handle(_bodies: Any, context: grpc.aio.ServicerContext) -> bytes:
            self.in_flight += 1
            context.add_done_callback(self._end)
            try:
                body = await self._arrivals.receive(context, patient=not is_probe)
            except RefusedError:
                return await _abort(context, ResourceExhausted(FULL_TEXT))
            answer = await method(body, context)
            return await _abort(context, answer) if isinstance(answer, ServingError) else answer

        return grpc.stream_unary_rpc_method_handler(handle)

    def _end(self, _context: grpc.aio.ServicerContext) -> None:
        self.in_flight -= 1


async def _refuse(
    code: grpc.StatusCode,
    text: str,
    bodies: Any,  # noqa: ARG001 - grpc's signature
    context: grpc.aio.ServicerContext,
) -> bytes:
    return await context.abort(code, text)


def _predict_method(path: str, read: Read, handler: RequestHandler, budget: MemoryBudget) -> Method:
    api = path.rpartition("/")[2]

    async def answer(body: bytes, context: grpc.aio.ServicerContext) -> Answer:
        if not budget.take(len(body)):
            return ResourceExhausted(FULL_TEXT)
        try:
            return await _answer_request(handler, api, read, body, context.time_remaining())
        finally:
            budget.give(len(body))

    return answer


def _answer_request(
    handler: RequestHandler,
    api: str,
    read: Read,
    body: bytes,
    left: float | None,
) -> asyncio.Future[Answer]:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    deadline = math.inf if left is None else time.monotonic() + left
    large = len(body) > (_SMALL_BODY if api == "Predict" else _SMALL_EXAMPLES)
    context_of_call = RequestContext("GRPC", api, "", partial(_settle, future), large, deadline)
    handler.answer(context_of_call, partial(read, body))
    return future


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # a caller that hung up has cancelled it
        future.set_result(answer)


def _control_method(answer_call: Callable[[bytes], bytes], executor: Executor | None) -> Method:
    """Answers in a thread, or on the event loop from what is in memory."""

    async def answer(body: bytes, _context: grpc.aio.ServicerContext) -> Answer:
        if executor is None:
            return _answer_control(answer_call, body)
        return await asyncio.get_running_loop().run_in_executor(executor, _answer_control, answer_call, body)

    return answer


def _answer_control(answer_call: Callable[[bytes], bytes], body: bytes) -> Answer:
    try:
        return answer_call(body)
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
        return unexpected_error(error, "A request")


async def _abort(context: grpc.aio.ServicerContext, error: ServingError) -> Any:
    return await context.abort(_CODES[int(error.code)], truncate(error.message))


def truncate(text: str) -> str:
    """A message no longer than what TensorFlow Serving puts in a status, and what gRPC carries of it."""
    truncated = text[:_MAX_TEXT].encode(errors="replace")[:_MAX_TEXT_BYTES].decode(errors="ignore")
    return truncated if len(truncated) == len(text) else f"{truncated}...TRUNCATED"
