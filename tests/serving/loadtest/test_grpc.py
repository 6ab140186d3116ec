"""The load generator's gRPC calls against grpcio's server, on real sockets."""

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
import trustme

from serving.errors import InvalidArgument, Unavailable
from serving.loadtest import generator
from serving.loadtest.generator import run
from serving.loadtest.grpc import create_connections
from serving.loadtest.target import Load, Target

MIB = 1 << 20
BIG = bytes(range(256)) * (4 * MIB // 256)
LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]


class Served(grpc.GenericRpcHandler):
    """A server whose every method is `answer(request, context)`; it counts calls and how many there are at once."""

    def __init__(self, answer, where="127.0.0.1:0", options=(), credentials=None):
        self.answer = answer
        self.calls = self.now = self.peak = 0
        self.lock = threading.Lock()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), [self], options=[*options, *LIMITS])
        server = self.server
        port = server.add_secure_port(where, credentials) if credentials else server.add_insecure_port(where)
        self.address = f"127.0.0.1:{port}" if port > 1 else where
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


class Calls:
    """As many calls as are asked for over one channel; `send` gives the error of one, empty for none."""

    def __init__(self, target, calls=1):
        self.outcomes = {}
        self.free = create_connections(target, calls, 1, lambda call, error: self.outcomes.pop(call).set_result(error))
        self.all = list(self.free)

    async def send(self):
        call = self.free.pop()
        self.outcomes[call] = outcome = asyncio.get_running_loop().create_future()
        call.ask()
        error = await asyncio.wait_for(outcome, 20)
        self.free.append(call)
        return error

    async def __aenter__(self):
        await asyncio.gather(*(call.open() for call in self.all))
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(*(call.close() for call in self.all))


def _errors(target, count=1):
    """Errors of calls sent at once, and the bytes that came back."""

    async def send():
        async with Calls(target, count) as calls:
            errors = await asyncio.gather(*(calls.send() for _ in range(count)))
            return errors, sum(call.received for call in calls.all)

    return asyncio.run(send())


def test_an_answer_is_counted_without_its_prefix(serve):
    assert (["", ""], 6) == _errors(serve().target(), 2)
    assert ([""], 0) == _errors(serve().target(b""))


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_an_error_has_the_name_of_its_code(serve, code):
    served = serve(lambda _, context: context.abort(code, "no"))
    assert ([code.name] * 2, 0) == _errors(served.target(), 2)


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
    assert (["UNIMPLEMENTED"], 0) == _errors(served.target(path="/no/Method"))


def test_large_requests_and_answers_at_once(serve):
    served = serve(lambda request, _: request if request == BIG else b"")
    assert ([""] * 4, 4 * len(BIG)) == _errors(served.target(BIG), 4)


@pytest.mark.heavy
def test_a_server_that_answers_before_it_has_read_all(serve):
    served = serve(options=[("grpc.max_receive_message_length", 1000)])  # the first of a name counts

    async def send():
        async with Calls(served.target(BIG)) as calls:
            return [await calls.send() for _ in range(5)]

    assert ["RESOURCE_EXHAUSTED"] * 5 == asyncio.run(send())


def test_no_more_streams_than_the_server_takes(serve):
    def slow(request, _):
        time.sleep(0.01)
        return request

    served = serve(slow, options=[("grpc.max_concurrent_streams", 2)])
    errors, received = _errors(served.target(), 12)
    # A stream that starts right when another ended may be refused, as the server counts that one still; gRPC sends it
    # once more, and the second refusal is what any client would see.
    assert {"", "UNAVAILABLE"} >= set(errors)
    assert (errors.count(""), 3 * served.calls, 2) == (served.calls, received, served.peak)


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

    async def send():
        async with Calls(first.target(), 2) as calls:
            call = asyncio.create_task(calls.send())
            await asyncio.to_thread(under_way.wait, 10)
            stopped = first.server.stop(10)  # sends GOAWAY, and waits for the call
            await asyncio.to_thread(stopped.wait, 10)
            second = serve(lambda request, _: request, first.address)
            return await call, await _until_answered(calls), second.calls

    assert ("", "", 1) == asyncio.run(send())


