"""Streamed bodies: nothing is taken for a client that does not read, and one that leaves ends the work."""

from __future__ import annotations

import socket

import pytest

from serving.rest.parser import Response

PIECE = b"x" * 1000


class Body:
    """A body of many pieces."""

    def __init__(self, count):
        self.left, self.left_by_client = count, 0

    def start(self, wake):
        self.wake = wake

    def take(self):
        if not self.left:
            return None
        self.left -= 1
        return PIECE

    def probe(self):
        return b"?"

    def leave(self):
        self.left_by_client += 1


@pytest.fixture
def stream_port(port):
    """A port that answers every request but `/plain` with a stream, and its bodies."""

    def make(count):
        here = port()
        here.bodies = []

        def handle(request, reply):
            if request.path == "/plain":
                reply(Response(200, b"plain", "text/plain"))
                return None
            body = Body(count)
            here.bodies.append(body)
            reply(Response(200, b"", "text/plain", stream=body))
            return body.leave

        here.connections._handle = handle
        return here

    return make


def test_nothing_is_taken_for_a_client_that_does_not_read(stream_port, dial, read_all):
    here = stream_port(100_000)
    client = dial(here.address)
    client.sendall(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    here.until(lambda: here.bodies)
    taken = 0
    while taken != (taken := 100_000 - here.call(lambda: here.bodies[0].left)):
        here.call(lambda: None)
    assert taken * len(PIECE) < 20 * 2**20  # the system's buffers and no more
    other = dial(here.address)
    other.sendall(b"GET /plain HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert read_all(other).endswith(b"plain")
    client.settimeout(20)
    size = 0
    while part := client.recv(1 << 20):
        size += len(part)
    assert size > 100_000 * len(PIECE)


@pytest.mark.parametrize("attempt", range(20))
def test_a_client_that_leaves_ends_the_work_once(stream_port, dial, attempt):
    """Whether it is gone before the answer's head is written, or only after: chance decides."""
    here = stream_port(1_000_000)
    client = dial(here.address)
    client.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
    here.until(lambda: here.bodies)
    client.close()
    here.until(lambda: here.bodies[0].left_by_client)
    assert 1 == here.bodies[0].left_by_client
    assert 0 == here.bytes_held
    here.until(lambda: here.open == 0)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_streams_and_plain_answers_take_turns(stream_port, dial, version):
    """Also on HTTP/1.0, where the end of a stream is the end of the connection."""
    here = stream_port(3)
    client = dial(here.address)
    request = b"GET /%%s HTTP/%s\r\nConnection: keep-alive\r\n\r\n" % version.encode()
    client.sendall(request % b"plain" + request % b"x" + request % b"plain")
    client.shutdown(socket.SHUT_WR)
    data = b""
    while part := client.recv(1 << 16):
        data += part
    if version == "1.0":
        assert data.endswith(b"\r\n\r\n" + 3 * PIECE)
        assert 2 == data.count(b"HTTP/1.1 200 OK")
    else:
        assert b"".join(3 * [b"3e8\r\n%b\r\n" % PIECE]) + b"0\r\n\r\nHTTP/1.1 200 OK" in data
        assert 3 == data.count(b"HTTP/1.1 200 OK")
        assert data.endswith(b"plain")
    assert 0 == here.bytes_held


def test_a_head_has_no_stream(stream_port, dial, read_all):
    here = stream_port(3)
    client = dial(here.address)
    client.sendall(b"HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert b"" == body
    assert b"chunked" in head
