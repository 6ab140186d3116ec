"""Who answers in a chat: the published version in this process, or a server."""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from serving.client.endpoint import Endpoint
    from serving.generation.answer import Piece

_CONNECT_S = 10.0


class ChatSource(Protocol):
    """Answers conversations."""

    def answer(self, content: dict[str, Any]) -> Iterator[str]:
        """Yields the answer to a body of /v1/chat/completions as it comes; closing the iterator ends it.

        Raises:
            PipelineError: There is no answer, or it ends unfinished.
        """


class LocalSource:
    """A version that is loaded into this process.

    Args:
        folder: Of the version.
        name: What the user calls it.

    Raises:
        UsageError: It is no language model.
    """

    def __init__(self, folder: Path, name: str) -> None:
        from serving.core.model import LoadedModel
        from serving.errors import ServingError
        from serving.generation.engine import Engine
        from serving.generation.language_model import LanguageCalls

        try:
            self._engine = Engine(LanguageCalls(LoadedModel(folder)), name=name)
            self._engine.calls.tokenize([""])  # what TensorFlow logs at its first run comes now
        except ServingError as error:
            raise UsageError(
                f"{name} cannot chat.",
                expected="a language model",
                received=error.short_message or error.message,
                action="list the models with: keraspipe models",
            ) from error

    def answer(self, content: dict[str, Any]) -> Iterator[str]:
        """Yields the answer as it comes."""
        from serving.errors import ServingError

        pieces: queue.Queue[Piece] = queue.Queue()
        try:
            generation = self._begin(content, pieces)
        except ServingError as error:
            raise _unanswered(error.message) from error
        try:
            while not (piece := pieces.get()).is_last:
                yield piece.text
            yield piece.text
        finally:
            self._engine.cancel([generation])
        if piece.error:
            raise _unanswered(piece.error.message)

    def _begin(self, content: dict[str, Any], pieces: queue.Queue[Piece]) -> Any:
        from serving.generation.answer import Generation, Limits
        from serving.openai.prompts import make_prompts
        from serving.openai.requests import read_chat

        request, calls = read_chat(content), self._engine.calls
        [prompt] = make_prompts(request, calls)
        limits = Limits(prompt.room, request.stops, calls.about.end)
        generation = Generation(prompt.tokens, request.sampling, limits, pieces.put)
        self._engine.submit([generation])
        return generation


class ServerSource:
    """A model of a server.

    Args:
        endpoint: The server.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
        verify = _tls_context(endpoint) if endpoint.secure else True
        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        self._url = f"{endpoint.where}/openai/v1/chat/completions"
        self._client = httpx.Client(headers=headers, timeout=timeout, verify=verify, trust_env=not endpoint.is_local)

    def answer(self, content: dict[str, Any]) -> Iterator[str]:
        """Yields the answer as it comes."""
        import httpx

        try:
            with self._client.stream("POST", self._url, json={**content, "stream": True}) as response:
                if response.status_code != httpx.codes.OK:
                    raise _unanswered(_read_error(response.read()))
                yield from _read_texts(response.iter_lines())
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise PipelineError(
                f"No server answers at {self._url}.",
                expected="a server of language models",
                received=str(error),
                action="start one with `keraspipe serve`, or leave --server out",
            ) from error
        except httpx.HTTPError as error:
            raise _unanswered(f"the connection broke: {error}") from error


def _tls_context(endpoint: Endpoint) -> Any:
    import ssl

    return ssl.create_default_context(cafile=endpoint.ca)


def _read_texts(lines: Iterator[str]) -> Iterator[str]:
    """The texts of server-sent events."""
    for line in lines:
        kind, _, data = line.partition(": ")
        if kind != "data" or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            raise _unanswered(event["error"]["message"])
        for choice in event["choices"]:
            yield choice["delta"].get("content") or ""


def _read_error(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200] or "an empty answer"


def _unanswered(why: str) -> PipelineError:
    return PipelineError(
        "There is no answer.", expected="an answer", received=why, action="change the message, or the server"
    )
