"""One request for text, from its first token to its end: counts, metrics, request log; holds the version meanwhile."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core.work import LogMetadata
from serving.errors import Code, ServingError
from serving.generation.answer import Generation, Limits, Piece
from serving.openai.answers import AnswerForm, Choice, Usage
from serving.openai.streams import EventStream
from serving.request_log import records
from serving.rest.parser import Response
from serving.wire import openai_errors

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence

    from serving.core.handler import RequestSampler
    from serving.core.servable import ServableHandle
    from serving.generation.engine import Engine
    from serving.openai.prompts import Prompt
    from serving.openai.requests import GenerationRequest

_EVENTS = "text/event-stream; charset=utf-8"
_SIGNATURE = "generate"  # the request log has each answer as if this signature had given it


def error_response(error: ServingError, headers: str = "") -> Response:
    """An error as an answer."""
    return Response(openai_errors.http_status(error), openai_errors.error_body(error), headers=headers)


@dataclass(frozen=True)
class PreparedCall:
    """A request that was read, with its prompts, and its hold on the version."""

    request: GenerationRequest
    prompts: Sequence[Prompt]
    lease: ServableHandle
    engine: Engine
    end: frozenset[int]


class GenerationCall:
    """A request that is answered; lives on the event loop.

    Args:
        prepared: What was read.
        form: Of its answer.
        reply: Takes the answer, once.
        ended: Called once at the end, with the outcome; after that the version is no longer held.
        loop: The event loop.
        deadline: When it ends at the latest, by `time.monotonic`.
    """

    def __init__(
        self,
        prepared: PreparedCall,
        form: AnswerForm,
        reply: Callable[[Response], None],
        ended: Callable[[Code], None],
        loop: AbstractEventLoop,
        deadline: float,
    ) -> None:
        self._prepared, self._form, self._reply, self._ended = prepared, form, reply, ended
        self._loop = loop
        request, prompts = prepared.request, prepared.prompts
        self._usage = Usage(prompt=sum(len(prompt.tokens) for prompt in prompts))
        places = [(prompt, choice) for prompt in prompts for choice in range(request.choices)]
        self.choices = [Choice([prompt.text] if request.echo else []) for prompt, _ in places]
        self._stream: EventStream | None = None
        self._open = set(range(len(places)))
        self._error: ServingError | None = None
        self._generations = [
            Generation(
                prompt.tokens,
                request.sampling,
                Limits(prompt.room, request.stops, prepared.end, deadline),
                partial(self._send, place),
                choice,
                request.logprobs,
            )
            for place, (prompt, choice) in enumerate(places)
        ]

    def start(self) -> None:
        """Begin.

        Raises:
            ResourceExhausted: Too many wait already.
        """
        self._prepared.engine.submit(self._generations)

    def cancel(self) -> None:
        """The client went away."""
        self._prepared.engine.cancel(self._generations)

    def _send(self, place: int, piece: Piece) -> None:
        """Takes a piece in the engine's thread."""
        with contextlib.suppress(RuntimeError):  # the server has gone away, and its event loop with it
            self._loop.call_soon_threadsafe(self._receive, place, piece)

    def _receive(self, place: int, piece: Piece) -> None:
        self._usage.completion += piece.tokens
        self.choices[place].add(piece)
        if piece.error:
            self._error = self._error or piece.error
            self._prepared.engine.cancel([self._generations[other] for other in self._open - {place}])
        elif self._prepared.request.stream:
            self._show(place, piece)
        if piece.is_last:
            self._usage.cached += piece.cached
            self._open.discard(place)
            if not self._open:
                self._end()

    def _show(self, place: int, piece: Piece) -> None:
        """Sends a piece on; the first one sends the answer's head, as long as an error can have a status of its own."""
        if self._stream is None:
            self._stream = EventStream(self._form, self._usage)
            headers = f"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\nX-Request-Id: {self._form.identity}\r\n"
            self._reply(Response(200, b"", _EVENTS, headers, self._stream))
            self._echo(self._stream)
        self._stream.add(place, piece)

    def _echo(self, stream: EventStream) -> None:
        for place, choice in enumerate(self.choices):
            if self._prepared.request.echo:
                stream.add(place, Piece(choice.text[0]))

    def _end(self) -> None:
        self._ended(self._error.code if self._error else Code.OK)
        if self._stream:
            self._stream.end(self._error)
        elif self._error:
            self._reply(error_response(self._error))
        else:
            body = self._form.whole(self.choices, self._usage)
            self._reply(Response(200, body, headers=f"X-Request-Id: {self._form.identity}\r\n"))

    def log(self, samples: RequestSampler) -> None:
        """Gives the request log what was asked and answered, in the form of the signature `generate`."""
        servable, request = self._prepared.lease.servable, self._prepared.request
        if not samples.wants(servable.name):
            return
        metadata = LogMetadata(
            servable.name, servable.version, _SIGNATURE, samples.rate(servable.name), int(time.time())
        )
        texts = ["".join(choice.text) for choice in self.choices]
        prompts = [prompt for prompt in self._prepared.prompts for _ in range(request.choices)]
        size = sum(map(len, texts)) + sum(len(prompt.text) for prompt in prompts)
        samples.put(servable.name, partial(_make_log, metadata, request, prompts, texts), size)


def _make_log(
    metadata: LogMetadata, request: GenerationRequest, prompts: Sequence[Prompt], texts: Sequence[str]
) -> Any:
    rows = len(prompts)
    inputs = {
        "prompt": _strings([prompt.text for prompt in prompts]),
        "seed": np.full(rows, request.sampling.seed, np.int64),
        "temperature": np.full(rows, request.sampling.temperature, np.float32),
        "length": np.array([prompt.room for prompt in prompts], np.int32),
    }
    return records.predict_log(metadata, inputs, {"text": _strings(texts)})


def _strings(texts: Sequence[str]) -> np.ndarray:
    array = np.empty(len(texts), object)
    array[:] = [text.encode("utf-8", "replace") for text in texts]
    return array
