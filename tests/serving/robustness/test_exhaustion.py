"""What clients hold without asking for anything: descriptors, and messages of gRPC that never end."""

from __future__ import annotations

import contextlib
import socket
import time

import grpc
import psutil
import pytest

from benchmarks.hostile.http2 import SlowCall

FILES = 256
GET = b"GET /healthz HTTP/1.1\r\n\r\n"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
HEALTH = "/grpc.health.v1.Health/Check"
MIB = 2**20


@pytest.fixture(scope="module")
def narrow(run_server, served):
    with run_server(served, open_files=FILES) as running:
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
        return connection.recv(100).startswith(b"HTTP/1.1 200")
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
