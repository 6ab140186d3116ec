"""OpenAI's own client against a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import ssl

import httpx
import openai
import pytest
import trustme

HELLO = [{"role": "user", "content": "hello"}]
LONG = {"model": "talk", "messages": HELLO, "seed": 5, "max_tokens": 60, "logit_bias": {"2": -100}}


def _text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def _refused(call, kind=openai.BadRequestError):
    with pytest.raises(kind) as raised:
        call()
    return raised.value


def test_a_chat(client):
    answer = client.chat.completions.create(**LONG)
    [choice] = answer.choices
    assert "chat.completion" == answer.object
    assert answer.id.startswith("chatcmpl-")
    assert ("assistant", "length") == (choice.message.role, choice.finish_reason)
    assert 60 == answer.usage.completion_tokens
    prompt = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    marks = prompt.count("<|im_start|>") + prompt.count("<|im_end|>")
    bare = prompt.replace("<|im_start|>", "").replace("<|im_end|>", "")
    assert marks + len(bare) == answer.usage.prompt_tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 60


def test_a_chat_streams_the_same_text(client):
    chunks = list(client.chat.completions.create(**LONG, stream=True))
    whole = client.chat.completions.create(**LONG).choices[0].message.content
    assert whole == _text(chunks)
    assert "assistant" == chunks[0].choices[0].delta.role
    assert "length" == chunks[-1].choices[0].finish_reason
    assert 1 == len({chunk.id for chunk in chunks})
    assert len(chunks) > 20  # it comes bit by bit
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_tells_its_counts(client):
    *chunks, last = client.chat.completions.create(**LONG, stream=True, stream_options={"include_usage": True})
    assert [] == last.choices
    assert 60 == last.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks)


def test_the_end_token_ends_an_answer(client):
    answer = client.chat.completions.create(model="talk", messages=HELLO, logit_bias={"2": 100})
    assert ("", "stop", 0) == (
        answer.choices[0].message.content,
        answer.choices[0].finish_reason,
        answer.usage.completion_tokens,
    )


@pytest.mark.parametrize("stream", [False, True])
def test_stop_texts_are_cut_off(client, stream):
    """Each token is a byte: any stop text lies over several."""
    whole = client.chat.completions.create(**LONG).choices[0].message.content
    stop = whole[20:25]
    answer = client.chat.completions.create(**LONG, stop=["never comes", stop], stream=stream)
    text = _text(answer) if stream else answer.choices[0].message.content
    assert whole[: whole.index(stop)] == text


def test_equal_seeds_give_equal_texts(client):
    first, second = (client.chat.completions.create(**LONG).choices[0].message.content for _ in range(2))
    other = client.chat.completions.create(**{**LONG, "seed": 6}).choices[0].message.content
    assert first == second != other


def test_cold_is_greedy(client):
    texts = {
        client.chat.completions.create(**{**LONG, "seed": seed}, temperature=0).choices[0].message.content
        for seed in (1, 2)
    }
    narrow = client.chat.completions.create(**LONG, top_p=1e-9).choices[0].message.content
    assert {narrow} == texts


def test_several_choices(client):
    answer = client.chat.completions.create(**LONG, n=3)
    assert [0, 1, 2] == [choice.index for choice in answer.choices]
    texts = [choice.message.content for choice in answer.choices]
    assert 3 == len(set(texts))
    alone = client.chat.completions.create(**LONG).choices[0].message.content
    assert alone == texts[0]
    assert 180 == answer.usage.completion_tokens
    streamed = [""] * 3
    for chunk in client.chat.completions.create(**LONG, n=3, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == streamed


def test_log_probabilities(client):
    answer = client.chat.completions.create(**LONG, logprobs=True, top_logprobs=3, temperature=0)
    tokens = answer.choices[0].logprobs.content
    assert 60 == len(tokens)
    assert answer.choices[0].message.content.encode() == b"".join(bytes(token.bytes) for token in tokens)
    for token in tokens:
        assert 3 == len(token.top_logprobs)
        assert token.top_logprobs[0].logprob == max(token.logprob, *(top.logprob for top in token.top_logprobs))
    assert max(token.logprob for token in tokens) <= 0


def test_completions(client):
    asked = {"model": "talk", "prompt": "the qu", "seed": 1, "logit_bias": {"2": -100}}
    answer = client.completions.create(**asked)
    assert "text_completion" == answer.object
    assert (6, 16) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    echoed = client.completions.create(**asked, echo=True).choices[0].text
    assert "the qu" + answer.choices[0].text == echoed
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(**asked, echo=True, stream=True))
    assert echoed == streamed
    by_tokens = client.completions.create(**{**asked, "prompt": list(b"the qu")})
    assert answer.choices[0].text == by_tokens.choices[0].text
    both = client.completions.create(**{**asked, "prompt": ["the qu", "a"]}, n=2, max_tokens=4, logprobs=2)
    assert [0, 1, 2, 3] == [choice.index for choice in both.choices]
    assert (7, 16) == (both.usage.prompt_tokens, both.usage.completion_tokens)
    assert 4 == len(both.choices[3].logprobs.tokens)
    assert 2 == len(both.choices[3].logprobs.top_logprobs[0])


def test_embeddings(client):
    answer = client.embeddings.create(model="talk", input=["hello", "ab"])
    numbers = client.embeddings.create(model="talk", input="hello", encoding_format="float")
    assert [0, 1] == [item.index for item in answer.data]
    assert 7 == answer.usage.prompt_tokens
    assert pytest.approx(answer.data[0].embedding, rel=1e-6) == numbers.data[0].embedding
    error = _refused(lambda: client.embeddings.create(model="half", input="x"))
    assert "makes no embeddings" in error.message


def test_the_list_of_models(client):
    assert ["slow", "talk"] == sorted(model.id for model in client.models.list())
    assert "talk" == client.models.retrieve("talk").id
    error = _refused(lambda: client.models.retrieve("half"), openai.NotFoundError)
    assert "model_not_found" == error.code


def test_the_paths_of_tensorflow_serving_are_its_own(chat_server, client_of):
    """Under /v1, OpenAI's clients get their lists by a header of theirs, all others what TensorFlow Serving says."""
    with client_of(chat_server, "/v1") as client:
        assert ["slow", "talk"] == sorted(model.id for model in client.models.list())
        assert client.chat.completions.create(**LONG).choices
    answer = httpx.get(f"{chat_server.rest}/v1/models")
    assert (400, {"error": "Missing model name in request."}) == (answer.status_code, answer.json())
    status = httpx.get(f"{chat_server.rest}/v1/models/talk").json()
    assert "1" == status["model_version_status"][0]["version"]