def test_a_server_that_is_gone_is_unavailable_until_it_comes_back(serve):
    async def send():
        async with Calls(served.target()) as calls:
            errors = [await calls.send()]
            await asyncio.to_thread(served.server.stop(None).wait, 10)
            errors += [await calls.send(), await calls.send()]
            serve(lambda request, _: request, served.address)
            return [*errors, await _until_answered(calls)]

    served = serve()
    assert ["", "UNAVAILABLE", "UNAVAILABLE", ""] == asyncio.run(send())


async def _until_answered(calls):
    """The first outcome that is not that of a missing connection: gRPC tries again every 100 ms."""
    end = time.monotonic() + 10
    while (error := await calls.send()) == "UNAVAILABLE" and time.monotonic() < end:
        pass
    return error


@pytest.mark.heavy
def test_a_closed_loop_without_a_server_does_not_spin(serve):
    served = serve()
    threading.Timer(0.2, served.server.stop, [None]).start()
    result = run(served.target(), Load(concurrency=1, duration_s=1, warmup_s=0))
    # The call that the stop meets under way may end as CANCELLED; all later ones find no server.
    assert result.errors.pop("CANCELLED", 0) <= 1
    assert {"UNAVAILABLE"} == set(result.errors)
    assert 1 <= result.failures <= 20


def test_unavailable_as_an_answer_is_counted_at_once(serve):
    served = serve(lambda _, context: context.abort(grpc.StatusCode.UNAVAILABLE, "busy"))
    result = run(served.target(), Load(concurrency=1, duration_s=0.5, warmup_s=0))
    assert {"UNAVAILABLE": result.requests} == result.errors
    assert result.requests > 25


def test_a_server_stopped_at_once_fails_the_calls_under_way(serve):
    under_way, ended = threading.Event(), threading.Event()

    def hang(request, _):
        under_way.set()
        ended.wait(10)
        return request

    served = serve(hang)

    async def send():
        async with Calls(served.target()) as calls:
            call = asyncio.create_task(calls.send())
            await asyncio.to_thread(under_way.wait, 10)
            stopped = served.server.stop(0)
            error = await call
            ended.set()
            await asyncio.to_thread(stopped.wait, 10)
            return error

    assert asyncio.run(send()) in {"UNAVAILABLE", "CANCELLED"}


@pytest.mark.heavy
def test_an_open_loop_sees_a_stall_in_every_request_that_was_due_meanwhile(serve):
    turns = itertools.count()

    def answer(request, _):
        if next(turns) == 20:
            stalled.set()
            time.sleep(0.2)
            stalled.clear()
        while stalled.is_set():  # the whole server
            time.sleep(0.005)
        return request

    stalled = threading.Event()
    load = Load(rate=100.0, arrivals="constant", duration_s=0.6, warmup_s=0.0)
    result = run(serve(answer).target(), load)
    assert (60, {}) == (result.requests + result.unsent, result.errors)
    assert sum(result.latency > 0.1) >= 9


def test_the_answers_under_way_at_the_end_are_waited_for(serve):
    def slow(request, _):
        time.sleep(0.3)
        return request

    served = serve(slow)
    result = run(served.target(), Load(concurrency=4, duration_s=0.1, warmup_s=0))
    assert (4, {}, 4) == (result.requests, result.errors, served.calls)
    assert result.latency.min() >= 0.3


def test_stopped_early_the_calls_under_way_are_given_up_and_not_counted(serve, capfd):
    stop, ended = threading.Event(), threading.Event()
    turns = itertools.count()

    def answer(request, _):
        if next(turns) >= 10:
            stop.set()
            ended.wait(10)
        return request

    result = run(serve(answer).target(), Load(concurrency=4, duration_s=60, warmup_s=0), stop)
    ended.set()
    assert (True, 10, {}) == (result.interrupted, result.requests, result.errors)
    assert ("", "") == capfd.readouterr()


