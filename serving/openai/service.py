"""OpenAI's API over the served models: finds the version, reads the request, has it answered.

Reading and tokenizing happen in threads of their own, generating in the thread of each version's engine: the event loop
only passes pieces on, so that health, metrics and other models answer whatever goes on here.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson

from serving.core.work import MemoryBudget
from serving.errors import Code, DeadlineExceeded, NotFound, ServingError, unexpected_error
from serving.openai import embeddings, models, prompts, requests, routes
from serving.openai.answers import AnswerForm
from serving.openai.call import GenerationCall, PreparedCall, error_response
from serving.rest import documents
from serving.rest.parser import Response
from serving.wire import json_long, openai_errors
from serving.wire.openai_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from serving.core.handler import RequestHandler
    from serving.core.models import Models
    from serving.core.servable import ServableHandle
    from serving.generation.engines import Engines
    from serving.rest.parser import Request

    Reply = Callable[[Response], None]

_THREADS = 2
_BODY_BYTES = 16 * 2**20  # no context of a model here comes near it


class OpenAiService:
    """Answers OpenAI's clients; lives on one event loop.

    Args:
        served: The models.
        engines: Generate.
        handler: Runs what is no generation; its metrics, request log and budget are this one's, too.
        executor: Threads for descriptions of models.
        timeout_s: How long an answer may take.
    """

    def __init__(
        self,
        served: Models,
        engines: Engines,
        handler: RequestHandler,
        executor: Executor,
        timeout_s: float,
    ) -> None:
        self._served, self._engines, self._handler, self._executor = served, engines, handler, executor
        self._budget = handler.budget or MemoryBudget()
        self._metrics, self._samples = handler.metrics, handler.samples
        self._loop, self._timeout_s = asyncio.get_running_loop(), timeout_s
        self._readers = ThreadPoolExecutor(_THREADS, thread_name_prefix="prompts")

    def fits(self, request: Request) -> bool:
        """Whether a request is OpenAI's."""
        return routes.find_action(request) is not None

    def handle(self, request: Request, reply: Reply) -> Callable[[], None] | None:
        """Answers a request that fits, later; returns what ends the work for it."""
        kind, name = routes.find_action(request) or ("unknown", "")
        if kind in {"chat", "completions"}:
            return self._generate(kind, request, reply)
        if kind == "embeddings":
            embeddings.answer(self._served, self._handler, request.body, reply, time.monotonic() + self._timeout_s)
        elif kind in {"models", "model"}:
            self._executor.submit(self._describe, name, reply)
        else:
            reply(_no_route(request, kind))
        return None

    # Models.

    def _describe(self, name: str, reply: Reply) -> None:
        self._loop.call_soon_threadsafe(reply, self._description(name))

    def _description(self, name: str) -> Response:
        try:
            content = models.describe_model(self._served, name) if name else models.list_models(self._served)
        except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
            return error_response(unexpected_error(error, "The list of models"))
        if content is None:
            return error_response(
                NotFound(f"The model '{name}' is not served, or neither writes text nor makes embeddings.")
            )
        return Response(200, orjson.dumps(content))

    # Text.

    def _generate(self, kind: str, request: Request, reply: Reply) -> Callable[[], None]:
        is_packed = request.headers.get("content-encoding", "").lower() == "gzip"
        now, deadline = time.perf_counter(), time.monotonic() + self._timeout_s
        arrival = Arrival(kind, request.body, is_packed, reply, now, deadline)
        if full := self._handler.enter():
            self._refuse(arrival, full, entered=False)
        else:
            self._readers.submit(self._read, arrival)
        return arrival.cancel

    def _read(self, arrival: Arrival) -> None:
        """Reads a request, in a thread."""
        outcome: PreparedCall | ServingError
        try:
            outcome = self._prepare(arrival)
        except ServingError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the client gets an answer, the log the traceback
            outcome = unexpected_error(error, "A request for text")
        self._loop.call_soon_threadsafe(self._begin, arrival, outcome)

    def _prepare(self, arrival: Arrival) -> PreparedCall:
        if arrival.is_cancelled:
            raise ServingError("The client went away", Code.CANCELLED)
        if time.monotonic() > arrival.deadline:
            raise DeadlineExceeded("The request could not be read in time. Try again later")
        body = documents.inflate(arrival.body, _BODY_BYTES) if arrival.is_packed else arrival.body
        arrival.body = b""
        if len(body) > _BODY_BYTES:
            raise BadRequest(f"The request has {len(body)} bytes, at most {_BODY_BYTES} are read.")
        with self._budget.hold(json_long.measure(body).memory):
            read = requests.read_chat if arrival.kind == "chat" else requests.read_completion
            request = read(requests.parse_body(body))
            arrival.model = request.model
            lease = models.acquire(self._served, request.model, body)
            try:
                return self._prepare_call(request, lease)
            except BaseException as error:
                lease.refuse(error)
                raise

    def _prepare_call(self, request: requests.GenerationRequest, lease: ServableHandle) -> PreparedCall:
        engine = self._engines.engine(lease)
        about = engine.calls.about
        if request.choices > about.slots:
            raise BadRequest(
                f"'n' is too large: expected at most {about.slots}, the answers that the model writes at a time. "
                f"Received: {request.choices}",
                "n",
                "invalid_value",
            )
        made = prompts.make_prompts(request, engine.calls)
        return PreparedCall(request, made, lease, engine, about.end)

    def _begin(self, arrival: Arrival, outcome: PreparedCall | ServingError) -> None:
        """Has a request answered that was read; on the event loop."""
        if isinstance(outcome, PreparedCall) and arrival.is_cancelled:
            outcome.lease.release()
            outcome = ServingError("The client went away", Code.CANCELLED)
        if isinstance(outcome, ServingError):
            self._refuse(arrival, outcome)
            return
        lease = outcome.lease
        if not lease.model.names_announced:
            lease.model.names_announced = True
            self._metrics.add_version(lease.servable.name, lease.servable.version, lease.model.signatures)
        form = _form(outcome)
        ended = partial(self._end, arrival, lease)
        call = GenerationCall(outcome, form, arrival.reply, ended, self._loop, arrival.deadline)
        try:
            call.start()
        except ServingError as error:
            lease.refuse(error)
            self._refuse(arrival, error, f"Retry-After: {outcome.engine.wait_s()}\r\n")
            return
        arrival.call = call

    def _refuse(self, arrival: Arrival, error: ServingError, headers: str = "", *, entered: bool = True) -> None:
        seconds = time.perf_counter() - arrival.started
        if entered:
            self._handler.leave()
        self._metrics.request("REST", arrival.kind, arrival.model, None, "", error.code, seconds)
        if error.canary_choice:
            self._metrics.record_choice(*error.canary_choice, error.code, seconds)
        if not headers and error.code in {Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE}:
            headers = "Retry-After: 1\r\n"
        self._handler.refusals.send(error.code, arrival.reply, error_response(error, headers))

    def _end(self, arrival: Arrival, lease: ServableHandle, code: Code) -> None:
        seconds = time.perf_counter() - arrival.started
        self._handler.leave()
        servable = lease.servable
        self._metrics.request("REST", arrival.kind, servable.name, servable.version, "decode", code, seconds)
        if lease.side:
            self._metrics.record_choice(lease.name, lease.side, servable.version, code, seconds)
        if code is Code.OK and arrival.call and self._samples:
            arrival.call.log(self._samples)
        arrival.call = None
        lease.release()