def test_a_version_can_be_named(client):
    assert client.chat.completions.create(**{**LONG, "model": "talk@1"}).choices
    error = _refused(lambda: client.chat.completions.create(**{**LONG, "model": "talk@9"}), openai.NotFoundError)
    assert ("model_not_found", 404) == (error.code, error.status_code)


def test_conversations_share_their_beginning(client):
    """What a slot still holds of a prompt's beginning is not read again, and the answer is the same."""
    story = [{"role": "user", "content": "tell me of the quick brown fox " * 8}]
    asked = {**LONG, "messages": story}
    answers = [client.chat.completions.create(**asked) for _ in range(6)]
    assert 1 == len({answer.choices[0].message.content for answer in answers})
    assert max(answer.usage.prompt_tokens_details.cached_tokens for answer in answers) >= 192


BAD = {
    "role": ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role", "one of"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", "missing"),
    "empty": ({"messages": []}, "messages", "at least one message"),
    "blank": ({"messages": [{"role": "user", "content": "  "}]}, "messages", "empty"),
    "no list": ({"messages": "hello"}, "messages", "a list"),
    "no object": ({"messages": ["hello"]}, "messages[0]", "an object"),
    "picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].type",
        "texts only",
    ),
    "seed": ({"seed": 2**63}, "seed", "-9223372036854775808 to 9223372036854775807"),
    "no seed": ({"seed": "7"}, "seed", "a whole number"),
    "temperature": ({"temperature": 2.1}, "temperature", "from 0 to 2"),
    "top_p": ({"top_p": -0.1}, "top_p", "from 0 to 1"),
    "n": ({"n": 5}, "n", "at most 4"),
    "no n": ({"n": 0}, "n", "from 1"),
    "max_tokens": ({"max_tokens": 0}, "max_tokens", "from 1"),
    "many tokens": ({"max_tokens": 512}, "max_tokens", "511 tokens at most"),
    "stop": ({"stop": ["a"] * 5}, "stop", "up to 4"),
    "empty stop": ({"stop": ""}, "stop", "1 to 1000"),
    "options": ({"stream_options": {"include_usage": True}}, "stream_options", "needs 'stream'"),
    "top_logprobs": ({"top_logprobs": 3}, "top_logprobs", "needs 'logprobs'"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "not supported"),
    "json": ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
    "bias": ({"logit_bias": {"999": 1}}, "logit_bias", "0 to 255"),
    "unknown": ({"extra_body": {"temprature": 1}}, "temprature", "no field"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_fields_are_named(client, name):
    fields, param, words = BAD[name]
    error = _refused(lambda: client.chat.completions.create(**{"model": "talk", "messages": HELLO, **fields}))
    assert ("invalid_request_error", param) == (error.type, error.param)
    assert words in error.message


def test_a_prompt_beyond_the_context(client):
    """It is refused with both lengths, or cut at its beginning if that is asked for."""
    long = [{"role": "user", "content": "old " * 200}, {"role": "assistant", "content": "yes"}, *HELLO]
    error = _refused(lambda: client.chat.completions.create(model="talk", messages=long, max_tokens=10))
    assert ("context_length_exceeded", "messages") == (error.code, error.param)
    assert "848 tokens" in error.message
    assert "512" in error.message
    assert "'truncation': 'auto'" in error.message
    cut = client.chat.completions.create(
        model="talk", messages=long, max_tokens=10, extra_body={"truncation": "auto"}, logit_bias={"2": -100}
    )
    assert cut.usage.prompt_tokens < 100
    prompt = client.completions.create(
        model="talk", prompt="ab" * 400, max_tokens=10, extra_body={"truncation": "auto"}
    )
    assert 502 == prompt.usage.prompt_tokens
    far = _refused(lambda: client.completions.create(model="talk", prompt="a" * 200_000))
    assert "200000 bytes" in far.message


def test_a_prompt_that_is_empty(client):
    for prompt in ("", [], [""], [[]], [-1], [256]):
        error = _refused(lambda prompt=prompt: client.completions.create(model="talk", prompt=prompt))
        assert "prompt" == error.param


def test_models_that_write_nothing(client):
    error = _refused(lambda: client.chat.completions.create(model="half", messages=HELLO))
    assert "writes no text" in error.message
    error = _refused(lambda: client.chat.completions.create(model="absent", messages=HELLO), openai.NotFoundError)
    assert "'absent' is not served" in error.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": 7}', b"[" * 5000, b"null"])
def test_bodies_that_are_none(chat_server, body):
    for path in ("chat/completions", "completions", "embeddings"):
        answer = httpx.post(f"{chat_server.rest}/v1/{path}", content=body)
        assert 400 == answer.status_code
        assert "invalid_request_error" == answer.json()["error"]["type"]


def test_paths_that_are_none(chat_server):
    answer = httpx.get(f"{chat_server.rest}/v1/chat/completions")
    assert (405, "POST, OPTIONS") == (answer.status_code, answer.headers["allow"])
    answer = httpx.post(f"{chat_server.rest}/openai/v1/audio")
    assert (404, "unknown_url") == (answer.status_code, answer.json()["error"]["code"])


def test_the_async_client(chat_server):
    """Many at once, each with the answer that it has alone."""

    async def ask_all():
        url = f"{chat_server.rest}/openai/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            asked = [client.chat.completions.create(**{**LONG, "seed": seed % 5}) for seed in range(30)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*asked)]

    texts = asyncio.run(ask_all())
    assert 5 == len(set(texts))
    assert texts[:5] * 6 == texts


def test_conversations_are_no_client_s_to_call(chat_server):
    """`prefill` and `decode` over TensorFlow Serving's protocol would reach into everybody's conversations."""
    inputs = {"tokens": [1], "slot": 0, "position": 0}
    body = json.dumps({"signature_name": "prefill", "inputs": inputs})
    answer = httpx.post(f"{chat_server.rest}/v1/models/talk:predict", content=body)
    assert 400 == answer.status_code
    assert "called by the server only" in answer.text


def test_a_token_is_asked_for_in_openai_s_form(chat_models, run_server, client_of):
    with run_server(chat_models, security={"token": "secret"}) as server:
        with client_of(server) as client:
            error = _refused(lambda: client.chat.completions.create(**LONG), openai.AuthenticationError)
            assert ("invalid_api_key", "invalid_request_error") == (error.code, error.type)
            _refused(client.models.list, openai.AuthenticationError)
        with client_of(server, api_key="secret") as client:
            assert client.chat.completions.create(**LONG).choices
            assert ["slow", "talk"] == sorted(model.id for model in client.models.list())
        answer = httpx.get(f"{server.rest}/v1/models/talk")
        assert '{ "error": ' in answer.text.replace("\n", "") or isinstance(answer.json()["error"], str)


def test_bodies_that_are_too_large(chat_models, run_server):
    with run_server(chat_models, limits={"request_bytes": 1000}) as server:
        answer = httpx.post(f"{server.rest}/v1/chat/completions", content=b"x" * 2000)
        assert (413, "invalid_request_error") == (answer.status_code, answer.json()["error"]["type"])
        assert isinstance(httpx.post(f"{server.rest}/v1/models/talk:predict", content=b"x" * 2000).json()["error"], str)


def test_bodies_by_gzip(chat_server):
    body = gzip.compress(json.dumps({"model": "talk", "prompt": "a", "max_tokens": 2}).encode())
    answer = httpx.post(f"{chat_server.rest}/v1/completions", content=body, headers={"Content-Encoding": "gzip"})
    assert 2 == answer.json()["usage"]["completion_tokens"]


def test_several_processes_give_the_same_text(chat_models, run_server):
    """Each has a model of its own; which one answers is the system's to choose."""
    body = {"model": "talk", "prompt": "a", "max_tokens": 9, "seed": 4}
    with run_server(chat_models, workers=2) as server:
        texts = {httpx.post(f"{server.rest}/v1/completions", json=body).json()["choices"][0]["text"] for _ in range(12)}
    assert 1 == len(texts)


def test_a_canary_chooses_who_answers(languages, run_server, client_of, tmp_path):
    for name in ("talk", "talk-challenger"):
        shutil.copytree(languages / "quick", tmp_path / name / "1")
    with run_server(tmp_path, canary={"talk": 1.0}) as server, client_of(server) as client:
        answer = client.chat.completions.create(**LONG)
        assert ("talk", "fp_talk-challenger_1") == (answer.model, answer.system_fingerprint)
        _refused(lambda: client.chat.completions.create(**{**LONG, "n": 50}))
        sides = httpx.get(f"{server.rest}/canary").json()
    assert "talk" in sides


def test_streams_over_tls(chat_models, run_server, tmp_path):
    authority = trustme.CA()
    files = {name: tmp_path / name for name in ("certificate", "key")}
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(files["key"])
    issued.cert_chain_pems[0].write_to_path(files["certificate"])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with run_server(chat_models, security=files) as server, httpx.Client(verify=context) as web:
        answer = web.post(f"{server.rest}/v1/chat/completions", json={**LONG, "stream": True})
        lines = [line for line in answer.text.splitlines() if line]
    assert "data: [DONE]" == lines[-1]
    assert len(lines) > 20


def test_every_example_of_the_document_is_answered(chat_server):
    document = httpx.get(f"{chat_server.rest}/models/talk/openapi.json").json()
    asked = {
        f"{chat_server.rest}{path}": example["value"]
        for path, item in document["paths"].items()
        if path.startswith("/openai/")
        for example in item["post"]["requestBody"]["content"]["application/json"]["examples"].values()
    }
    assert ["chat/completions", "completions", "embeddings"] == [url.partition("/openai/v1/")[2] for url in asked]
    for url, body in asked.items():
        assert {"choices", "data"} & httpx.post(url, json=body).raise_for_status().json().keys()
    assert not any(name.startswith(("prefill", "decode")) for name in document["components"]["schemas"])
