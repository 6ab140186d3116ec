"""Streamed answers on raw sockets: their form, clients that read slowly or leave, and many at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct

import httpx
import openai
import psutil
import pytest

HELLO = [{"role": "user", "content": "hello"}]
ENDLESS = {"messages": HELLO, "seed": 5, "logit_bias": {"2": -100}, "temperature": 0.5}  # the end never comes


def _request(model="talk", version="1.1", headers="", **fields):
    body = json.dumps({"model": model, **ENDLESS, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/{version}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def _dial(server):
    host, port = server.rest.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def _read_until(connection, end):
    data = b""
    while end not in data:
        part = connection.recv(1 << 16)
        assert part, data[-500:]
        data += part
    return data


def _read_all(connection):
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def _chunks(body):
    """Chunks of a chunked body."""
    parts = []
    while True:
        size, _, body = body.partition(b"\r\n")
        if not int(size, 16):
            assert b"\r\n" == body[:2]
            return parts, body[2:]
        parts.append(body[: int(size, 16)])
        assert b"\r\n" == body[int(size, 16) : int(size, 16) + 2]
        body = body[int(size, 16) + 2 :]


def _events(body):
    *events, rest = body.decode().split("\n\n")
    assert "" == rest
    assert all(event.startswith("data: ") for event in events)
    assert "data: [DONE]" == events.pop()
    return [json.loads(event[6:]) for event in events]


def _text(events):
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events)


def _whole(server, model="talk", **fields):
    answer = httpx.post(
        f"{server.rest}/v1/chat/completions", json={"model": model, **ENDLESS, **fields}, timeout=60
    ).json()
    return answer["choices"][0]["message"]["content"]


def _number(server, name, **labels):
    """A number of the Prometheus page."""
    page = httpx.get(f"{server.rest}/monitoring/prometheus/metrics", timeout=60).text
    for line in page.splitlines():
        if line.startswith(name) and all(f'{label}="{value}"' in line for label, value in labels.items()):
            return float(line.rpartition(" ")[2])
    return 0.0


def _streams(server, state, model="slow"):
    return _number(server, "keraspipe_generation_streams{", model=model, state=state)


@pytest.fixture
def busy(chat_server, wait_for):
    """Connections of four answers that take all places of `slow`; gone at the end."""
    wait_for(lambda: _streams(chat_server, "active") == 0)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(_dial(chat_server)) for _ in range(4)]
        for connection in connections:
            connection.sendall(_request("slow", stream=True))
            _read_until(connection, b"data: ")
        yield connections


def test_the_form_of_a_stream(chat_server):
    """Chunks of events; the connection goes on to be used, also for what was sent ahead."""
    with _dial(chat_server) as connection:
        ahead = b"GET /healthz HTTP/1.1\r\n\r\n"
        connection.sendall(_request(stream=True, max_tokens=20) + ahead)
        data = _read_until(connection, b'"ok"\n}\n')
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Type: text/event-stream" in head
        assert b"Content-Length" not in head
        parts, rest = _chunks(body)
        assert _whole(chat_server, max_tokens=20) == _text(_events(b"".join(parts)))
        assert rest.startswith(b"HTTP/1.1 200 OK")


def test_streams_that_are_sent_ahead_come_in_order(chat_server):
    with _dial(chat_server) as connection:
        connection.sendall(_request(stream=True, max_tokens=9) + _request(stream=True, max_tokens=3, seed=1))
        connection.shutdown(socket.SHUT_WR)
        body = _read_all(connection)
    first, second = body.split(b"HTTP/1.1 200 OK\r\n")[1:]
    texts = [_text(_events(b"".join(_chunks(part.partition(b"\r\n\r\n")[2])[0]))) for part in (first, second)]
    assert [_whole(chat_server, max_tokens=9), _whole(chat_server, max_tokens=3, seed=1)] == texts


def test_http_1_0_knows_no_chunks(chat_server):
    with _dial(chat_server) as connection:
        connection.sendall(_request(version="1.0", headers="Connection: keep-alive\r\n", stream=True, max_tokens=20))
        head, _, body = _read_all(connection).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert _whole(chat_server, max_tokens=20) == _text(_events(body))


def test_head_has_no_body(chat_server):
    with _dial(chat_server) as connection:
        connection.sendall(b"HEAD /openai/v1/models HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n")
        data = _read_until(connection, b'"ok"\n}\n')
    head, _, rest = data.partition(b"\r\n\r\n")
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) > 0
    assert rest.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_sends_no_more_still_gets_its_answer(chat_server, stream):
    with _dial(chat_server) as connection:
        connection.sendall(_request("slow", stream=stream, max_tokens=30))
        connection.shutdown(socket.SHUT_WR)
        data = _read_all(connection)
    while data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
        data = data.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "fin"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_client_that_leaves_frees_its_place(chat_server, wait_for, stream, reset):
    wait_for(lambda: _streams(chat_server, "active") == 0)
    ended = _number(chat_server, "keraspipe_generation_answers_total", model="slow", reason="cancelled")
    connection = _dial(chat_server)
    connection.sendall(_request("slow", stream=stream))
    wait_for(lambda: _streams(chat_server, "active") == 1)
    _leave(connection, reset=reset)
    wait_for(lambda: _streams(chat_server, "active") == 0)
    now = _number(chat_server, "keraspipe_generation_answers_total", model="slow", reason="cancelled")
    assert ended + 1 == now


def _leave(connection, *, reset):
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_clients_that_leave_while_they_wait(chat_server, busy, wait_for, stream):
    waiting = [_dial(chat_server) for _ in range(20)]
    for connection in waiting:
        connection.sendall(_request("slow", stream=stream))
    wait_for(lambda: _streams(chat_server, "waiting") == 20)
    for place, connection in enumerate(waiting):
        _leave(connection, reset=place % 2 == 0)
    wait_for(lambda: _streams(chat_server, "waiting") == 0)
    assert 4 == _streams(chat_server, "active")
    for connection in busy:
        assert connection.recv(1 << 16)


def test_a_flood_of_requests_that_are_given_up(chat_server, wait_for):
    """At any point: in the head, in the body, before and within the answer."""
    request = _request("talk", stream=True)
    for number in range(200):
        connection = _dial(chat_server)
        connection.sendall(request[: len(request) * (number % 5 + 1) // 5])
        if number % 10 == 4:
            connection.recv(100)
        _leave(connection, reset=number % 2 == 0)
    wait_for(lambda: _streams(chat_server, "active", "talk") == 0 == _streams(chat_server, "waiting", "talk"))
    assert _whole(chat_server, max_tokens=5)
    assert 0 == _number(chat_server, "keraspipe_requests_in_flight")


def test_a_slow_reader_keeps_no_place(chat_server, wait_for):
    """Its answer is generated to its end and kept as text, others go on; it gets all of it."""
    with _dial(chat_server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(_request(stream=True, max_tokens=100))
        wait_for(lambda: _streams(chat_server, "active", "talk") == 0)
        whole = _whole(chat_server, max_tokens=100)
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(4096)
    parts, _ = _chunks(data.partition(b"\r\n\r\n")[2])
    assert whole == _text(_events(b"".join(parts)))


def test_a_thousand_streams(chat_server, chat_models):
    """All are answered, each with the text that it has alone; health and other models answer meanwhile."""
    process = psutil.Process(chat_server.process.pid)
    texts = [_whole(chat_server, max_tokens=6, seed=seed) for seed in range(4)]
    before = process.memory_info().rss

    async def ask(number):
        host, port = chat_server.rest.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(_request(stream=True, max_tokens=6, seed=number % 4, headers="Connection: close\r\n"))
        data = await reader.read(-1)
        writer.close()
        return data

    async def ask_all():
        async with httpx.AsyncClient(timeout=60) as client:
            asked = [asyncio.ensure_future(ask(number)) for number in range(1000)]
            while not all(each.done() for each in asked):
                health = await client.get(f"{chat_server.rest}/healthz")
                assert {"status": "ok"} == health.json()
                answer = await client.post(f"{chat_server.rest}/v1/models/half:predict", json={"instances": [2.0]})
                assert {"predictions": [3.0]} == answer.json()
                await asyncio.sleep(0.2)
            return [each.result() for each in asked]

    answers = asyncio.run(ask_all())
    for number, answer in enumerate(answers):
        parts, _ = _chunks(answer.partition(b"\r\n\r\n")[2])
        assert texts[number % 4] == _text(_events(b"".join(parts)))
    assert process.memory_info().rss - before < 300 * 2**20


def test_beyond_the_queue(chat_models, run_server, client_of, wait_for):
    """Whoever comes when too many wait is told when to come again."""
    with run_server(chat_models, generation={"waiting": 2}) as server, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(_dial(server)) for _ in range(6)]
        for connection in connections:
            connection.sendall(_request("slow"))
        wait_for(lambda: _streams(server, "waiting") == 2)
        client = stack.enter_context(client_of(server))
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="slow", **ENDLESS)
        assert ("rate_limit_exceeded", 429) == (refused.value.code, refused.value.status_code)
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60
        assert client.chat.completions.create(model="talk", **ENDLESS, max_tokens=3).choices


def test_an_answer_that_takes_too_long(chat_models, run_server, client_of):
    with run_server(chat_models, generation={"timeout_s": 1.0}) as server, client_of(server) as client:
        with pytest.raises(openai.APIStatusError) as late:
            client.chat.completions.create(model="slow", **ENDLESS)
        assert (504, "timeout") == (late.value.status_code, late.value.code)
        stream, chunks = client.chat.completions.create(model="slow", **ENDLESS, stream=True), []
        with pytest.raises(openai.APIError) as late:
            chunks.extend(stream)
        assert "took longer than it may" in late.value.message
        assert len(chunks) > 2


def test_a_version_that_is_replaced(languages, run_server, client_of, publish, wait_for, tmp_path):
    """Its answers go on for a while, then end in words; who asks meanwhile is answered by the new one."""
    publish_to = tmp_path / "slow"
    publish_to.mkdir()
    publish(languages / "slow", publish_to / "1")
    with run_server(tmp_path, drain_seconds=1.0) as server, client_of(server) as client:
        stream = client.chat.completions.create(model="slow", **ENDLESS, stream=True)
        first = next(stream)
        publish(languages / "quick", publish_to / "2")
        wait_for(lambda: client.models.retrieve("slow").version == 2)
        answer = client.chat.completions.create(model="slow", **ENDLESS, max_tokens=5)
        assert ["fp_slow_1", "fp_slow_2"] == [first.system_fingerprint, answer.system_fingerprint]
        with pytest.raises(openai.APIError) as ended:
            list(stream)
        assert "Version 1 of slow is being unloaded" in ended.value.message
        wait_for(lambda: _state(server, 1) == "END")


def _state(server, version):
    statuses = httpx.get(f"{server.rest}/v1/models/slow").json()["model_version_status"]
    return next(status["state"] for status in statuses if status["version"] == str(version))


def test_a_server_that_goes_away(chat_models, run_server, client_of):
    """What can be finished in time is; the rest ends in words."""
    with run_server(chat_models, drain_seconds=4.0) as server, client_of(server) as client:
        long = client.chat.completions.create(model="slow", **ENDLESS, stream=True)
        short = client.chat.completions.create(model="slow", **ENDLESS, max_tokens=20, stream=True)
        next(long), next(short)
        log = open(f"/proc/{server.process.pid}/fd/2", errors="replace")  # noqa: PTH123, SIM115
        server.process.send_signal(15)
        assert "length" == list(short)[-1].choices[0].finish_reason
        with pytest.raises(openai.APIError) as ended:
            list(long)
        assert "is being unloaded" in ended.value.message
        assert 0 == server.process.wait(timeout=40)
        with log:
            assert "Traceback" not in log.read()


def test_the_numbers_of_the_page(chat_server):
    before = _number(chat_server, "keraspipe_generation_tokens_total", model="talk")
    _whole(chat_server, max_tokens=7)
    assert before + 7 == _number(chat_server, "keraspipe_generation_tokens_total", model="talk")
    for name in ("first_token_seconds_count", "tokens_per_second_count", "prompt_tokens_total"):
        assert _number(chat_server, f"keraspipe_generation_{name}", model="talk") > 0
    assert _number(chat_server, "keraspipe_requests_total", api="chat", model="talk", code="OK") > 0


def test_answers_in_the_request_log(chat_models, run_server, tmp_path):
    """As if the signature `generate` had been called."""
    from serving.options import RequestLog
    from serving.request_log.records import read_logs

    with run_server(chat_models, request_log=RequestLog(tmp_path, 1.0)) as server:
        text = _whole(server, max_tokens=7)
        assert 0 == server.terminate()
    [log] = [log for file in tmp_path.rglob("*.tfrecord") for log in read_logs(file)]
    assert "generate" == log.predict_log.request.model_spec.signature_name
    inputs = log.predict_log.request.inputs
    assert b"<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n" == inputs["prompt"].string_val[0]
    assert (5, 7) == (inputs["seed"].int64_val[0], inputs["length"].int_val[0])
    assert text.encode() == log.predict_log.response.outputs["text"].string_val[0]


def test_the_log_has_no_tracebacks(chat_server):
    """Last: after all that others did to the server."""
    with open(f"/proc/{chat_server.process.pid}/fd/2", errors="replace") as log:  # noqa: PTH123
        text = log.read()
    assert "Traceback" not in text
    assert "unexpectedly" not in text
