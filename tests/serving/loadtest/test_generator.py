"""The load generator against small servers that stall, refuse, close and hang."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import trustme

from serving.errors import InvalidArgument, Unavailable
from serving.loadtest import generator
from serving.loadtest.generator import run
from serving.loadtest.pace import LATE_S, OpenLoop, Timer
from serving.loadtest.result import Result
from serving.loadtest.target import Load, Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
STALL_S = 0.2
RATE = 200.0


class Small:
    """An HTTP server in a thread; `answer(number)` gives the bytes to write, None to say nothing."""

    def __init__(self, answer, tls=None):
        self.answer = answer
        self.tls = tls
        self.heads = []
        self.connections = 0
        self.writers = []
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self):
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stop.wait()
        server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # in which the transports let go of their sockets

    async def _talk(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.heads.append(head)
                answer = self.answer(len(self.heads))
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                if answer is not None and b"close" in answer:
                    break
        writer.close()

    @property
    def target(self):
        return Target(
            f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}", "/ask", b"{}", model="small", signature="s"
        )


@pytest.fixture
def small():
    with contextlib.ExitStack() as stack:

        def start(answer=lambda _: OK, **options):
            server = Small(answer, **options)
            server.thread.start()
            server.ready.wait(10)
            stack.callback(server.thread.join, 10)
            stack.callback(lambda: server.loop.call_soon_threadsafe(server.stop.set))
            return server

        yield start


def _stalling(number):
    """An answer; the whole server sleeps before one of them."""
    if number == 50:
        time.sleep(STALL_S)
    return OK


def _slower_than(result, seconds):
    return np.sum(result.latency >= seconds)


def _loads(**more):
    return {"duration_s": 0.6, "warmup_s": 0.0, **more}


@pytest.mark.heavy
def test_an_open_loop_sees_a_stall_in_every_request_that_was_due_meanwhile(small):
    result = run(small(_stalling).target, Load(rate=RATE, arrivals="constant", connections=4, **_loads()))
    assert {} == result.errors
    assert _slower_than(result, STALL_S / 2) >= RATE * STALL_S / 2 - 1
    assert result.percentile(95) > STALL_S / 2
    assert result.waited > 0


def test_a_closed_loop_sees_a_stall_once_per_client(small):
    result = run(small(_stalling).target, Load(concurrency=2, **_loads()))
    assert 1 <= _slower_than(result, STALL_S / 2) <= 4
    assert result.requests > 100
    assert 0 == result.waited == result.unsent


def test_an_open_loop_sends_as_many_as_asked(small):
    server = small()
    result = run(server.target, Load(rate=RATE, arrivals="constant", connections=3, **_loads()))
    assert (120, 0, 120) == (result.requests, result.unsent, len(server.heads))
    assert 3 == server.connections


def test_poisson_arrivals_have_the_asked_mean_and_spread():
    due = Load(rate=100.0).due(5.0)
    gaps = np.diff([next(due) for _ in range(20_000)])
    assert pytest.approx(0.01, rel=0.03) == gaps.mean()
    assert pytest.approx(0.01, rel=0.05) == gaps.std()
    assert 5.0 == next(Load(rate=1.0).due(5.0))


@pytest.mark.heavy
def test_the_warm_up_does_not_count(small):
    server = small()
    result = run(server.target, Load(rate=RATE, arrivals="constant", duration_s=0.2, warmup_s=0.3))
    assert 40 == pytest.approx(result.requests, abs=1)
    assert 100 == pytest.approx(len(server.heads), abs=1)


@pytest.mark.heavy
def test_refusals_are_counted_by_status_and_are_no_latencies(small):
    refused = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"
    server = small(lambda number: OK if number % 2 else refused)
    result = run(server.target, Load(rate=RATE, arrivals="constant", **_loads()))
    assert {"HTTP 503": 60} == result.errors
    assert (120, 60, 60) == (result.requests, result.failures, len(result.latency))


def test_an_answer_that_does_not_come_is_a_timeout_with_its_time(small):
    target = small(lambda number: None if number == 10 else OK).target
    target = Target(target.address, target.path, target.body, timeout_s=1.0)
    result = run(target, Load(rate=RATE, arrivals="constant", **_loads()))
    assert {"timeout": 1} == result.errors
    assert result.latency.max() >= 1.0
    assert 120 == result.requests == len(result.latency)


def test_a_server_that_closes_is_connected_to_again(small):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    server = small(lambda _: answer)
    result = run(server.target, Load(concurrency=2, **_loads()))
    assert {} == result.errors
    assert server.connections > 10


def test_a_connection_that_breaks_is_a_failure_and_the_load_goes_on(small):
    server = small(lambda number: b"close" if number == 10 else OK)
    result = run(server.target, Load(concurrency=1, **_loads()))
    assert 1 == result.failures
    assert set(result.errors) <= {"no HTTP", "connection closed"}
    assert result.requests > 50


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unavailable, match="does not answer"):
            run(Target(f"http://{address}", "/", b""), Load(concurrency=1, **_loads()))
        with pytest.raises(Unavailable, match="does not answer"):
            run(Target(address, "/a/b", b"", "grpc", connect_timeout_s=0.2), Load(concurrency=1, **_loads()))


def test_the_token_is_sent(small):
    server = small()
    run(Target(server.target.address, "/x", b"{}", token="secret"), Load(concurrency=1, duration_s=0.05, warmup_s=0))
    assert b"Authorization: Bearer secret\r\n" in server.heads[0]
    assert server.heads[0].startswith(b"POST /x HTTP/1.1\r\n")


@pytest.mark.heavy
def test_tls(small, tmp_path):
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    stranger = small(tls=tls).target
    trusting = dataclasses.replace(stranger, ca=str(ca))
    generator.check_target(trusting)
    result = run(trusting, Load(concurrency=2, **_loads()))
    assert {} == result.errors
    assert result.requests > 10
    for refused in (generator.check_target, lambda target: run(target, Load(concurrency=1))):
        with pytest.raises(Unavailable, match=r"(?s)does not answer.*(certificate|CERTIFICATE)"):
            refused(stranger)


@pytest.mark.heavy
def test_too_high_a_rate_says_so(small):
    def slow(_):
        time.sleep(0.02)
        return OK

    result = run(small(slow).target, Load(rate=1000.0, connections=2, **_loads()))
    assert result.unsent > 100
    assert len(result.latency) == result.requests + result.unsent
    assert any("takes less than 1000 per second" in text for text in result.warnings())


def test_a_generator_that_lags_says_so():
    class Fake:
        asked = 0

        def ask(self):
            Fake.asked += 1

    async def late():
        now = time.monotonic()
        load = Load(rate=100.0, arrivals="constant", duration_s=1.0, warmup_s=0.0)
        pace = OpenLoop([Fake() for _ in range(200)], load, now - 0.5, now + 0.5)
        pace.send_due()  # half a second late
        pace.close()
        return pace

    pace = asyncio.run(late())
    assert 50 <= Fake.asked
    assert Fake.asked >= pace.behind >= 49  # all but those within the tolerance
    assert 0 == pace.waited
    result = Result(Target("x", "/", b""), Load(), np.empty(0), 50, {}, 1.0, 0, behind_schedule=1.0)
    assert "100.0% of the requests more than 1 ms behind schedule" in result.warnings()[0]
    assert LATE_S == 0.001


def test_stopped_early_it_tells_what_was_measured(small):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    result = run(small().target, Load(concurrency=1, duration_s=60, warmup_s=0), stop)
    assert result.interrupted
    assert result.requests > 10


@pytest.mark.process
def test_ctrl_c_prints_what_was_measured(small):
    script = (
        "import json, sys\n"
        "from serving.loadtest import Load, Target, run\n"
        "print('started', flush=True)\n"
        f"result = run(Target({small().target.address!r}, '/', b'{{}}'), Load(rate=100, duration_s=60, warmup_s=0))\n"
        "print(json.dumps(result.as_json()))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert "started\n" == process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (0, True) == (process.returncode, json.loads(out)["interrupted"])


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"rate": 1.0, "concurrency": 1}, {"duration_s": -1.0}, {"warmup_s": -1.0}, {"arrivals": "none"}],
)
def test_a_load_that_cannot_be_made(wrong):
    with pytest.raises(InvalidArgument, match=r"Expected: .*\nReceived: "):
        Load(**wrong)


@pytest.mark.parametrize("address", ["127.0.0.1:8501", "http://[::1", "ftp://host"])
def test_an_address_that_is_none(address):
    with pytest.raises(InvalidArgument, match="http://HOST:PORT"):
        run(Target(address, "/", b""), Load(concurrency=1))


def test_the_timer_rings_when_it_is_set_and_only_then():
    async def rung():
        rings = []
        timer = Timer(asyncio.get_running_loop(), lambda: rings.append(time.monotonic()))
        at = time.monotonic() + 0.05
        timer.set(time.monotonic() + 30)
        timer.set(at)
        await asyncio.sleep(0.2)
        timer.close()
        return at, rings

    at, rings = asyncio.run(rung())
    assert 1 == len(rings)
    assert rings[0] >= at - 1e-6
