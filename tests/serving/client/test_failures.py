"""The clients and servers that fail: real sockets that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.client.async_client import AsyncClient
from serving.client.client import Client
from serving.errors import (
    Code,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ServingError,
    Unavailable,
)

both_kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def ask(kind, address, method, *args, options=None, **keywords):
    """Call one method of a client of either kind."""
    if kind == "sync":
        with Client(address, **(options or {})) as client:
            return getattr(client, method)(*args, **keywords)

    async def asked():
        async with AsyncClient(address, **(options or {})) as client:
            return await getattr(client, method)(*args, **keywords)

    return asyncio.run(asked())


class Scripted:
    """An HTTP server that treats each request with the next of its acts, the last one again and again."""

    def __init__(self, *acts):
        self.acts = list(acts)
        self.requests = []
        self.stop = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = ThreadPoolExecutor(8)
        self._threads.submit(self._accept)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._threads.submit(self._treat, self._socket.accept()[0])

    def _treat(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            self.requests.append(request.decode(errors="replace"))
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            act(connection, self.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads.shutdown()


def answer(document, status=200):
    body = document.encode() if isinstance(document, str) else json.dumps(document).encode()

    def act(connection, _stop):
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    return act


def reset(connection, _stop):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection, _stop):
    connection.shutdown(socket.SHUT_RDWR)


def half(connection, _stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def hang(_connection, stop):
    stop.wait(30)


def send_slowly(connection, stop, pieces):
    for piece in pieces:
        connection.sendall(piece)
        if stop.wait(0.05):
            return


def drip(connection, stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    send_slowly(connection, stop, [b" "] * 1000)


def drip_head(connection, stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    send_slowly(connection, stop, [b"x"] * 1000)


def drip_lines(connection, stop):
    """Whole headers, one after the other, and none is the last."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    send_slowly(connection, stop, (b"X-%d: x\r\n" % number for number in range(1000)))


def drip_interim(connection, stop):
    """One answer after the other that says that the answer is to come."""
    send_slowly(connection, stop, [b"HTTP/1.1 102 Processing\r\n\r\n"] * 1000)


def drip_chunks(connection, stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    send_slowly(connection, stop, [b"1\r\n \r\n"] * 1000)


def drip_frames(connection, stop):
    """HTTP/2 without an answer: one frame of settings after the other."""
    send_slowly(connection, stop, [bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])] * 1000)


def gzipped(connection, _stop):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nwhatever.")


AVAILABLE = {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": {"error_message": ""}}]}
AWAY = answer({"error": "The queue is full"}, 503)


@both_kinds
@pytest.mark.parametrize("act", [AWAY, reset, hang_up])
def test_what_is_away_is_asked_again(kind, act):
    with Scripted(act, act, answer(AVAILABLE)) as server:
        assert [3] == [one.version for one in ask(kind, server.url, "status", "m")]
        assert 3 == len(server.requests)


@both_kinds
@pytest.mark.parametrize("act", [AWAY, reset])
def test_the_tries_end(kind, act):
    with Scripted(act) as server:
        with pytest.raises(Unavailable):
            ask(kind, server.url, "status", "m", options={"attempts": 2})
        assert 2 == len(server.requests)


@both_kinds
@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (answer({"error": "boom"}, 500), ServingError, r"^boom$"),
        (answer({"error": "too much"}, 429), ServingError, r"^too much$"),
        (answer("<html>", 404), NotFound, r"HTTP status 404.\nExpected: .*\nReceived: '<html>'\nNext: "),
        (answer("", 302), ServingError, r"HTTP status 302"),
        (answer("[]"), ServingError, r"cannot be read.\nExpected: [\s\S]*\nNext: "),
        (answer("<html>"), ServingError, r"cannot be read.\nExpected: [\s\S]*\nNext: "),
        (answer("[" * 100_000), ServingError, r"cannot be read.\nExpected: [\s\S]*\nNext: "),
        (answer("[" * 100_000, 500), ServingError, r"HTTP status 500"),
        (gzipped, ServingError, r"cannot be read.\nExpected: [\s\S]*Content-Encoding: gzip\nNext: "),
        (half, DataLoss, r"broke off.\nExpected: .*\nReceived: .*\nNext: "),
    ],
)
def test_an_answer_is_final(kind, act, error, text):
    with Scripted(act) as server:
        with pytest.raises(error, match=text):
            ask(kind, server.url, "status", "m")
        assert 1 == len(server.requests)


@both_kinds
@pytest.mark.parametrize(
    "act", [hang, drip, drip_head, drip_lines, drip_interim, drip_chunks], ids=lambda act: act.__name__
)
def test_a_slow_rest_server(kind, act):
    with (
        Scripted(act) as server,
        pytest.raises(
            DeadlineExceeded, match=r"No answer from http[\s\S]*Received: [\s\S]*Next: pass a larger timeout"
        ),
    ):
        ask(kind, server.url, "status", "m", timeout_s=0.3)


@both_kinds
@pytest.mark.parametrize("act", [hang, drip_frames])
def test_a_slow_grpc_server(kind, act):
    with Scripted(act) as server, pytest.raises(DeadlineExceeded):
        ask(kind, server.url.removeprefix("http://"), "status", "m", timeout_s=0.5)


@both_kinds
def test_pauses_do_not_pass_the_deadline(kind, monkeypatch):
    monkeypatch.setattr("serving.client.calls.FIRST_PAUSE_S", 60.0)  # not a short deadline, which a busy machine passes
    with Scripted(AWAY) as server:
        with pytest.raises(Unavailable):
            ask(kind, server.url, "status", "m", timeout_s=20.0)
        assert 1 == len(server.requests)


