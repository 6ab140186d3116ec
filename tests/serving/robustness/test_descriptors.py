"""A server that may open few files: idle connections leave for new ones, those that were silent for longest first."""

from __future__ import annotations

import contextlib
import socket

import pytest

FILES = 256
GET = b"GET /healthz HTTP/1.1\r\n\r\n"


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
    is_well(narrow)
