"""What clients hold without asking for anything: descriptors, and messages of gRPC that never end."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time

import grpc
import psutil
import pytest

from benchmarks.hostile import content
from benchmarks.hostile.http2 import SlowCall

FILES = 256
GET = b"GET /healthz HTTP/1.1\r\n\r\n"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
HEALTH = "/grpc.health.v1.Health/Check"
MIB = 2**20


@pytest.fixture(scope="module")
def narrow(run_server, served):
    with run_server(served, open_files=(FILES, FILES)) as running:
        yield running


def dial(stack, address, count):
    """Connections that say nothing."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("http://")
    return [
        stack.enter_context(contextlib.closing(socket.create_connection((host, int(port)), timeout=20)))
        for _ in range(count)
    ]


def is_open(connection):
    """Whether a server answers on a connection."""
    try:
        connection.sendall(GET)
        return connection.recv(4096).startswith(b"HTTP/1.1 200")  # all of the answer
    except OSError:
        return False


def test_the_longest_idle_leave_and_new_ones_are_answered(narrow, is_well, server_log):
    with contextlib.ExitStack() as stack:
        first = dial(stack, narrow.rest, 10)
        assert all(map(is_open, first))
        others = dial(stack, narrow.rest, 2 * FILES)
        assert all(map(is_open, others[-50:]))
        assert not any(map(is_open, first))
        is_well(narrow)
    with server_log(narrow) as log:
        assert 1 == log.read().count("idle ones are closed")


def test_those_of_grpc_leave_rest_its_own(narrow, is_well):
    with contextlib.ExitStack() as stack:
        opened = dial(stack, narrow.grpc, 2 * FILES)
        assert is_open(dial(stack, narrow.rest, 1)[0])
        assert 2 * FILES == len(opened)
    for _ in range(50):  # until the server has noticed that the connections are gone
        with contextlib.suppress(grpc.RpcError):
            return is_well(narrow)
        time.sleep(0.1)
    return is_well(narrow)


def test_a_server_opens_as_many_files_as_it_may_be_allowed(run_server, served, server_log):
    """More connections than the soft limit has files are answered, and stay."""
    with run_server(served, open_files=(FILES, 16 * FILES)) as server, contextlib.ExitStack() as stack:
        assert (16 * FILES, 16 * FILES) == psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_NOFILE)
        opened = dial(stack, server.rest, 2 * FILES)
        assert all(map(is_open, opened))
        assert all(map(is_open, opened))
        with server_log(server) as log:
            assert "idle ones are closed" not in log.read()


def packed_message(size):
    """A message that unpacks to so many bytes."""
    return gzip.compress(content.zeros_message(size), 1)


@pytest.mark.parametrize("size", [50 * MIB, 500 * MIB])
def test_messages_that_are_packed_take_no_memory(run_server, served, is_well, size):
    """gRPC would unpack each of them, up to the largest message, before anybody could count it."""
    message = packed_message(size)
    with run_server(served, limits={"memory_bytes": 64 * MIB}) as server, contextlib.ExitStack() as stack:
        process, port = psutil.Process(server.process.pid), int(server.grpc.rpartition(":")[2])
        before = process.memory_info().rss
        calls = [SlowCall(port, PREDICT, len(message), "gzip") for _ in range(20)]
        for call in calls:
            stack.enter_context(contextlib.closing(call))
            call.send(message)
        peak = before
        end = time.monotonic() + 30
        while not all(call.refused for call in calls) and time.monotonic() < end:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.01)
        assert all(call.refused for call in calls)
        assert peak - before < 64 * MIB
        is_well(server)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_client_that_packs_its_messages_is_told(run_server, served, compression):
    with run_server(served) as server, grpc.insecure_channel(server.grpc, compression=compression) as channel:
        with pytest.raises(grpc.RpcError, match=r"(?i)compression algorithm.*disabled") as caught:
            channel.unary_unary(PREDICT)(content.zeros_message(400), timeout=60)
        assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()


def test_dripping_messages_are_refused_and_others_are_answered(run_server, served, predict_client):
    """Half of 64 MiB is for messages on their way: of six that hold 8 MiB and more each, some go."""
    with run_server(served, limits={"memory_bytes": 64 * MIB}) as server, contextlib.ExitStack() as stack:
        port = int(server.grpc.rpartition(":")[2])
        before = psutil.Process(server.process.pid).memory_info().rss
        calls = [stack.enter_context(contextlib.closing(SlowCall(port, PREDICT, 60 * MIB))) for _ in range(6)]
        for call in calls:
            call.send(10 * MIB)
        client = stack.enter_context(contextlib.closing(predict_client(server.grpc)))
        end = time.monotonic() + 20
        while sum(call.refused for call in calls) < 4 and time.monotonic() < end:
            assert [4.0] == client.ask([4.0])
        assert 4 <= sum(call.refused for call in calls)  # the last two, too, where the machine is slow
        assert psutil.Process(server.process.pid).memory_info().rss - before < 100 * MIB


def is_refused(call, seconds=20):
    with contextlib.closing(call):
        call.send(1000)
        end = time.monotonic() + seconds
        while not call.refused and time.monotonic() < end:
            time.sleep(0.01)
        return call.refused


def test_a_message_larger_than_the_memory_for_all_is_refused_at_once(run_server, served):
    with run_server(served, limits={"memory_bytes": MIB}) as server:
        assert is_refused(SlowCall(int(server.grpc.rpartition(":")[2]), PREDICT, 2 * MIB))


def test_a_probe_takes_no_message_that_drips(run_server, served):
    with run_server(served, health_service=True) as server:
        assert is_refused(SlowCall(int(server.grpc.rpartition(":")[2]), HEALTH, MIB))