@dataclass
class Arrival:
    """A request for text that came.

    Attributes:
        kind: `chat` or `completions`.
        body: As sent.
        is_packed: Whether that is gzip.
        reply: Takes the answer, once.
        started: By `time.perf_counter`.
        deadline: By `time.monotonic`.
        model: The name in the request, once that was read.
        call: What answers it, once it was read.
        is_cancelled: Whether the client went away.
    """

    kind: str
    body: bytes
    is_packed: bool
    reply: Reply
    started: float
    deadline: float
    model: str = ""
    call: GenerationCall | None = None
    is_cancelled: bool = False

    def cancel(self) -> None:
        """The client went away."""
        self.is_cancelled = True
        if self.call:
            self.call.cancel()


def _form(prepared: PreparedCall) -> AnswerForm:
    request, servable = prepared.request, prepared.lease.servable
    return AnswerForm(
        f"{'chatcmpl' if request.is_chat else 'cmpl'}-{uuid.uuid4().hex}",
        int(time.time()),
        request.model,
        f"fp_{servable.name}_{servable.version}",
        request.is_chat,
        request.logprobs is not None,
        request.with_usage,
    )


def _no_route(request: Request, kind: str) -> Response:
    line = f"{request.method} {request.path.encode('utf-8', 'replace').decode()}"
    if kind == "method":
        text = f"{line} is not answered: this path takes POST."
        return Response(405, openai_errors.error_body(BadRequest(text)), headers="Allow: POST, OPTIONS\r\n")
    return Response(404, openai_errors.error_body(BadRequest(f"There is nothing at {line}.", reason="unknown_url")))
