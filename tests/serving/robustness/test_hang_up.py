"""Clients that hang up, dawdle, or only hold a connection, while others are served."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import time

import psutil
import pytest

SLOW_BODY = b'{"signature_name": "slow", "instances": [1.0]}'
SLOW = b"POST /v1/models/echo:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(SLOW_BODY), SLOW_BODY)


@pytest.fixture
def many_files():
    """This process may open as many files as it is ever allowed to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _cut(address, data, *, reset):
    client = socket.create_connection(address)
    client.sendall(data)
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "fin"])
@pytest.mark.parametrize("cut", [1, 40, -10, len(SLOW)], ids=["head", "headers", "body", "whole"])
def test_clients_that_hang_up(hostile, rest_address, is_well, cut, reset):
    for _ in range(3):
        _cut(rest_address(hostile), SLOW[:cut], reset=reset)
    is_well(hostile)


def test_calls_that_are_given_up(hostile, predict_client, is_well):
    """A deadline that passes, and a channel that closes, while the graph runs."""
    client = predict_client(hostile.grpc)
    request = client.predict.future  # not waited for
    calls = [request(b"\x0a\x10\x0a\x04echo\x1a\x08float32x", timeout=5) for _ in range(20)]
    for call in calls[::2]:
        call.cancel()
    client.close()
    is_well(hostile)


def test_idle_connections_cost_others_nothing(hostile, rest_address, is_well, many_files):
    if many_files < 1200:
        pytest.skip(f"Only {many_files} files may be open")
    with contextlib.ExitStack() as stack:
        connections = _dial(stack, rest_address(hostile), 1000)
        for number, connection in enumerate(connections[:500]):
            connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n"[: number % 26])
        is_well(hostile)
        answered = connections[-1]
        answered.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert answered.recv(100).startswith(b"HTTP/1.1 200 OK")
    is_well(hostile)


def test_answers_that_nobody_reads_are_not_piled_up(hostile, rest_address, is_well):
    """50 answers of 2 MB are asked for on each of 5 connections, and none is read."""
    values = b"[" + b"1.5," * 500_000 + b"1.5]"
    body = b'{"inputs": %s}' % values
    asked = b"POST /v1/models/echo:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    before = psutil.Process(hostile.process.pid).memory_info().rss
    with contextlib.ExitStack() as stack:
        connections = _dial(stack, rest_address(hostile), 5)
        for connection in connections:
            connection.setblocking(False)
        for _ in range(50):
            for connection in connections:
                _try_to_send(connection, asked)
            time.sleep(0.01)
        grown = psutil.Process(hostile.process.pid).memory_info().rss - before
    assert grown < 400 * 2**20
    is_well(hostile)


def _dial(stack, address, count):
    return [stack.enter_context(socket.create_connection(address)) for _ in range(count)]


def _try_to_send(connection, data):
    with contextlib.suppress(BlockingIOError):
        connection.send(data)
