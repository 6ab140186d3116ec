"""Memory: thousands of requests of all kinds, and versions that come and go, leave the server as large as before."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct

import grpc
import psutil
import pytest

MIB = 2**20
COUNTS = [pytest.param(1500, id="some"), pytest.param(50_000, id="many", marks=pytest.mark.slow)]


def _post(model, body):
    return b"POST /v1/models/%s:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (model, len(body), body)


GOOD = _post(b"half", b'{"instances": [2.0, 3.0]}')
MIX = [
    GOOD,
    _post(b"nope", b"{}"),
    _post(b"half", b"no JSON"),
    _post(b"echo", b'{"signature_name": "matrix", "inputs": [[1.0, 2.0, 3.0]]}'),
    _post(b"echo", b'{"signature_name": "string", "instances": ["%s"]}' % (b"text" * 5000)),
    b"GET /v1/models/half/metadata HTTP/1.1\r\n\r\n",
    b"GET /models/half/openapi.json HTTP/1.1\r\n\r\n",
    b"GET /monitoring/prometheus/metrics HTTP/1.1\r\n\r\n",
]
CUT = [GOOD[:20], GOOD[:-5], b"nonsense\r\n\r\n", GOOD]
LARGE = _post(b"echo", b'{"inputs": [%s1.5]}' % (b"1.5," * 100_000))


def _size(server):
    return psutil.Process(server.process.pid).memory_info().rss


def _ask(server, rest_address, predict_client, count):
    """So many requests over both transports; every tenth client hangs up, every hundredth body is large."""
    with (
        socket.create_connection(rest_address(server), timeout=60) as connection,
        contextlib.closing(predict_client(server.grpc)) as client,
    ):
        _mix(rest_address(server), connection, client, count)


def _mix(address, connection, client, count):
    for number in range(count):
        if number % 3 == 0:
            _call(client, number)
        elif number % 10 == 1:
            _hang_up(address, CUT[number // 10 % len(CUT)])
        elif number % 100 == 2:
            _answered(connection, LARGE)
        elif number % 50 == 5:  # each shape is new to the graph
            _answered(connection, _post(b"echo", b'{"inputs": %s1.0%s}' % (b"[" * (number % 60), b"]" * (number % 60))))
        else:
            _answered(connection, MIX[number % len(MIX)])


def _call(client, number):
    with contextlib.suppress(grpc.RpcError):
        client.ask([2.0] * (1 + number % 70), model="half" if number % 2 else f"nope{number}")


def _hang_up(address, data):
    with socket.create_connection(address) as connection:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _answered(connection, data):
    connection.sendall(data)
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(1 << 16)
        assert part, head
        head += part
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    left = length - len(head.partition(b"\r\n\r\n")[2])
    while left:
        left -= len(connection.recv(min(left, 1 << 16)))


@pytest.mark.parametrize("count", COUNTS)
def test_requests_leave_nothing_behind(hostile, rest_address, predict_client, is_well, count):
    _ask(hostile, rest_address, predict_client, 1500)  # all paths once, all buffers at their sizes
    before = _size(hostile)
    for _ in range(2):
        _ask(hostile, rest_address, predict_client, count)
    assert _size(hostile) - before < 24 * MIB
    is_well(hostile)


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_versions_that_are_swapped_are_freed(
    saved, tmp_path, run_server, publish, wait_for, is_well, predict_client, count
):
    """A version of this model takes about 2 MiB in memory while it is loaded."""
    base = tmp_path / "base"
    shutil.copytree(saved / "linear_1", base / "half" / "1")
    with run_server(base, loading={"poll_seconds": 0.02}) as server:
        client, sizes = predict_client(server.grpc), []
        for number in range(2, 2 + 5 + count):
            publish(saved / f"linear_{1 + number % 2}", base / "half" / str(number))
            wanted = [4.0, 4.5] if number % 2 else [3.0, 3.5]
            wait_for(lambda wanted=wanted: client.ask([2.0, 3.0]) == wanted)
            shutil.rmtree(base / "half" / str(number - 1))
            sizes.append(_size(server))
        client.close()
        assert sizes[-1] - sizes[4] < (8 + 0.3 * count) * MIB, sizes
        is_well(server, tuple(wanted))
