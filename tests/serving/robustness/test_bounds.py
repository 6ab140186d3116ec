"""A server's memory and connections are bounded by its limits, whatever clients announce, send or leave open."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import logging
import types
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from serving.core.work import MemoryBudget
from serving.errors import InvalidArgument, ResourceExhausted
from serving.rest.handlers import RequestParser
from serving.rest.parser import Request
from serving.rest.routes import find_route

ROUTE = find_route("POST", "/v1/models/m:predict")


def post(path, length, body=b""):
    return b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (path, length, body)


def test_an_announced_length_holds_nothing(port, dial):
    opened = port(limit=1_000_000)
    for _ in range(20):
        dial(opened.address).sendall(post(b"/slow", 900_000, b"x" * 1000))
    opened.until(lambda: opened.open == 20 and opened.bytes_held == 20_000)
    sound = dial(opened.address)
    sound.sendall(post(b"/x", 500_000, b"y" * 500_000))
    assert sound.recv(15).startswith(b"HTTP/1.1 200")


def test_bytes_are_counted_as_they_arrive(port, dial, read_all):
    opened = port(limit=100_000)
    first, second = dial(opened.address), dial(opened.address)
    first.sendall(post(b"/slow", 90_000, b"x" * 60_000))
    opened.until(lambda: opened.bytes_held == 60_000)
    second.sendall(post(b"/slow", 90_000, b"x" * 60_000))
    assert read_all(second).startswith(b"HTTP/1.1 429")
    first.close()
    opened.until(lambda: opened.bytes_held == 0)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nContent-Length: 5000\r\n\r\n",
        b"POST /readyz HTTP/1.1\r\nContent-Length: 5000\r\n\r\n",
        b"OPTIONS /v1/models/m HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000,
    ],
)
def test_probes_and_preflights_take_no_body(port, dial, read_all, head):
    opened = port()
    client = dial(opened.address)
    client.sendall(head)
    assert read_all(client).startswith(b"HTTP/1.1 413")
    assert 0 == opened.bytes_held


def test_the_longest_idle_connection_leaves_for_a_new_one(port, dial, caplog):
    opened = port(most=3)
    clients = []
    with caplog.at_level(logging.WARNING, "keraspipe.serving"):
        for number in range(6):
            clients.append(dial(opened.address))
            clients[-1].sendall(b"GET /%d HTTP/1.1\r\n\r\n" % number)
            assert clients[-1].recv(15).startswith(b"HTTP/1.1 200")
        opened.until(lambda: opened.open == 3)
    for gone in clients[:3]:
        gone.settimeout(5)
        try:
            while gone.recv(1000):
                pass
        except ConnectionResetError:
            pass
    clients[5].sendall(b"GET /again HTTP/1.1\r\n\r\n")
    clients[5].recv(1000)
    assert 1 == len([record for record in caplog.records if "idle ones are closed" in record.message])


def test_a_connection_with_an_answer_due_stays(port, dial):
    opened = port(most=2)
    waiting = dial(opened.address)
    waiting.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
    opened.until(lambda: opened.held)
    others = [dial(opened.address) for _ in range(5)]
    opened.until(lambda: opened.open <= 2)
    opened.release()
    assert waiting.recv(15).startswith(b"HTTP/1.1 200")
    assert 5 == len(others)


def packed(body):
    return Request("POST", "/", {"content-encoding": "gzip"}, gzip.compress(body))


def unreachable():
    def acquire(*_):
        raise AssertionError("it was read")

    return types.SimpleNamespace(acquire=acquire)


def test_what_gzip_unpacks_to_is_held_before_it_is_unpacked():
    budget = MemoryBudget(10**7)
    parser = RequestParser(unreachable(), 10**9, budget=budget)
    with pytest.raises(ResourceExhausted):
        parser.read(ROUTE, packed(b'{"instances": [' + b"[]," * 5_000_000 + b"[]]}"))
    assert budget.fits(10**7)


def test_what_json_unpacks_to_is_held_before_it_is_parsed():
    budget = MemoryBudget(10**8)
    body = b'{"instances": [' + b"[]," * 2_000_000 + b"[]]}"
    with pytest.raises(ResourceExhausted):
        RequestParser(unreachable(), 10**9, budget=budget).read(ROUTE, Request("POST", "/", {}, body))
    with pytest.raises(InvalidArgument, match="unpacks to"):
        RequestParser(unreachable(), 10**7, budget=budget).read(ROUTE, Request("POST", "/", {}, body))
    assert budget.fits(10**8)


def test_a_small_packed_request_fits_a_small_budget():
    budget = MemoryBudget(10**6)
    with pytest.raises(AssertionError, match="it was read"):
        RequestParser(unreachable(), None, budget=budget).read(ROUTE, packed(b'{"instances": [1.0]}'))


def test_probes_status_and_metrics_wait_for_no_model(run_server, served, wait_for):
    """One thread for models, and four requests of a second each: what waited for it would come after all of them."""
    body = json.dumps({"signature_name": "slow", "instances": [1.0]}).encode()
    page = "/monitoring/prometheus/metrics"
    with run_server(served, threads=1, health_service=True) as server:
        host = server.rest.removeprefix("http://")
        ask(host, "POST", "/v1/models/echo:predict", body)
        with ThreadPoolExecutor(8) as threads, grpc.insecure_channel(server.grpc) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert b"\x08\x01" == check(b"", timeout=20)
            running = [threads.submit(ask, host, "POST", "/v1/models/echo:predict", body) for _ in range(4)]
            wait_for(lambda: b"keraspipe_requests_in_flight 4" in read(host, page))
            for path in ("/healthz", "/readyz", "/v1/models/half", "/v1/models/half/metadata", page):
                assert 200 == ask(host, "GET", path)
            assert b"\x08\x01" == check(b"", timeout=20)
            assert not all(one.done() for one in running)
            assert {one.result() for one in running} <= {200, 504}


def ask(host, method, path, body=None):
    with answering(host, method, path, body) as answer:
        answer.read()
        return answer.status


def read(host, path):
    with answering(host, "GET", path) as answer:
        return answer.read()


@contextlib.contextmanager
def answering(host, method, path, body=None):
    connection = http.client.HTTPConnection(host, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        yield connection.getresponse()
