"""What the OpenAPI document says of language models: the fields that the server reads, and no more."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import Phase, given, settings

from serving.openai import embeddings, requests
from serving.openai.fields import Fields
from serving.rest import openapi, openapi_texts
from tests.serving.rest.test_openapi import signature, tensor

LANGUAGE, TEXTS = {"decode", "prefill"}, {"text": tensor("string", (-1,))}
READERS = {
    "chat/completions": requests.read_chat,
    "completions": requests.read_completion,
    "embeddings": lambda content: embeddings._read_texts(Fields(content)),
}
FIELDS = {
    "chat/completions": {*requests._CHAT, "stream_options"} - {*requests._IGNORED},
    "completions": {*requests._COMPLETION, "stream_options"} - {*requests._IGNORED, "best_of"},
    "embeddings": {*embeddings._FIELDS} - {"user"},
}


def schema(path: str) -> dict[str, Any]:
    operation = openapi_texts.paths("m", writes=True, embeds=True)[f"/openai/v1/{path}"]["post"]
    return operation["requestBody"]["content"]["application/json"]


def whole_numbers(value: Any) -> Any:
    """The same with 1 for 1.0, which to a schema is a whole number, too."""
    if isinstance(value, dict):
        return {name: whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def sound(content: dict[str, Any]) -> dict[str, Any]:
    """The same as far as fields need each other, which a schema of fields does not say."""
    if not content.get("logprobs"):
        content.pop("top_logprobs", None)
    options = content.pop("stream_options", {})
    if content.get("stream"):
        content["stream_options"] = {name: options[name] for name in options if name == "include_usage"}
    if "logit_bias" in content:
        content["logit_bias"] = {str(place): bias for place, bias in enumerate(content["logit_bias"].values())}
    for message in content.get("messages", []):
        for name in message.keys() - {"role", "content", "name"}:
            del message[name]
        message["content"] = "Hello"
    return content


@pytest.mark.heavy
@pytest.mark.parametrize("path", READERS)
def test_what_fits_the_document_is_read(path):
    whole = document({"embed": signature("embed", TEXTS)}, LANGUAGE)
    operation = schemathesis.openapi.from_dict(whole)[f"/openai/v1/{path}"]["POST"]

    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE))
    @settings(max_examples=25, phases=[Phase.generate])
    def read(case):
        known = {name: value for name, value in case.body.items() if name in FIELDS[path]}
        READERS[path](sound(whole_numbers(known)))

    read()


@pytest.mark.parametrize("path", READERS)
def test_all_fields_are_named(path):
    assert FIELDS[path] == schema(path)["schema"]["properties"].keys()
    READERS[path](schema(path)["examples"]["a short one"]["value"])


def test_only_language_models_write_and_only_encoders_of_texts_embed():
    assert set() == written({"embed": signature("embed", {"image_bytes": tensor("string", (-1,))})})
    assert {"embeddings"} == written({"embed": signature("embed", TEXTS)})
    assert {"chat/completions", "completions"} == written({"decode": signature("decode")}, LANGUAGE)


def document(signatures, reserved=()):
    return openapi.document("m", 1, signatures, "http://127.0.0.1:8501", None, reserved)


def written(signatures, reserved=()):
    whole = document(signatures, reserved)
    pytest.importorskip("openapi_spec_validator").validate(whole)
    assert not any(name.startswith("decode") for name in whole["components"]["schemas"])
    return {path.removeprefix("/openai/v1/") for path in whole["paths"] if path.startswith("/openai/")}
