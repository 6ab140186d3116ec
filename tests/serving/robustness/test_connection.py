"""One client's connection: order of the answers, keep-alive, refusals, what is held for it."""

from __future__ import annotations

import asyncio
import io
import re
import socket
import threading
import time

import pytest


def _post(path, body, *headers):
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def _get(path, version="1.1", *headers):
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"GET {path} HTTP/{version}\r\n{lines}\r\n".encode()


def _until(connection, ending):
    data = b""
    while ending not in data:
        part = connection.recv(1 << 16)
        assert part, f"The server closed after {data[-300:]!r}"
        data += part
    return data


def _statuses(answers):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def test_requests_behind_a_slow_one_are_answered_in_order(port, dial):
    """So many, answered at once each: their number must not be the depth of a recursion."""
    here = port()
    client = dial(here.address)
    client.sendall(_get("/wait") + b"".join(_get(f"/{number}") for number in range(5000)))
    here.until(lambda: here.held)
    assert [] == [request.path for request in here.requests[1:]]
    sender = threading.Thread(target=here.release)
    sender.start()
    answers = _until(client, b"/4999 ")
    sender.join()
    assert ["/wait", *(f"/{number}" for number in range(5000))] == re.findall(r"\r\n\r\n(\S+) ", answers.decode())


def test_few_requests_are_read_ahead(port, dial):
    """A client that only sends costs the memory of a few hundred requests, whatever it sends."""
    here = port()
    client = dial(here.address)
    client.setblocking(False)
    client.send(_get("/wait"))
    here.until(lambda: here.held)
    flood, sent = _get("/x") * 20000, 0
    for _ in range(200):
        try:
            sent += client.send(flood)
        except BlockingIOError:
            here.call(lambda: None)
    [connection] = here.call(lambda: list(here.connections._open))
    assert sent > 2**20
    assert len(connection._waiting) < 1000
    assert len(connection._ahead) < 2**20
    here.release()


