"""/v1/embeddings over a version's signature `embed`: {text (batch,)} -> {embedding (batch, width)}."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from serving.core import predict
from serving.core.handler import PreparedRequest, RequestContext
from serving.errors import InvalidArgument, ServingError
from serving.openai import models
from serving.openai.fields import Fields
from serving.openai.requests import parse_body
from serving.request_log import records
from serving.rest.parser import Response
from serving.wire import openai_errors
from serving.wire.strings import as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.core.handler import Answer, RequestHandler
    from serving.core.models import Models
    from serving.core.servable import ServableHandle
    from serving.core.work import LogMetadata, Values

EMBED = "embed"
_MOST_TEXTS = 2048
_FIELDS = ("model", "input", "encoding_format", "user")


def answer(
    served: Models, handler: RequestHandler, body: bytes, reply: Callable[[Response], None], deadline: float
) -> None:
    """Answers a request for embeddings later.

    Args:
        served: The models.
        handler: Runs them.
        body: The request's.
        reply: Takes the answer, on the event loop.
        deadline: By `time.monotonic`.
    """

    def done(result: Answer) -> None:
        if isinstance(result, ServingError):
            reply(Response(openai_errors.http_status(result), openai_errors.error_body(result)))
        else:
            reply(Response(200, result))

    context = RequestContext("REST", "embeddings", "", done, large=True, deadline=deadline)
    handler.answer(context, partial(_prepare, served, body))


def _prepare(served: Models, body: bytes) -> PreparedRequest:
    fields = Fields(parse_body(body))
    fields.check_known(_FIELDS, {"dimensions": ()})
    texts = _read_texts(fields)
    as_base64 = fields.choice("encoding_format", ("float", "base64"), "float") == "base64"
    lease = models.acquire(served, fields.text("model"), body)
    try:
        return _prepare_run(lease, fields.text("model"), texts, as_base64=as_base64)
    except BaseException as error:
        lease.refuse(error)
        raise


def _read_texts(fields: Fields) -> list[str]:
    value = fields.content.get("input")
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise fields.error("input", "a text or a list of texts, none of them empty")
    if len(texts) > _MOST_TEXTS:
        raise fields.error("input", f"at most {_MOST_TEXTS} texts")
    return texts


def _prepare_run(lease: ServableHandle, name: str, texts: Sequence[str], *, as_base64: bool) -> PreparedRequest:
    signature = lease.model.signatures.get(EMBED)
    if signature is None or len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise InvalidArgument(f"The model '{name}' makes no embeddings: it has no signature '{EMBED}' of texts.")
    encoded = np.empty(len(texts), object)
    encoded[:] = [text.encode("utf-8", "replace") for text in texts]
    [alias], [output] = signature.inputs, signature.outputs
    inputs = {alias: encoded}
    fetch, _ = predict.prepare(lease.model, EMBED, inputs)
    tokens = _count_tokens(lease, encoded)

    def encode(values: Values) -> bytes:
        return _write(name, as_array(values[0]), tokens, as_base64=as_base64)

    def log(metadata: LogMetadata, values: Values, _: bytes) -> Any:
        return records.predict_log(metadata, inputs, {output: values[0]})

    return PreparedRequest(lease, EMBED, fetch, encode, log=log)


def _count_tokens(lease: ServableHandle, texts: np.ndarray) -> int:
    """Tokens of the texts; 0 for a model that does not say what its tokens are."""
    if "tokenize" not in lease.model.signatures:
        return 0
    tokens = predict.run(lease.model, "tokenize", {"text": texts})["tokens"]
    return int((tokens >= 0).sum())


def _write(name: str, vectors: np.ndarray, tokens: int, *, as_base64: bool) -> bytes:
    rows = np.ascontiguousarray(vectors, "<f4").reshape(len(vectors), -1)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.tobytes()).decode() if as_base64 else row,
        }
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    content = {"object": "list", "data": data, "model": name, "usage": usage}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