@both_kinds
def test_paths_of_versions_labels_and_prefixes(kind):
    with Scripted(answer({"error": "x"}, 400)) as server:
        for target in ({}, {"version": 3}, {"label": "a/b"}):
            with pytest.raises(InvalidArgument):
                ask(kind, f"{server.url}/team/", "regress", "m:1/x", [{"x": 1.0}], **target)
        start = "POST /team/v1/models/m%3A1%2Fx"
        assert [f"{start}:regress", f"{start}/versions/3:regress", f"{start}/labels/a%2Fb:regress"] == [
            request.partition(" HTTP")[0] for request in server.requests
        ]


def _metadata(**outputs):
    def info(dtype):
        return {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1"}]}, "name": "t:0"}

    named = {name: info(dtype) for name, dtype in outputs.items()}
    signature = {"inputs": {"x": info("DT_FLOAT")}, "outputs": named, "method_name": "tensorflow/serving/predict"}
    return answer({"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}})


@pytest.mark.parametrize(
    ("answers", "now", "expected"),
    [
        ([[1.5]], {"y": "DT_FLOAT"}, {"y": [1.5]}),
        ([{"y": [2.5], "z": [1]}], {"y": "DT_FLOAT", "z": "DT_INT64"}, {"y": [2.5], "z": [1]}),
        ([["a"]], {"y": "DT_STRING"}, {"y": [b"a"]}),
        ([[1.5, 2]], {"z": "DT_FLOAT"}, {"z": [1.5, 2]}),
    ],
)
def test_a_new_version_with_other_outputs(answers, now, expected):
    """The first answer fits int64 `y`; what comes then does not, and is read by the signatures of now."""
    after = [answer({"outputs": one}) for one in answers]
    acts = [_metadata(y="DT_INT64"), answer({"outputs": [7]}), *after, _metadata(**now), *after]
    with Scripted(*acts) as server, Client(server.url) as client:
        assert {"y": [7]} == {key: value.tolist() for key, value in client.predict("m", [1.0]).items()}
        assert expected == {key: value.tolist() for key, value in client.predict("m", [1.0]).items()}
        assert len(acts) == len(server.requests)


def test_an_answer_that_never_fits_is_not_asked_for_again_and_again():
    acts = [_metadata(y="DT_INT64"), answer({"outputs": [1.5]})]
    with Scripted(*acts) as server, Client(server.url) as client:
        with pytest.raises(ServingError, match=r"cannot be read[\s\S]*Output 'y'") as caught:
            client.predict("m", [1.0])
        assert (Code.INTERNAL, 2) == (caught.value.code, len(server.requests))


@pytest.mark.heavy
@both_kinds
@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_no_server(kind, address):
    with pytest.raises(Unavailable, match=r"does not answer.[\s\S]*Received: [\s\S]*Next: start one"):
        ask(kind, address, "status", "half")


def test_the_wrong_port(server):
    with pytest.raises(Unavailable, match=r"Next: .*8500 is gRPC's usual port"):
        ask("sync", f"http://{server.grpc}", "status", "half", options={"attempts": 1})
    with pytest.raises(Unavailable, match=r"Next: .*REST addresses begin with http://"):
        ask("sync", server.rest.removeprefix("http://"), "status", "half", options={"attempts": 1})


def test_threads_share_a_client(server):
    with Client(server.rest) as rest, Client(server.grpc) as rpc, ThreadPoolExecutor(8) as threads:
        for client in (rest, rpc):
            found = threads.map(lambda i, client=client: client.predict("half", np.float32([i]))["y"][0], range(40))
            assert [3 + i / 2 for i in range(40)] == list(found)


@both_kinds
@pytest.mark.parametrize("act", [reset, hang_up])
def test_what_may_have_ended_a_server_is_not_sent_to_the_next(kind, act):
    """The signatures are asked for again; inputs are not."""
    with Scripted(_metadata(y="DT_FLOAT"), act, answer({"outputs": [1.0]})) as server:
        with pytest.raises(
            Unavailable, match=r"broke before the answer.\nExpected: [\s\S]*Received: [\s\S]*Next: look"
        ):
            ask(kind, server.url, "predict", "m", [1.0])
        assert 2 == len(server.requests)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9"])
def test_a_call_after_the_end_is_a_typed_error(address):
    client = Client(address)
    client.close()
    with pytest.raises(FailedPrecondition, match=r"The client is closed[\s\S]*Next: make a new client"):
        client.status("m")


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_an_async_call_after_the_end_is_a_typed_error(server, transport):
    client = AsyncClient(getattr(server, transport))

    async def ask(*, first):
        found = await client.predict("half", [2.0]) if first else {}
        await client.close()
        await client.close()
        with pytest.raises(FailedPrecondition, match=r"The client is closed[\s\S]*Next: make a new client"):
            await client.predict("half", [2.0])
        return found

    assert [4.0] == asyncio.run(ask(first=True))["y"].tolist()
    assert {} == asyncio.run(ask(first=False))


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_an_async_call_that_is_under_way_at_the_end_is_a_typed_error(server, transport):
    async def ask():
        client = AsyncClient(getattr(server, transport), attempts=1)
        await client.metadata("echo")
        calls = [asyncio.ensure_future(client.predict("echo", [1.0], signature="slow")) for _ in range(2)]
        await asyncio.sleep(0.1)
        await client.close()
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)

    for result in asyncio.run(ask()):
        assert isinstance(result, (ServingError, dict)), repr(result)


@both_kinds
@pytest.mark.parametrize("proxy", ["ftp://proxy:1", "http://[proxy", "socks5://proxy:1"])
def test_a_proxy_that_is_none_is_a_typed_error(kind, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ServingError, match=r"Expected: [\s\S]*Received: [\s\S]*Next: "):
        ask(kind, "http://example.invalid", "status", "m", options={"attempts": 1})