def test_what_is_held_is_given_back_with_each_answer(port, dial):
    """A client that always has the next request on its way must not use up the budget of all."""
    here = port()
    client = dial(here.address)
    body = b"x" * 1000
    client.sendall(_post("/wait", body))
    for _ in range(5):
        client.sendall(_post("/wait", body))
        here.until(lambda: here.bytes_held == 2000)
        here.release()
        _until(client, body)
    assert 1000 == here.bytes_held
    here.release()
    _until(client, body)
    assert 0 == here.bytes_held


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /a HTTP/1.1\r\nContent-Le",
        b"POST /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhalf",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        _post("/wait", b"body"),
        _post("/wait", b"body") + _post("/a", b"body") + _post("/b", b"body")[:-1],
        _post("/wait", b"body") + b"no HTTP at all\r\n\r\n",
        _post("/a", b"body") * 100,
        _post("/large9999999", b"body") * 3,
    ],
)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "fin"])
def test_clients_that_hang_up_leave_nothing_held(port, dial, sent, reset):
    here = port()
    client = dial(here.address)
    client.sendall(sent)
    here.until(lambda: here.open == 1)
    if b"/wait" in sent:
        here.until(lambda: here.held)
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    if b"/wait" in sent:
        here.release()
    here.until(lambda: here.open == 0)
    assert 0 == here.bytes_held


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (_post("/a", b"x" * 200), 413),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc8\r\n" + b"x" * 200, 413),
        (_get("/" + "a" * 70000), 431),
        (_get("/a", "1.1", *(f"H{number}: v" for number in range(4000))), 431),
        (b"GET /a HTTP/1.1\r\nHeader: " + b"a" * 200000, 431),
        (b"GET /a HTTP/1.1\r\n" + b"a" * 200000, 431),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 200000, 431),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: " + b"a" * 200000, 431),
        (b"GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /a HTTP/9.9\r\n\r\n", 400),
        (b"\0\xff\xfe\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
def test_refusals_are_said_and_end_the_connection(port, dial, read_all, sent, status):
    """The parser keeps a header until it ends: without a bound, one without an end would take all memory."""
    here = port(request_bytes=100)
    client = dial(here.address)
    client.sendall(sent)
    assert [status] == _statuses(read_all(client))
    assert [] == here.requests
    client.close()
    here.until(lambda: here.open == 0)
    assert 0 == here.bytes_held


def test_a_refusal_reaches_a_client_that_is_still_sending(port, dial, read_all):
    here = port(request_bytes=100)
    for _ in range(20):
        client = dial(here.address)
        client.sendall(_post("/a", b"x" * 500_000))
        assert [413] == _statuses(read_all(client))
        client.close()


def test_a_refusal_comes_after_the_answers_that_are_due(port, dial, read_all):
    here = port(request_bytes=100)
    client = dial(here.address)
    client.sendall(_get("/wait") + _get("/b") + _post("/c", b"x" * 200) + _get("/d"))
    here.release()
    assert [200, 200, 413] == _statuses(read_all(client))


def test_a_refusal_waits_for_a_client_that_does_not_read(port, dial, read_all):
    here = port(request_bytes=100)
    client = dial(here.address)
    client.sendall(_get("/large30000000") + _get("/b") + b"nonsense\r\n\r\n")
    here.until(lambda: len(here.requests) == 1)
    assert [200, 200, 400] == _statuses(read_all(client))


def test_a_full_budget_is_said_and_passes(port, dial, read_all):
    here = port(limit=1500)
    first, second = dial(here.address), dial(here.address)
    first.sendall(_post("/wait", b"x" * 1000))
    here.until(lambda: here.held)
    second.sendall(_post("/a", b"x" * 1000))
    assert [429] == _statuses(read_all(second))
    here.release()
    assert [200] == _statuses(_until(first, b"x" * 1000))
    third = dial(here.address)
    third.sendall(_post("/a", b"x" * 1000))
    assert [200] == _statuses(_until(third, b"x" * 1000))
    assert 0 == here.bytes_held


def test_head_has_no_body(port, dial, read_all):
    here = port()
    client = dial(here.address)
    client.sendall(b"HEAD /abc HTTP/1.1\r\n\r\n" + _get("/def", "1.1", "Connection: close"))
    answer, _, rest = read_all(client).partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in answer
    assert rest.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("version", "header", "keeps", "said"),
    [
        ("1.0", "X: y", False, b"Connection: close"),
        ("1.0", "Connection: keep-alive", True, b"Connection: keep-alive"),
        ("1.1", "X: y", True, b""),
        ("1.1", "Connection: close", False, b"Connection: close"),
        ("1.1", "Connection: Upgrade\r\nUpgrade: h2c", False, b"Connection: close"),
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket", False, b"Connection: close"),
    ],
)
@pytest.mark.parametrize("path", ["/now", "/wait"])
def test_keep_alive(port, dial, read_all, version, header, keeps, said, path):
    here = port()
    client = dial(here.address)
    client.sendall(_get(path, version, header))
    if path == "/wait":
        here.release()
    answer = _until(client, path.encode()) if keeps else read_all(client)
    assert [200] == _statuses(answer)
    assert said in answer
    assert keeps == (b"Connection: close" not in answer)
    if keeps:
        client.sendall(_get("/next", version, "Connection: close"))
        assert [200] == _statuses(read_all(client))


def test_expect_is_answered_only_where_it_helps(port, dial, read_all):
    here = port()
    client = dial(here.address)
    head = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    client.sendall(_get("/wait") + head)
    here.release()
    answer = _until(client, b"100 Continue\r\n\r\n")
    assert [200, 100] == _statuses(answer), "not before the answer that is due"
    client.sendall(b"hi" + head + b"yo" + head.replace(b"1.1", b"1.0") + b"hi")
    assert [200, 200, 200] == _statuses(read_all(client))


def test_trailers_do_not_change_a_request(port, dial):
    here = port()
    client = dial(here.address)
    client.sendall(
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
    )
    _until(client, b"/a hi")
    assert "content-encoding" not in here.requests[0].headers


def test_a_client_that_closed_its_side_gets_its_answers(port, dial, read_all):
    here = port()
    client = dial(here.address)
    client.sendall(_get("/wait") + _get("/b") * 40)
    here.until(lambda: here.held)
    client.shutdown(socket.SHUT_WR)
    here.release()
    assert [200] * 41 == _statuses(read_all(client))
    here.until(lambda: here.open == 0)


