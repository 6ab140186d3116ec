"""SIGTERM while many clients ask over both transports: what was accepted is answered."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

BODY = b'{"instances": [2.0, 3.0]}'
SLOW = b'{"signature_name": "slow", "instances": [1.0]}'


class Asker(threading.Thread):
    """Asks on a connection that is kept, makes a new one where the server closed it, and ends when it is refused."""

    def __init__(self, server, ask):
        super().__init__(daemon=True)
        self.server, self.ask = server, ask
        self.answered, self.faults = 0, []
        self.refused = False

    def run(self):
        while not (self.refused or self.faults):
            self.ask(self)


def _rest(asker):
    host, port = asker.server.rest.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.connect()
    except OSError:
        asker.refused = True
        return
    asks, model = (SLOW, "echo") if asker.name == "slow" else (BODY, "half")
    while True:
        try:
            connection.request("POST", f"/v1/models/{model}:predict", asks)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            asker.faults.append(repr(error))
            return
        if reply.status != 200:
            asker.faults.append(content)
            return
        asker.answered += 1
        if reply.will_close:
            return


def _grpc(make):
    def ask(asker):
        client = make(asker.server.grpc)
        try:
            while True:
                assert [4.0, 4.5] == client.ask([2.0, 3.0])
                asker.answered += 1
        except grpc.RpcError as error:
            asker.refused = True
            if not _never_began(error):
                asker.faults.append((error.code(), error.details()))
        finally:
            client.close()

    return ask


def _never_began(error):
    """Whether no handler saw the call: it found no server, or gRPC's core dropped it as it stopped taking calls.

    The latter is `CANCELLED` without a text. Nothing in Python can prevent it: calls that the core has read, but not
    handed over yet, are dropped when its shutdown begins. It forgets some of them: these are cancelled once all others
    are answered; the server's log would tell of calls that a handler had (`complaints`).
    """
    if (error.code(), error.details()) == (grpc.StatusCode.CANCELLED, "CANCELLED"):
        return True
    words = ("ailed to connect", "Connection refused", "GOAWAY", "Cancelling all calls")
    return error.code() == grpc.StatusCode.UNAVAILABLE and any(word in error.details() for word in words)


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_no_request_is_lost(served, run_server, predict_client, wait_for, complained, server_log, times):
    for _ in range(times):
        with run_server(served, drain_seconds=20.0) as server:
            askers = [Asker(server, _rest) for _ in range(6)] + [Asker(server, _grpc(predict_client)) for _ in range(3)]
            askers[0].name = "slow"
            for asker in askers:
                asker.start()
            wait_for(lambda askers=askers: all(asker.answered > 20 for asker in askers[1:]))
            time.sleep(0.1)
            log = server_log(server)
            server.process.send_signal(signal.SIGTERM)
            assert 0 == server.process.wait(timeout=40)
            for asker in askers:
                asker.join(30)
            assert [] == [(asker.ask.__qualname__, asker.faults) for asker in askers if asker.faults]
            assert [] == complained(server, log)


def test_a_peer_that_does_not_answer_holds_up_no_stop(served, run_server):
    """gRPC waits for the peer's word before it closes a connection, as it does for a call that it has lost."""
    with run_server(served, drain_seconds=300.0) as server:
        host, port = server.grpc.split(":")
        with socket.create_connection((host, int(port))) as mute:
            mute.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")  # and no settings
            assert mute.recv(1)
            server.process.send_signal(signal.SIGTERM)
            assert 0 == server.process.wait(timeout=15)


def test_the_log_tells_of_calls_that_took_too_long(served, run_server, predict_client, server_log):
    with run_server(served, drain_seconds=0.0) as server, server_log(server) as log:
        client = predict_client(server.grpc)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.ask, [1.0], "echo", signature="slow")
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            assert 0 == server.process.wait(timeout=40)
            assert call.exception(30).details() == "Cancelling all calls"
        client.close()
        assert "calls that ended without an answer: 1" in log.read()
