"""The gRPC server: sockets, deadlines, status codes and admission around the service."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from serving.core.inference import Caller
from serving.errors import ResourceExhausted, ServingError, unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from serving.core.budget import Budget
    from serving.core.inference import Answer, Inference, Question

_MAX_TEXT = 1024  # characters of an error, as in TensorFlow Serving
_MAX_TEXT_BYTES = 7 * 1024 // 3  # gRPC sends a byte as up to three, and drops a call beyond 8 KiB of metadata
_SMALL_BODY = 1 << 17  # bytes that are parsed on the event loop
_OPEN = frozenset({"/grpc.health.v1.Health/Check"})  # probes of orchestrators carry no token
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Handlers(grpc.GenericRpcHandler):
    """The handler of each path; grpc answers UNIMPLEMENTED where there is none.

    Args:
        inference: Runs the models.
        inferring: What reads a request to be run, by path.
        telling: What answers other requests, in a thread, by path.
        executor: Threads for the latter.
        budget: Bytes of requests that the server holds.
        allows: Whether an `authorization` may ask.
    """

    def __init__(
        self,
        inference: Inference,
        inferring: dict[str, Callable[[bytes], Question]],
        telling: dict[str, Callable[[bytes], bytes]],
        executor: Executor,
        budget: Budget,
        allows: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._allows = allows
        # Not unary: that would receive the whole message before it is refused.
        self._refusal = grpc.stream_unary_rpc_method_handler(_unauthenticated)
        self._handlers = {path: _inferring(path, read, inference, budget) for path, read in inferring.items()} | {
            path: _telling(answer, executor) for path, answer in telling.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a call."""
        method = handler_call_details.method
        metadata = dict(handler_call_details.invocation_metadata or ())
        if method not in _OPEN and not self._allows(str(metadata.get("authorization", ""))):
            return self._refusal
        return self._handlers.get(method)


async def _unauthenticated(bodies: Any, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG001 - grpc's signature
    text = "The request carries no valid bearer token. Send the metadata: authorization: Bearer TOKEN"
    return await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)


def _inferring(
    path: str, read: Callable[[bytes], Question], inference: Inference, budget: Budget
) -> grpc.RpcMethodHandler:
    api = path.rpartition("/")[2]

    async def handle(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if not budget.take(len(body)):
            full = ResourceExhausted("The server holds as many bytes of requests as it may. Try again later")
            return await _abort(context, full)
        try:
            answer = await _answer(inference, api, read, body, context.time_remaining())
        finally:
            budget.give(len(body))
        return await _abort(context, answer) if isinstance(answer, ServingError) else answer

    return grpc.unary_unary_rpc_method_handler(handle)


def _answer(
    inference: Inference, api: str, read: Callable[[bytes], Question], body: bytes, left: float | None
) -> asyncio.Future[Answer]:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    deadline = math.inf if left is None else time.monotonic() + left
    caller = Caller("GRPC", api, "", partial(_settle, future), len(body) > _SMALL_BODY, deadline)
    inference.answer(caller, partial(read, body))
    return future


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # a caller that hung up has cancelled it
        future.set_result(answer)


def _telling(tell: Callable[[bytes], bytes], executor: Executor) -> grpc.RpcMethodHandler:
    async def handle(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
        answer = await asyncio.get_running_loop().run_in_executor(executor, _told, tell, body)
        return await _abort(context, answer) if isinstance(answer, ServingError) else answer

    return grpc.unary_unary_rpc_method_handler(handle)


def _told(tell: Callable[[bytes], bytes], body: bytes) -> Answer:
    try:
        return tell(body)
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
        return unforeseen(error, "A request")


async def _abort(context: grpc.aio.ServicerContext, error: ServingError) -> Any:
    return await context.abort(_CODES[int(error.code)], truncated(error.message))


def truncated(text: str) -> str:
    """A message no longer than what TensorFlow Serving puts in a status, and what gRPC carries of it."""
    kept = text[:_MAX_TEXT].encode(errors="replace")[:_MAX_TEXT_BYTES].decode(errors="ignore")
    return kept if len(kept) == len(text) else f"{kept}...TRUNCATED"