def test_small_pieces_of_a_body_cost_what_they_hold(port, dial):
    here = port()
    client = dial(here.address)
    client.sendall(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nab\r\n" * 5000)
    here.until(lambda: here.bytes_held == 10000)
    [connection] = here.call(lambda: list(here.connections._open))
    assert isinstance(connection._reader._body, io.BytesIO)
    client.sendall(b"0\r\n\r\n")
    _until(client, b"ab" * 5000)


def test_a_slow_sender_is_turned_away(port, dial, read_all):
    here = port(patience_s=0.05)
    slow, idle = dial(here.address), dial(here.address)
    slow.sendall(b"POST /a HTTP/1.1\r\nContent-Length: 99\r\n\r\n")
    idle.sendall(_get("/b"))
    _until(idle, b"/b ")
    for _ in range(10):
        slow.sendall(b"x")
        here.call(threading.Event().wait, 0.02)
    here.call(here.connections.sweep)
    assert [408] == _statuses(read_all(slow))
    idle.sendall(_get("/c"))
    assert [200] == _statuses(_until(idle, b"/c "))
    assert 0 == here.bytes_held


def test_a_client_that_never_reads_is_cut(port, dial):
    here = port(patience_s=0.05)
    stuck, busy = dial(here.address), dial(here.address)
    stuck.sendall(_get("/large30000000", "1.1", "Connection: close"))
    here.until(lambda: here.requests)
    here.call(here.connections.sweep)
    here.call(threading.Event().wait, 0.1)
    here.call(here.connections.sweep)
    here.until(lambda: here.open == 1)
    busy.sendall(_get("/b"))
    assert [200] == _statuses(_until(busy, b"/b "))


@pytest.mark.heavy
def test_a_slow_reader_is_not_cut(port, dial, read_all):
    here = port(patience_s=0.3)
    client = dial(here.address)
    client.sendall(_get("/large30000000", "1.1", "Connection: close"))
    here.until(lambda: here.requests)
    size = 0
    for _ in range(6):
        here.call(here.connections.sweep)
        here.call(threading.Event().wait, 0.1)
        size += len(client.recv(4_000_000, socket.MSG_WAITALL))
    assert 30_000_000 < size + len(read_all(client))


def test_a_client_that_never_reads_is_answered_no_further(port, dial):
    """What is not read must not pile up: one answer at a time beyond what the sockets take."""
    here = port()
    client = dial(here.address)
    client.sendall(_get("/large20000000") * 100)
    here.until(lambda: here.requests)
    here.call(threading.Event().wait, 0.2)
    assert 1 == len(here.requests)


def test_a_bug_is_answered(port, dial, caplog):
    here = port()
    client = dial(here.address)
    client.sendall(_get("/bug") + _get("/b"))
    assert [500, 200] == _statuses(_until(client, b"/b "))
    assert "A request failed unexpectedly" in caplog.text


@pytest.mark.heavy
def test_drain_answers_what_was_asked(port, dial, read_all):
    here = port()
    idle, asking, half = (dial(here.address) for _ in range(3))
    asking.sendall(_get("/wait") + _get("/b"))
    half.sendall(b"GET /c HTT")
    here.until(lambda: here.held and here.open == 3)
    drain = threading.Thread(target=here.call, args=(here.connections.drain, here.server.close))
    drain.start()
    assert b"" == read_all(idle)
    half.sendall(b"P/1.1\r\n\r\n")
    answer = read_all(half)
    assert ([200], True) == (_statuses(answer), b"Connection: close" in answer)
    here.release()
    answers = read_all(asking)
    assert [200, 200] == _statuses(answers)
    assert 1 == answers.count(b"Connection: close")
    drain.join(20)
    assert not drain.is_alive()


def test_chunks_of_one_byte_hold_up_nobody_else(port, dial):
    one, gaps = port(), []

    async def tick():
        last = time.monotonic()
        while not one.requests:
            await asyncio.sleep(0.001)
            last, before = time.monotonic(), last
            gaps.append(last - before)

    connection = dial(one.address)
    connection.sendall(b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    sender = threading.Thread(target=connection.sendall, args=(b"1\r\nx\r\n" * 500_000 + b"0\r\n\r\n",))
    sender.start()
    one.call(tick)
    sender.join()
    assert 500_000 == len(one.requests[0].body)
    assert max(gaps) < 0.3