def test_a_call_ends_at_its_deadline_which_the_server_knows(serve):
    left, ended = [], threading.Event()

    def hang(request, context):
        left.append(context.time_remaining())
        ended.wait(10)
        return request

    served = serve(hang)
    errors, _ = _errors(served.target(timeout_s=0.2), 3)
    ended.set()
    assert ["DEADLINE_EXCEEDED"] * 3 == errors
    # 0 where a busy machine began it late; gRPC's clocks count milliseconds
    assert all(seconds is not None and seconds <= 0.202 for seconds in left)


def test_calls_that_wait_for_a_stream_end_at_their_deadline(serve):
    """The only stream stays with a call of a later deadline: the server may refuse one that takes over another's."""
    begun, ended = threading.Event(), threading.Event()

    def hold(request, _):
        begun.set()
        ended.wait(10)
        return request

    served = serve(hold, options=[("grpc.max_concurrent_streams", 1)])

    async def send():
        async with Calls(served.target(timeout_s=0.2), 3) as calls:
            first = calls.free[0]._channel.unary_unary("/a.B/C")(b"", timeout=9)
            await asyncio.to_thread(begun.wait, 9)
            errors = await asyncio.gather(*(calls.send() for _ in range(3)))
            ended.set()
            first.cancel()
            return errors

    assert {"DEADLINE_EXCEEDED": 3} == Counter(asyncio.run(send()))


def test_the_token_and_the_user_agent(serve):
    seen = {}

    def answer(request, context):
        seen.update(context.invocation_metadata())
        return request

    assert ([""], 3) == _errors(serve(answer).target(token="secret"))
    assert "Bearer secret" == seen["authorization"]
    assert seen["user-agent"].startswith("keraspipe-loadtest ")


def test_a_unix_socket(serve, tmp_path):
    served = serve(lambda request, _: request, f"unix:{tmp_path}/socket")
    assert f"unix:{tmp_path}/socket" == served.address
    assert ([""], 3) == _errors(served.target())


@pytest.mark.heavy
def test_tls(serve, tmp_path):
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    served = serve(credentials=grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)]))
    trusting = Target(f"grpcs://{served.address}", "/a.B/C", b"ask", "grpc", ca=str(ca))
    generator.check_target(trusting)
    result = run(trusting, Load(concurrency=2, duration_s=0.1, warmup_s=0))
    assert ({}, 3 * result.requests) == (result.errors, result.bytes_received)
    assert result.requests > 0
    untrusting = Target(trusting.address, "/a.B/C", b"", "grpc", connect_timeout_s=0.3)
    for other in (untrusting, served.target(connect_timeout_s=0.3)):
        with pytest.raises(Unavailable, match="does not answer"):
            run(other, Load(concurrency=1, duration_s=0.1))


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_speaks_no_http2(greeting):
    async def talk(_, writer):
        writer.write(greeting)
        writer.close()

    async def connect():
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            calls = Calls(Target(f"127.0.0.1:{port}", "/a/b", b"", "grpc", connect_timeout_s=0.2))
            with pytest.raises(OSError, match=f"no gRPC server at 127.0.0.1:{port}"):
                await calls.__aenter__()
            await calls.__aexit__()

    asyncio.run(connect())


def test_a_server_that_says_nothing_is_no_server():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target(f"127.0.0.1:{silent.getsockname()[1]}", "/a/b", b"", "grpc", connect_timeout_s=0.2)
        with pytest.raises(Unavailable, match="no gRPC server"):
            run(target, Load(concurrency=3))


def test_a_url_that_says_nothing_is_no_server():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target(f"https://127.0.0.1:{silent.getsockname()[1]}", "/a:predict", b"", connect_timeout_s=0.2)
        with pytest.raises(Unavailable, match=r"no connection in 0\.2 s"):
            run(target, Load(concurrency=3))


@pytest.mark.parametrize("address", ["127.0.0.1", "http://127.0.0.1:1", "127.0.0.1:port", "[::1", "a/b:1"])
def test_an_address_that_is_none(address):
    with pytest.raises(InvalidArgument, match=r"(?s)no address of a .*HOST:PORT.*unix:/PATH"):
        run(Target(address, "/a/b", b"", "grpc"), Load())
