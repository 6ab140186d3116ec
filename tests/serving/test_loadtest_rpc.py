"""The load generator's own gRPC client against grpcio's server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections import Counter
from concurrent import futures

import grpc
import pytest

from serving.errors import Code, InvalidArgument
from serving.loadtest import Load, Target, connection, frames, run
from serving.loadtest.channel import Channel

MIB = 1 << 20
BIG = bytes(range(256)) * (4 * MIB // 256)
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


class Served(grpc.GenericRpcHandler):
    """A server whose every method is `answer(request, context)`; it counts calls and how many there are at once."""

    def __init__(self, answer, where="127.0.0.1:0", options=()):
        self.answer = answer
        self.calls = self.now = self.peak = 0
        self.lock = threading.Lock()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), [self], options=[*options, *LIMITS])
        self.port = self.server.add_insecure_port(where)
        self.address = f"127.0.0.1:{self.port}" if self.port > 1 else where
        self.server.start()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self._answer) if details.method != "/no/Method" else None

    def _answer(self, request, context):
        with self.lock:
            self.calls += 1
            self.now += 1
            self.peak = max(self.peak, self.now)
        try:
            return self.answer(request, context)
        finally:
            with self.lock:
                self.now -= 1

    def target(self, body=b"ask", path="/a.B/C", **more):
        return Target(self.address, path, body, "grpc", **more)


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def start(answer=lambda request, _: request, *more, **options):
            served = Served(answer, *more, **options)
            stack.callback(lambda: served.server.stop(None).wait(10))
            return served

        yield start


class Answer:
    """Waits for one outcome: error, message, bytes received."""

    def __init__(self):
        self.outcome = asyncio.get_running_loop().create_future()

    def ended(self, *outcome):
        self.outcome.set_result(outcome)


async def _ask(channel):
    answer = Answer()
    channel.send(answer)
    return await asyncio.wait_for(answer.outcome, 20)


@contextlib.asynccontextmanager
async def _open(target):
    channel = Channel(target)
    try:
        await channel.open()
        yield channel
    finally:
        channel.close()


def _outcomes(target, count=1):
    """What calls sent at once come to."""

    async def asked():
        async with _open(target) as channel:
            return await asyncio.gather(*(_ask(channel) for _ in range(count)))

    return asyncio.run(asked())


def test_an_answer_is_counted_without_its_prefix(serve):
    assert [("", "", 3), ("", "", 3)] == _outcomes(serve().target(), 2)
    assert [("", "", 0)] == _outcomes(serve().target(b""))


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_an_error_has_its_code_and_text(serve, code):
    text = "bad \u00e9 100%\nnext"
    served = serve(lambda _, context: context.abort(code, text))
    assert [(code.name, text, 0)] * 2 == _outcomes(served.target(), 2)


def test_errors_count_by_code(serve):
    codes = [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED, None]
    turns = itertools.cycle(codes)
    given = Counter()

    def answer(request, context):
        code = next(turns)
        given[code] += 1
        return request if code is None else context.abort(code, "no")

    served = serve(answer)
    result = run(served.target(), Load(concurrency=1, duration_s=0.2, warmup_s=0))
    assert given.pop(None) * 3 == result.bytes_received > 0
    assert {code.name: count for code, count in given.items()} == result.errors
    assert result.requests == served.calls
    assert ["UNIMPLEMENTED"] == [error for error, _, _ in _outcomes(served.target(path="/no/Method"))]


@pytest.mark.parametrize("window", [70_000, connection.WINDOW])
def test_large_requests_and_answers_at_once(serve, monkeypatch, window):
    monkeypatch.setattr(connection, "WINDOW", window)
    served = serve(lambda request, _: request if request == BIG else b"")
    assert [("", "", len(BIG))] * 4 == _outcomes(served.target(BIG), 4)


def test_a_server_that_answers_before_it_has_read_all(serve):
    served = serve(options=[("grpc.max_receive_message_length", 1000)])  # the first of a name counts

    async def asked():
        async with _open(served.target(BIG)) as channel:
            return [await _ask(channel) for _ in range(5)]

    assert ["RESOURCE_EXHAUSTED"] * 5 == [error for error, _, _ in asyncio.run(asked())]


def test_no_more_streams_than_the_server_takes(serve):
    def slow(request, _):
        time.sleep(0.01)
        return request

    served = serve(slow, options=[("grpc.max_concurrent_streams", 2)])
    assert [("", "", 3)] * 12 == _outcomes(served.target(), 12)
    assert (12, 2) == (served.calls, served.peak)


def test_a_server_that_refuses_every_stream_is_unavailable():
    async def refuse(reader, writer):
        writer.write(frames.frame(frames.SETTINGS, 0, 0))
        await reader.readexactly(len(frames.PREFACE))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == frames.HEADERS:
                    refused.append(head[5:])
                    writer.write(frames.frame(frames.RST_STREAM, 0, int.from_bytes(head[5:], "big"), b"\0\0\0\x07"))
        writer.close()
        left.set_result(None)

    async def asked():
        nonlocal left
        left = asyncio.get_running_loop().create_future()
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with _open(Target(address, "/a/b", b"ask", "grpc")) as channel:
                outcome = await _ask(channel)
            await left
            return outcome

    refused, left = [], None
    assert ("UNAVAILABLE", "refused 6 times by the server", 0) == asyncio.run(asked())
    assert 6 == len(set(refused))


def test_many_calls(serve):
    served = serve()
    result = run(served.target(b"x" * 1000), Load(concurrency=32, connections=2, duration_s=0.5, warmup_s=0))
    assert {} == result.errors
    assert result.requests == served.calls > 100
    assert result.bytes_received == 1000 * served.calls


def test_a_server_that_goes_away_ends_its_calls_and_the_next_is_connected_to(serve):
    under_way = threading.Event()

    def slow(request, _):
        under_way.set()
        time.sleep(0.3)
        return request

    first = serve(slow)

    async def asked():
        async with _open(first.target()) as channel:
            call = asyncio.create_task(_ask(channel))
            await asyncio.to_thread(under_way.wait, 10)
            stopped = first.server.stop(10)  # sends GOAWAY, and waits for the call
            await asyncio.to_thread(stopped.wait, 10)
            second = serve(lambda *_: b"second", first.address)
            return await call, await _ask(channel), second.calls

    assert (("", "", 3), ("", "", 6), 1) == asyncio.run(asked())


def test_a_server_that_is_gone_is_unavailable_until_it_comes_back(serve):
    async def asked():
        async with _open(served.target()) as channel:
            seen = [await _ask(channel)]
            await asyncio.to_thread(served.server.stop(None).wait, 10)
            seen += [await _ask(channel), await _ask(channel)]
            serve(lambda request, _: request, served.address)
            return [*seen, await _ask(channel)]

    served = serve()
    assert ["", "UNAVAILABLE", "UNAVAILABLE", ""] == [error for error, _, _ in asyncio.run(asked())]


def test_a_server_stopped_at_once_fails_the_calls_under_way(serve):
    under_way, ended = threading.Event(), threading.Event()

    def hang(request, _):
        under_way.set()
        ended.wait(10)
        return request

    served = serve(hang)

    async def asked():
        async with _open(served.target()) as channel:
            call = asyncio.create_task(_ask(channel))
            await asyncio.to_thread(under_way.wait, 10)
            stopped = served.server.stop(0)
            outcome = await call
            ended.set()
            await asyncio.to_thread(stopped.wait, 10)
            return outcome

    assert asyncio.run(asked())[0] in {"UNAVAILABLE", "CANCELLED"}


def test_a_call_ends_at_its_deadline_which_the_server_knows(serve):
    left, ended = [], threading.Event()

    def hang(request, context):
        left.append(context.time_remaining())
        ended.wait(10)
        return request

    served = serve(hang)
    outcomes = _outcomes(served.target(timeout_s=0.2), 3)
    ended.set()
    assert [Code.DEADLINE_EXCEEDED.name] * 3 == [error for error, _, _ in outcomes]
    assert all(0 < seconds <= 0.2 for seconds in left)


def test_calls_that_wait_for_a_stream_end_at_their_deadline(serve):
    ended = threading.Event()
    served = serve(lambda *_: ended.wait(10), options=[("grpc.max_concurrent_streams", 1)])
    outcomes = _outcomes(served.target(timeout_s=0.2), 3)
    ended.set()
    assert {"DEADLINE_EXCEEDED": 3} == Counter(error for error, _, _ in outcomes)


def test_the_token_and_the_path(serve):
    seen = {}

    def answer(request, context):
        seen.update(context.invocation_metadata())
        return request

    assert [("", "", 3)] == _outcomes(serve(answer).target(token="secret"))
    assert ("Bearer secret", "keraspipe-loadtest") == (seen["authorization"], seen["user-agent"])


def test_a_unix_socket(serve, tmp_path):
    served = serve(lambda request, _: request, f"unix:{tmp_path}/socket")
    assert f"unix:{tmp_path}/socket" == served.address
    assert [("", "", 3)] == _outcomes(served.target())


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_speaks_no_http2(greeting):
    async def talk(_, writer):
        writer.write(greeting)
        writer.close()

    async def asked():
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(OSError, match=f"no gRPC server at 127.0.0.1:{port}"):
                await Channel(Target(f"127.0.0.1:{port}", "/a/b", b"", "grpc", timeout_s=0.2)).open()

    asyncio.run(asked())


def test_a_server_that_says_nothing_is_no_server():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target(f"127.0.0.1:{silent.getsockname()[1]}", "/a/b", b"", "grpc", timeout_s=0.2)
        with pytest.raises(OSError, match="no gRPC server"):
            asyncio.run(Channel(target).open())


@pytest.mark.parametrize("address", ["127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:port", "[::1", "a/b:1"])
def test_an_address_that_is_none(address):
    with pytest.raises(InvalidArgument, match="HOST:PORT or unix:/PATH"):
        Channel(Target(address, "/a/b", b"", "grpc"))
